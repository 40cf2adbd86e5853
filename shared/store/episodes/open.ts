/**
 * Opens episodes: reset, then the episode, its first observations and its first state in one
 * transaction. Leaves out choosing items and seeds: the learner does.
 */
import { sql } from "../../../deps.ts";
import { CollmError } from "../../errors.ts";
import { episodes, observations, runs, steps } from "../schema.ts";
import { chunks, insertWhere, transact } from "../sql.ts";
import { checkSpec, specHash } from "./check.ts";
import { resolver } from "./environments.ts";
import { selectEpisodes } from "./read.ts";
import type { Episode, EpisodeLog, EpisodeSpec } from "./types.ts";

/** Episodes per transaction: bounds the size of one request to a server. */
const BATCH = 256;

/**
 * Opens episodes, or finds those that the same specs opened before; in the order of `specs`.
 * A retry after an error opens what is missing.
 * @throws CollmError `invalid_request` (a field), `not_found` (run), `conflict` (the id is taken
 * by another spec); what the environment's `reset` throws
 */
export async function openEpisodes(
  log: EpisodeLog,
  specs: readonly EpisodeSpec[],
): Promise<Episode[]> {
  const resolve = resolver(log);
  const opened: Episode[] = [];
  for (const batch of chunks(specs, BATCH)) opened.push(...await openBatch(log, batch, resolve));
  return opened;
}

async function openBatch(
  log: EpisodeLog,
  specs: EpisodeSpec[],
  resolve: EpisodeLog["resolve"],
): Promise<Episode[]> {
  const created_at = log.now();
  const hashes = new Map<string, string>();
  const resets = await Promise.all(specs.map(async (spec) => {
    const environment = resolve(spec.environment, spec.options);
    checkSpec(spec, environment);
    const spec_hash = specHash(spec);
    if ((hashes.get(spec.id) ?? spec_hash) !== spec_hash) throw taken(spec.id);
    hashes.set(spec.id, spec_hash);
    const { id, run_id, options, item_id, task, seed, turn_seeds, stop_above } = spec;
    const { purpose, policy_versions, deadline_at } = spec;
    const row = {
      ...{ id, run_id, environment: spec.environment, options, item_id, task, seed },
      ...{ turn_seeds, stop_above, purpose },
      ...{ policy_versions, agents: [...environment.agents], deadline_at, spec_hash },
      ...{ status: "running" as const, turn: 1, created_at },
    };
    return { row, ...await environment.reset(task, seed) };
  }));
  const opened = sql`exists (select 1 from ${episodes} where ${episodes.id} = v.episode_id)`;
  const [found] = await transact(log.store, [
    ...insertWhere(
      episodes,
      resets.map(({ row }) => row),
      sql`v.run_id is null or exists (select 1 from ${runs} where ${runs.id} = v.run_id)`,
    ),
    // Before the state: where that exists the episode was opened earlier, maybe by another spec.
    ...insertWhere(
      observations,
      resets.flatMap(({ row, observations, infos }) =>
        Object.entries(observations).map(([agent, { text, messages }]) => (
          { episode_id: row.id, turn: 1, agent, text, messages, info: infos[agent] ?? null }
        ))
      ),
      sql`${opened} and not exists
        (select 1 from ${steps} where ${steps.episode_id} = v.episode_id)`,
    ),
    ...insertWhere(
      steps,
      resets.map(({ row, state }) => ({ episode_id: row.id, turn: 0, state, created_at })),
      opened,
    ),
  ], [selectEpisodes(log, [...hashes.keys()])]);
  log.changed([...hashes.keys()]);

  const byId = new Map(found.map((episode) => [episode.id, episode]));
  return specs.map((spec) => {
    const episode = byId.get(spec.id);
    if (!episode) {
      throw new CollmError(
        "not_found",
        `Cannot open episode '${spec.id}': run '${spec.run_id}' does not exist`,
      );
    }
    const { spec_hash, ...rest } = episode;
    if (spec_hash !== hashes.get(spec.id)) throw taken(spec.id);
    return rest;
  });
}

function taken(id: string): CollmError {
  return new CollmError(
    "conflict",
    `Cannot open episode '${id}': the id is taken by an episode with another spec`,
  );
}
