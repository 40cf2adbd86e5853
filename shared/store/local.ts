/**
 * A `file:` database: one process, one connection, one call at a time. A second connection would
 * have to wait inside native code, and after one SQLITE_BUSY a connection of this driver answers
 * wrongly; so the file is locked for this process and such an error ends the store.
 */
import { type LibsqlClient, loadLibsql } from "../../deps.ts";
import { CollmError } from "../errors.ts";
import { faultOf, guarded } from "./guarded.ts";
import { limit } from "./limit.ts";

/** After these the connection, or the file, cannot be trusted any more. */
const FATAL: Record<string, string> = {
  SQLITE_BUSY: "another process owns it",
  SQLITE_LOCKED: "another process owns it",
  SQLITE_CORRUPT: "the file is corrupt",
  SQLITE_NOTADB: "the file is corrupt or not a database",
  SQLITE_IOERR: "the disk reports an error",
  SQLITE_CANTOPEN: "the file or its folder is not writable",
  SQLITE_PROTOCOL: "the file cannot be locked",
};
/** After these the statement is undone and the connection goes on. */
const REFUSED: Record<string, string> = {
  SQLITE_FULL: "the disk is full",
  SQLITE_READONLY: "the file or its folder is not writable",
};

/** Opens, locks and checks a `file:` database. @throws CollmError `unavailable` */
export async function openLocal(url: string): Promise<LibsqlClient> {
  let doing = "open";
  let broken: CollmError | undefined;
  const sentence = (why: string, cause?: unknown) =>
    new CollmError("unavailable", `Cannot ${doing} database '${url}': ${why}`, { cause });

  await checkPlace(url, sentence);
  const { createClient } = await loadLibsql();
  let raw: LibsqlClient;
  try {
    raw = createClient({ url, concurrency: 1 });
  } catch (error) {
    throw sentence(FATAL[faultOf(error).code] ?? FATAL.SQLITE_CANTOPEN!, error);
  }
  const lock = limit(1);
  const client = guarded(raw, (call) =>
    lock(async () => {
      if (broken) throw broken;
      try {
        return await call();
      } catch (error) {
        const { code } = faultOf(error);
        const why = FATAL[code] ?? REFUSED[code];
        if (why === undefined) throw error;
        const told = sentence(why, error);
        if (code in FATAL) broken = told;
        throw told;
      }
    }));
  try {
    await client.execute("pragma locking_mode = exclusive");
    const mode = (await client.execute("pragma journal_mode = wal")).rows[0]?.journal_mode;
    if (mode !== "wal") throw sentence(`its journal mode is '${mode}', not 'wal'`);
    await client.execute("pragma synchronous = normal");
    await client.execute("pragma foreign_keys = on");
    const checked = await client.execute("pragma quick_check(1)");
    if (checked.rows[0]?.quick_check !== "ok") throw sentence(FATAL.SQLITE_CORRUPT!);
  } catch (error) {
    raw.close();
    throw error;
  }
  doing = "use";
  return client;
}

/**
 * Folds the log into the file, gives the lock back and closes. Closing alone would keep the lock
 * until garbage collection.
 */
export async function closeLocal(client: LibsqlClient): Promise<void> {
  try {
    await client.execute("pragma journal_mode = delete");
    await client.execute("pragma locking_mode = normal");
    await client.execute("select count(*) from sqlite_master");
  } finally {
    client.close();
  }
}

/** Says which part of the path is wrong, which the driver's error does not. */
async function checkPlace(url: string, sentence: (why: string) => CollmError): Promise<void> {
  const path = decodeURIComponent(url.slice("file:".length).replace(/^\/\/(localhost)?/, ""))
    .replace(/[?#].*$/, "");
  if (path === "" || path.startsWith(":memory:")) {
    throw new CollmError("invalid_request", sentence("it names no file").message);
  }
  const slash = path.lastIndexOf("/");
  const folder = slash < 0 ? "." : path.slice(0, slash) || "/";
  const [file, parent] = await Promise.all(
    [path, folder].map((at) => Deno.stat(at).catch(() => 0)),
  );
  if (!parent) throw sentence(`folder '${folder}' does not exist`);
  if (typeof parent === "object" && !parent.isDirectory) {
    throw sentence(`'${folder}' is not a folder`);
  }
  if (typeof file === "object" && file.isDirectory) throw sentence("it is a folder, not a file");
}
