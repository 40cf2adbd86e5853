/**
 * A libSQL client with every call sent through one function (a lock, a retry), and a mode for
 * every batch: drizzle names none, and a deferred batch that upgrades meets SQLITE_BUSY. Leaves out
 * interactive transactions: they hold the one connection over awaits.
 */
import type { LibsqlClient } from "../../deps.ts";
import { CollmError } from "../errors.ts";

/** Runs one database call; what it throws is what the caller sees. */
export type Around = <T>(call: () => Promise<T>) => Promise<T>;

/** `client` with `execute` and `batch` sent through `around`; anything else is refused. */
export function guarded(client: LibsqlClient, around: Around): LibsqlClient {
  const refuse = (what: string) => () =>
    Promise.reject(
      new CollmError("internal", `Cannot call '${what}' on the store: write in one batch instead`),
    );
  const execute = (statement: never, args: never) =>
    around(() => client.execute(statement, args) as ReturnType<LibsqlClient["execute"]>);
  return {
    execute: execute as LibsqlClient["execute"],
    batch: (statements, mode = modeOf(statements)) => around(() => client.batch(statements, mode)),
    transaction: refuse("transaction") as LibsqlClient["transaction"],
    executeMultiple: refuse("executeMultiple"),
    migrate: refuse("migrate"),
    sync: refuse("sync"),
    reconnect: refuse("reconnect"),
    close: () => client.close(),
    get closed() {
      return client.closed;
    },
    get protocol() {
      return client.protocol;
    },
  };
}

/** "read" when nothing but selects is in the batch. */
function modeOf(statements: Parameters<LibsqlClient["batch"]>[0]): "read" | "write" {
  const text = (one: typeof statements[number]) =>
    typeof one === "string" ? one : Array.isArray(one) ? one[0] : one.sql;
  return statements.every((one) => /^\s*select\b/i.test(text(one))) ? "read" : "write";
}

/** The code and the message of whatever a driver threw (drizzle wraps it in `cause`). */
export function faultOf(error: unknown): { code: string; message: string } {
  let at: unknown = error;
  for (let depth = 0; depth < 5; depth++) {
    if (!(at instanceof Error)) break;
    const code = (at as { code?: unknown }).code;
    if (typeof code === "string" && code !== "") return { code, message: at.message };
    if (at.cause === undefined) return { code: at.name, message: at.message };
    at = at.cause;
  }
  return { code: "", message: String(error) };
}
