/**
 * Takes actions under the key (episode, turn, agent): exactly once, whatever is retried, raced or
 * late. Two round trips at most, however many actions; one bad action fails itself only.
 */
import { sql } from "../../../deps.ts";
import { CollmError, suggest } from "../../errors.ts";
import { EPISODE, refuseUnless } from "../lifecycle.ts";
import { actions, episodes, observations, steps } from "../schema.ts";
import { among, chunks, insertWhere, transact } from "../sql.ts";
import { actionHash, checkAction } from "./check.ts";
import { dueReads, recordOutcomes, takeSteps } from "./step.ts";
import type { ActionPost, ActionResult, EpisodeLog } from "./types.ts";

/** Actions per transaction: bounds the size of one request to a server. */
const BATCH = 256;

/** Takes actions; the result has one entry per post, in their order. */
export async function postActions(
  log: EpisodeLog,
  posts: readonly ActionPost[],
): Promise<ActionResult[]> {
  const results: ActionResult[] = [];
  for (const batch of chunks(posts, BATCH)) results.push(...await postBatch(log, batch));
  return results;
}

const keyOf = (episode_id: string, turn: number, agent: string) =>
  JSON.stringify([episode_id, turn, agent]);

async function postBatch(log: EpisodeLog, posts: ActionPost[]): Promise<ActionResult[]> {
  const checked = posts.map((post) => attempt(() => (checkAction(post), actionHash(post))));
  const created_at = log.now();
  const rows = posts.flatMap((post, at) => {
    const payload_hash = checked[at]!;
    if (payload_hash instanceof CollmError) return [];
    const { episode_id, turn, agent, text, prompt_tokens, tokens, logprobs } = post;
    const { policy_version, sampling, seed } = post;
    return [{
      ...{ episode_id, turn, agent, text, prompt_tokens, tokens, logprobs },
      ...{ policy_version, sampling, seed, payload_hash, created_at },
    }];
  });
  const [insert] = insertWhere(
    actions,
    rows,
    sql`exists (select 1 from ${episodes} where ${episodes.id} = v.episode_id
        and ${episodes.status} = 'running' and ${episodes.turn} = v.turn)
      and exists (select 1 from ${observations} where ${observations.episode_id} = v.episode_id
        and ${observations.turn} = v.turn and ${observations.agent} = v.agent)`,
  );
  if (!insert) return checked.map((error) => ({ status: "error", error: error as CollmError }));

  const { db } = log.store;
  const ids = [...new Set(rows.map(({ episode_id }) => episode_id))];
  const turns = JSON.stringify(rows.map(({ episode_id, turn }) => [episode_id, turn]));
  const onTurns = (table: typeof actions | typeof steps) =>
    sql`(${table.episode_id}, ${table.turn}) in
      (select value ->> 0, value ->> 1 from json_each(${turns}))`;
  const readEpisodes = db.select({
    id: episodes.id,
    status: episodes.status,
    turn: episodes.turn,
    agents: episodes.agents,
  }).from(episodes).where(among(episodes.id, ids));
  const readSteps = db.select({
    id: steps.episode_id,
    turn: steps.turn,
    rewards: steps.rewards,
  }).from(steps).where(onTurns(steps));
  const returning = sql`${insert} returning episode_id, turn, agent`;
  const [inserted, stored, due, texts, ...before] = await transact(log.store, [], [
    db.all<{ episode_id: string; turn: number; agent: string }>(returning),
    db.select({
      id: actions.episode_id,
      turn: actions.turn,
      agent: actions.agent,
      payload_hash: actions.payload_hash,
    }).from(actions).where(onTurns(actions)),
    ...dueReads(log, among(episodes.id, ids)),
    readEpisodes,
    readSteps,
  ]);
  const { outcomes, blocked } = await takeSteps(log, due, texts);
  const [nowEpisodes, nowSteps] = outcomes.length > 0
    ? await transact(log.store, recordOutcomes(log, outcomes), [readEpisodes, readSteps])
    : before;
  if (inserted.length > 0 || outcomes.length > 0) log.changed(ids);

  const fresh = new Set(inserted.map((row) => keyOf(row.episode_id, row.turn, row.agent)));
  const hashes = new Map(
    stored.map((row) => [keyOf(row.id, row.turn, row.agent), row.payload_hash]),
  );
  const rewards = new Map(nowSteps.map((row) => [keyOf(row.id, row.turn, ""), row.rewards]));
  const byId = new Map(nowEpisodes.map((row) => [row.id, row]));
  return posts.map((post, at) => {
    const hash = checked[at]!;
    if (hash instanceof CollmError) return { status: "error", error: hash };
    const error = blocked.get(post.episode_id);
    if (error) return { status: "error", error };
    const episode = byId.get(post.episode_id);
    const key = keyOf(post.episode_id, post.turn, post.agent);
    const refused = attempt(() => refuse(post, hash, episode, hashes.get(key)));
    if (refused instanceof CollmError) return { status: "error", error: refused };
    const reward = rewards.get(keyOf(post.episode_id, post.turn, ""))?.[post.agent];
    return {
      // The first of two equal posts in one call is the one that was stored.
      status: fresh.delete(key) ? "stored" : "repeated",
      turn: post.turn,
      episode_status: episode!.status,
      ...(reward === undefined ? {} : { reward }),
    };
  });
}

function attempt<T>(call: () => T): T | CollmError {
  try {
    return call();
  } catch (error) {
    if (error instanceof CollmError) return error;
    throw error;
  }
}

/** Throws why a post was not taken; `stored` is the hash under its key, if there is one. */
function refuse(
  { episode_id, turn, agent }: ActionPost,
  hash: string,
  episode: { status: keyof typeof EPISODE; turn: number; agents: string[] } | undefined,
  stored: string | undefined,
): void {
  const act = `post action of agent '${agent}' on turn ${turn}`;
  const name = `episode '${episode_id}'`;
  if (!episode) throw new CollmError("not_found", `Cannot ${act}: ${name} does not exist`);
  if (stored === hash) return;
  if (stored !== undefined) {
    throw new CollmError(
      "conflict",
      `Cannot step ${name}: agent '${agent}' already acted on turn ${turn} with another payload`,
    );
  }
  if (!episode.agents.includes(agent)) {
    throw new CollmError(
      "not_found",
      `Cannot ${act}: ${name} has no such agent, ${suggest(agent, episode.agents)}`,
    );
  }
  refuseUnless(EPISODE, episode.status, "act", act, name);
  const why = episode.turn === turn
    ? `agent '${agent}' has no observation on this turn`
    : `it is on turn ${episode.turn}`;
  throw new CollmError("conflict", `Cannot ${act} of ${name}: ${why}`);
}
