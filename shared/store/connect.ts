/**
 * Opens the store: a `file:` database of this process, or one on a libSQL server. Migrations are
 * applied before anything else. Leaves out what is stored (episodes.ts, runs.ts, evaluations.ts).
 */
import { type LibsqlClient, type LibSQLDatabase, loadDrizzleLibsql } from "../../deps.ts";
import { CollmError, suggest } from "../errors.ts";
import { faultOf } from "./guarded.ts";
import { closeLocal, openLocal } from "./local.ts";
import { migrate } from "./migrate.ts";
import { openRemote, type RemoteOptions } from "./remote.ts";

export interface Store {
  /** The address without query, so without a token. */
  readonly name: string;
  readonly remote: boolean;
  readonly client: LibsqlClient;
  /** drizzle over `client`; `db.batch` is one write transaction. */
  readonly db: LibSQLDatabase;
  close(): Promise<void>;
}

const REMOTE = ["http", "https", "ws", "wss", "libsql"];
const OPTIONS = ["auth_token", "timeout_ms", "retries"];

/**
 * Opens a database and brings it to the newest schema.
 * @param url `file:path`, `http(s)://`, `ws(s)://` or `libsql://`
 * @throws CollmError `invalid_request` (address, option), `unavailable` (owned by another
 * process, corrupt, not writable, unreachable), `unauthorized`, `conflict` (other schema)
 */
export async function openStore(url: string, options: RemoteOptions = {}): Promise<Store> {
  for (const key of Object.keys(options)) {
    if (!OPTIONS.includes(key)) {
      throw new CollmError(
        "invalid_request",
        `Cannot open database: unknown option '${key}', ${suggest(key, OPTIONS)}`,
      );
    }
  }
  const scheme = /^([a-z]+):/i.exec(url)?.[1]?.toLowerCase() ?? "";
  const remote = REMOTE.includes(scheme);
  const name = url.replace(/[?#].*$/, "").replace(/\/\/[^/@]*@/, "//");
  if (!remote && scheme !== "file") {
    throw new CollmError(
      "invalid_request",
      `Cannot open database '${name}': its address must start with file: or ` +
        REMOTE.map((one) => `${one}:`).join(", "),
    );
  }
  const client = remote ? await openRemote(url, name, options) : await openLocal(url);
  const close = async () => remote ? client.close() : await closeLocal(client);
  try {
    await migrate(client, name);
  } catch (error) {
    await close().catch(() => {});
    if (error instanceof CollmError) throw error;
    const why = faultOf(error).message;
    throw new CollmError("unavailable", `Cannot open database '${name}': ${why}`, { cause: error });
  }
  const { drizzle } = await loadDrizzleLibsql();
  return { name, remote, client, db: drizzle(client), close };
}
