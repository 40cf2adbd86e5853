/**
 * Tells waiting hosts that episodes changed: at once inside a process, by polling a few row
 * numbers for what other processes wrote. Leaves out what changed: listeners look again.
 */
import { sql } from "../../../deps.ts";
import type { Store } from "../connect.ts";
import { completions, episodes, steps } from "../schema.ts";
import { transact } from "../sql.ts";

/** Called with the ids of episodes that were opened, acted on, stepped or ended. */
export type ChangeListener = (episode_ids: string[]) => void;

export interface Changes {
  /** @returns how to stop listening */
  listen(listener: ChangeListener): () => void;
  emit(episode_ids: string[]): void;
  /** Looks once for what any process wrote since the last look, and emits it. */
  poll(): Promise<void>;
}

/** Most rows per table and look; the rest comes with the next one. */
const LIMIT = 1000;

/** A feed that starts at the present. */
export async function createChanges(store: Store): Promise<Changes> {
  const { db } = store;
  const listeners = new Set<ChangeListener>();
  const emit = (ids: string[]) => {
    if (ids.length > 0) { for (const listener of [...listeners]) listener(ids); }
  };
  const tables = [
    { table: episodes, id: episodes.id },
    { table: steps, id: steps.episode_id },
    { table: completions, id: completions.episode_id },
  ];
  const last = await transact(
    store,
    [],
    tables.map(({ table }) =>
      db.select({ at: sql<number>`coalesce(max(${table}.rowid), 0)` }).from(table)
    ),
  );
  const seen = last.map(([row]) => row!.at);
  return {
    emit,
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async poll() {
      const news = await transact(
        store,
        [],
        tables.map(({ table, id }, at) => {
          const row = sql<number>`${table}.rowid`;
          return db.select({ id, at: row }).from(table)
            .where(sql`${row} > ${seen[at]}`).orderBy(row).limit(LIMIT);
        }),
      );
      news.forEach((rows, at) => seen[at] = Math.max(seen[at]!, rows.at(-1)?.at ?? 0));
      emit([...new Set(news.flat().map(({ id }) => id))]);
    },
  };
}
