/**
 * Ends episodes as failed, with a cause and without a reward: a host was lost, a sandbox crashed,
 * a deadline passed. Leaves out environments that break while stepping (step.ts).
 */
import { and, eq, sql } from "../../../deps.ts";
import { CollmError } from "../../errors.ts";
import { EPISODE, refuseUnless } from "../lifecycle.ts";
import { actions, episodes, observations } from "../schema.ts";
import { transact } from "../sql.ts";
import { episodesOf, selectEpisodes } from "./read.ts";
import { dueReads, recordOutcomes, takeSteps } from "./step.ts";
import type { Episode, EpisodeLog } from "./types.ts";

/**
 * Ends an episode as failed. The same cause again is a retry.
 * @throws CollmError `not_found`, `conflict` when the episode has ended otherwise
 */
export async function failEpisode(log: EpisodeLog, id: string, cause: string): Promise<void> {
  if (cause === "") {
    throw new CollmError("invalid_request", `Cannot fail episode '${id}': cause is empty`);
  }
  for (;;) {
    const [episode] = await episodesOf(log, [id]);
    if (episode!.status === "failed" && episode!.cause === cause) return;
    refuseUnless(EPISODE, episode!.status, "fail", "fail it", `episode '${id}'`);
    // Another turn may begin meanwhile, and then nothing is written: look again.
    await endAsFailed(log, [{ episode: episode!, cause }]);
  }
}

/** Fails running episodes whose deadline has passed. @returns their ids */
export async function failExpired(log: EpisodeLog, now: number = log.now()): Promise<string[]> {
  const { db } = log.store;
  const expired = and(
    eq(episodes.status, "running"),
    sql`${episodes.deadline_at} <= ${now}`,
  )!;
  // A complete turn is stepped first: nobody is late on it.
  const [due, texts] = await transact(log.store, [], dueReads(log, expired));
  const { outcomes } = await takeSteps(log, due, texts);
  const late = db.select({
    id: episodes.id,
    turn: episodes.turn,
    run_id: episodes.run_id,
    purpose: episodes.purpose,
  }).from(episodes).where(expired);
  const ofTurn = (table: typeof observations | typeof actions) =>
    sql`${table.episode_id} = ${episodes.id} and ${table.turn} = ${episodes.turn}`;
  const missing = db.select({ id: episodes.id, agent: observations.agent }).from(episodes)
    .innerJoin(observations, ofTurn(observations))
    .leftJoin(actions, sql`${ofTurn(actions)} and ${actions.agent} = ${observations.agent}`)
    .where(sql`${expired} and ${actions.agent} is null`);
  const [rows, silent] = await transact(log.store, recordOutcomes(log, outcomes), [late, missing]);
  log.changed(outcomes.map(({ episode }) => episode.id));
  return await endAsFailed(
    log,
    rows.map((episode) => {
      const agents = silent.filter(({ id }) => id === episode.id).map(({ agent }) => `'${agent}'`);
      const why = agents.length > 0
        ? `without an action of agent ${agents.join(", ")}`
        : "before any host could take its step";
      return { episode, cause: `Deadline passed on turn ${episode.turn} ${why}` };
    }),
  );
}

/** @returns ids of those that did fail: not the ones that moved on meanwhile */
async function endAsFailed(
  log: EpisodeLog,
  failures: { episode: Pick<Episode, "id" | "turn" | "run_id" | "purpose">; cause: string }[],
): Promise<string[]> {
  if (failures.length === 0) return [];
  const outcomes = failures.map(({ episode, cause }) => ({
    episode,
    result: null,
    ended: { status: "failed" as const, cause },
  }));
  const ids = failures.map(({ episode }) => episode.id);
  const [after] = await transact(log.store, recordOutcomes(log, outcomes), [
    selectEpisodes(log, ids),
  ]);
  const causes = new Map(failures.map(({ episode, cause }) => [episode.id, cause]));
  const failed = after.filter(({ id, status, cause }) =>
    status === "failed" && cause === causes.get(id)
  ).map(({ id }) => id);
  log.changed(failed);
  return failed;
}
