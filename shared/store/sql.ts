/**
 * Statements over many rows at once: the episode log serves whole batches in a few round trips.
 * Leaves out single-row queries: drizzle's builder does those.
 */
import { type BatchItem, getTableColumns, type SQL, sql, type SQLiteTable } from "../../deps.ts";
import type { Store } from "./connect.ts";

/** `items` in runs of at most `size`. */
export function chunks<T>(items: readonly T[], size: number): T[][] {
  const runs: T[][] = [];
  for (let at = 0; at < items.length; at += size) runs.push(items.slice(at, at + size));
  return runs;
}

/**
 * A statement that inserts the rows whose keys are free and for which `guard` holds; in it `v` is
 * the row. So a retry, a late write and the loser of a race all change nothing. The rows travel as
 * one JSON value: that is several times faster than a value per cell, and has no limit.
 * @param rows all with the same keys, which are column names of `table`, none of them `real`
 */
export function insertWhere<T extends SQLiteTable>(
  table: T,
  rows: readonly T["$inferInsert"][],
  guard: SQL,
): SQL[] {
  if (rows.length === 0) return [];
  const keys = Object.keys(rows[0]!);
  const names = sql.join(keys.map((key) => sql.identifier(key)), sql`, `);
  return [
    sql`with ${rowsAsV(table, rows)}
      insert or ignore into ${table} (${names}) select ${names} from v where ${guard}`,
  ];
}

/** `v(…) as (…)`: rows as a table of that name, for a `with`. */
export function rowsAsV<T extends SQLiteTable>(
  table: T,
  rows: readonly Partial<T["$inferInsert"]>[],
): SQL {
  const keys = Object.keys(rows[0]!);
  const columns = getTableColumns(table);
  const encode = (row: Record<string, unknown>) =>
    keys.map((key) => row[key] == null ? null : columns[key]!.mapToDriverValue(row[key]));
  const names = sql.join(keys.map((key) => sql.identifier(key)), sql`, `);
  const cells = sql.join(keys.map((_, at) => sql.raw(`value ->> ${at}`)), sql`, `);
  const text = JSON.stringify(rows.map(encode));
  return sql`v(${names}) as (select ${cells} from json_each(${text}))`;
}

/** `key in (…)` for any number of strings, sent as one value. */
export function among(key: unknown, ids: readonly string[]): SQL {
  return sql`${key} in (select value from json_each(${JSON.stringify(ids)}))`;
}

/**
 * One query on its own. Sent as a batch: alone, drizzle would wrap the store's errors in its own,
 * which quote the statement and its values.
 */
export async function ask<Q extends BatchItem<"sqlite">>(
  store: Store,
  query: Q,
): Promise<Q["_"]["result"]> {
  return (await transact(store, [], [query]))[0];
}

/** Writes, then reads what holds after them, in one transaction and one round trip. */
export async function transact<const R extends readonly BatchItem<"sqlite">[]>(
  { db }: Store,
  writes: readonly SQL[],
  reads: R,
): Promise<{ -readonly [K in keyof R]: R[K]["_"]["result"] }> {
  const items = [...writes.map((write) => db.run(write)), ...reads];
  const results: unknown[] = await db.batch(items as [BatchItem<"sqlite">]);
  return results.slice(writes.length) as never;
}
