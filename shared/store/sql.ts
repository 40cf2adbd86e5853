/**
 * Statements over many rows at once: the episode log serves whole batches in a few round trips.
 * Leaves out single-row queries: drizzle's builder does those.
 */
import { type BatchItem, getTableColumns, type SQL, sql, type SQLiteTable } from "../../deps.ts";
import type { Store } from "./connect.ts";

/** SQLite takes 32 766 values per statement. */
const VALUES = 30_000;

/** `items` in runs of at most `size`. */
export function chunks<T>(items: readonly T[], size: number): T[][] {
  const runs: T[][] = [];
  for (let at = 0; at < items.length; at += size) runs.push(items.slice(at, at + size));
  return runs;
}

/**
 * Statements that insert the rows whose keys are free and for which `guard` holds; in it `v` is
 * the row. So a retry, a late write and the loser of a race all change nothing.
 * @param rows all with the same keys, which are column names of `table`
 */
export function insertWhere<T extends SQLiteTable>(
  table: T,
  rows: readonly T["$inferInsert"][],
  guard: SQL,
): SQL[] {
  if (rows.length === 0) return [];
  const keys = Object.keys(rows[0]!);
  const columns = getTableColumns(table);
  const names = sql.join(keys.map((key) => sql.identifier(key)), sql`, `);
  const tuple = (row: Record<string, unknown>) =>
    sql`(${sql.join(keys.map((key) => sql.param(row[key] ?? null, columns[key]!)), sql`, `)})`;
  return chunks(rows, Math.floor(VALUES / keys.length)).map((run) =>
    sql`with v(${names}) as (values ${sql.join(run.map(tuple), sql`, `)})
      insert or ignore into ${table} (${names}) select ${names} from v where ${guard}`
  );
}

/** `key in (…)` for any number of strings, sent as one value. */
export function among(key: unknown, ids: readonly string[]): SQL {
  return sql`${key} in (select value from json_each(${JSON.stringify(ids)}))`;
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
