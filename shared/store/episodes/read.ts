/**
 * Reads whole episodes: their records, the completion log past a cursor, and transcripts with
 * everything a learner needs. Leaves out what a single agent may see (observe.ts).
 */
import { and, asc, eq, getTableColumns, gt } from "../../../deps.ts";
import type { PerAgent } from "../../environments/environment.ts";
import { CollmError } from "../../errors.ts";
import { actions, completions, episodes, observations, steps } from "../schema.ts";
import { among, ask, chunks, transact } from "../sql.ts";
import type { CompletionEntry, Episode, EpisodeLog, Transcript } from "./types.ts";

/** Episodes per read of transcripts: a server's answer may have 10 MB. */
const BATCH = 32;

/** Select of whole episodes by id, in no particular order. */
export function selectEpisodes({ store: { db } }: EpisodeLog, ids: readonly string[]) {
  const { created_at: _, ...columns } = getTableColumns(episodes);
  return db.select(columns).from(episodes).where(among(episodes.id, ids));
}

/** Episodes in the order of `ids`. @throws CollmError `not_found` naming the first unknown id */
export async function episodesOf(log: EpisodeLog, ids: readonly string[]): Promise<Episode[]> {
  const rows = await ask(log.store, selectEpisodes(log, ids));
  const byId = new Map(rows.map(({ spec_hash: _, ...episode }) => [episode.id, episode]));
  return ids.map((id) => {
    const episode = byId.get(id);
    if (!episode) {
      throw new CollmError("not_found", `Cannot read episode '${id}': it does not exist`);
    }
    return episode;
  });
}

/** Ended episodes past a cursor, in the order they ended; of all runs when `run_id` is `null`. */
export async function completionsOf(
  { store }: EpisodeLog,
  run_id: string | null,
  after_cursor: number,
  limit: number,
): Promise<CompletionEntry[]> {
  const { created_at: _, turn: __, ...columns } = getTableColumns(completions);
  const after = gt(completions.cursor, after_cursor);
  const entries = store.db.select(columns).from(completions)
    .where(run_id === null ? after : and(eq(completions.run_id, run_id), after))
    .orderBy(asc(completions.cursor)).limit(limit);
  return await ask(store, entries);
}

/** What the environment reported with the step of a turn; `null` where it was not taken. */
export async function infosOf(
  { store }: EpisodeLog,
  episode_id: string,
  turn: number,
): Promise<PerAgent<Record<string, unknown>> | null> {
  const [row] = await ask(
    store,
    store.db.select({ infos: steps.infos }).from(steps)
      .where(and(eq(steps.episode_id, episode_id), eq(steps.turn, turn))),
  );
  return row?.infos ?? null;
}

/** Everything about these episodes, in their order. @throws CollmError `not_found` */
export async function transcriptsOf(
  log: EpisodeLog,
  episode_ids: readonly string[],
): Promise<Transcript[]> {
  const found: Transcript[] = [];
  for (const ids of chunks(episode_ids, BATCH)) found.push(...await readTranscripts(log, ids));
  return found;
}

async function readTranscripts(log: EpisodeLog, ids: string[]): Promise<Transcript[]> {
  const { db } = log.store;
  const { payload_hash: _, created_at: __, ...action } = getTableColumns(actions);
  const [heads, seen, acted, stepped] = await transact(log.store, [], [
    selectEpisodes(log, ids),
    db.select().from(observations).where(among(observations.episode_id, ids)),
    db.select(action).from(actions).where(among(actions.episode_id, ids)),
    db.select({
      episode_id: steps.episode_id,
      turn: steps.turn,
      rewards: steps.rewards,
      components: steps.components,
    }).from(steps).where(among(steps.episode_id, ids)),
  ]);
  const key = (row: { episode_id: string; turn: number; agent?: string }) =>
    JSON.stringify([row.episode_id, row.turn, row.agent]);
  const seenAt = new Map(seen.map((row) => [key(row), row]));
  const actedAt = new Map(acted.map((row) => [key(row), row]));
  const steppedAt = new Map(stepped.map((row) => [key(row), row]));
  const headOf = new Map(heads.map(({ spec_hash: _, ...head }) => [head.id, head]));

  return ids.map((episode_id) => {
    const head = headOf.get(episode_id);
    if (!head) {
      throw new CollmError(
        "not_found",
        `Cannot read transcript of episode '${episode_id}': it does not exist`,
      );
    }
    const turns = Array.from({ length: head.turn }, (_, at) => {
      const turn = at + 1;
      const agents = Object.fromEntries(head.agents.flatMap((agent) => {
        const seen = seenAt.get(key({ episode_id, turn, agent }));
        if (!seen) return [];
        const { text, messages, info } = seen;
        const action = actedAt.get(key({ episode_id, turn, agent }));
        return [[agent, {
          observation: { turn, text, messages },
          info,
          action: action ? payloadOf(action) : null,
        }]];
      }));
      const { rewards = null, components = null } = steppedAt.get(key({ episode_id, turn })) ?? {};
      return { turn, agents, rewards, components };
    });
    return { ...head, turns };
  });
}

function payloadOf<T extends { episode_id: string; turn: number; agent: string }>(row: T) {
  const { episode_id: _, turn: __, agent: ___, ...payload } = row;
  return payload;
}
