/**
 * Steps the episodes whose agents have all acted. The step is a pure function of stored values, so
 * whoever finds a turn complete may take it (the host of the last action, or after its death the
 * next one to look), and of several the first is stored.
 */
import { type SQL, sql } from "../../../deps.ts";
import { stopsEarly } from "../../algorithms/early_stop.ts";
import type { Environment, PerAgent, StepResult } from "../../environments/environment.ts";
import { CollmError } from "../../errors.ts";
import type { EndStatus } from "../lifecycle.ts";
import { actions, completions, episodes, observations, steps } from "../schema.ts";
import { insertWhere, rowsAsV } from "../sql.ts";
import { resolver } from "./environments.ts";
import type { EpisodeLog } from "./types.ts";

/** Running episodes whose turn has as many actions as observations. */
const complete = sql`${episodes.status} = 'running' and
  (select count(*) from ${actions} where ${actions.episode_id} = ${episodes.id}
    and ${actions.turn} = ${episodes.turn}) =
  (select count(*) from ${observations} where ${observations.episode_id} = ${episodes.id}
    and ${observations.turn} = ${episodes.turn})`;

/** Two reads: the episodes in `scope` that are due for a step, and the actions of their turn. */
export function dueReads({ store: { db } }: EpisodeLog, scope: SQL) {
  const due = db.select({
    id: episodes.id,
    turn: episodes.turn,
    run_id: episodes.run_id,
    purpose: episodes.purpose,
    environment: episodes.environment,
    options: episodes.options,
    task: episodes.task,
    stop_above: episodes.stop_above,
    state: steps.state,
  }).from(episodes).innerJoin(
    steps,
    sql`${steps.episode_id} = ${episodes.id} and ${steps.turn} = ${episodes.turn} - 1`,
  ).where(sql`${scope} and ${complete}`);
  const texts = db.select({ id: episodes.id, agent: actions.agent, text: actions.text })
    .from(episodes).innerJoin(
      actions,
      sql`${actions.episode_id} = ${episodes.id} and ${actions.turn} = ${episodes.turn}`,
    ).where(sql`${scope} and ${complete}`);
  return [due, texts] as const;
}

type Due = Awaited<ReturnType<typeof dueReads>[0]>[number];
type Text = Awaited<ReturnType<typeof dueReads>[1]>[number];

/** What happens to an episode on one turn. */
export interface Outcome {
  episode: Pick<Due, "id" | "turn" | "run_id" | "purpose">;
  /** `null`: it fails without a step. */
  result: StepResult<unknown> | null;
  ended: { status: EndStatus; cause: string | null } | null;
}

/** Steps that are being taken by this process, by episode and turn. */
const underway = new WeakMap<EpisodeLog, Map<string, Promise<Outcome>>>();

/**
 * Takes the steps that are due, side by side. One that takes its time is taken once, however often
 * it is asked for meanwhile.
 * @returns what to write (`recordOutcomes`), and the episodes whose environment this process does
 * not have: they stay due for another host
 */
export async function takeSteps(
  log: EpisodeLog,
  due: readonly Due[],
  texts: readonly Text[],
): Promise<{ outcomes: Outcome[]; blocked: Map<string, CollmError> }> {
  const resolve = resolver(log);
  const joint = new Map<string, PerAgent<string>>(due.map(({ id }) => [id, {}]));
  for (const { id, agent, text } of texts) joint.get(id)![agent] = text;
  const shared = underway.get(log) ?? new Map<string, Promise<Outcome>>();
  underway.set(log, shared);
  const outcomes: Promise<Outcome>[] = [];
  const blocked = new Map<string, CollmError>();
  for (const episode of due) {
    let environment: Environment;
    try {
      environment = resolve(episode.environment, episode.options);
    } catch (error) {
      if (!(error instanceof CollmError)) throw error;
      blocked.set(episode.id, error);
      continue;
    }
    const key = `${episode.turn} ${episode.id}`;
    const taken = shared.get(key) ?? takeStep(environment, episode, joint.get(episode.id)!);
    shared.set(key, taken);
    outcomes.push(taken.finally(() => shared.delete(key)));
  }
  return { outcomes: await Promise.all(outcomes), blocked };
}

async function takeStep(
  environment: Environment,
  episode: Due,
  joint: PerAgent<string>,
): Promise<Outcome> {
  try {
    const result = await environment.step(episode.task, episode.state, joint);
    const odd = oddNumber(environment, result);
    if (odd) throw new Error(odd);
    const over = Object.keys(result.observations).length === 0 ||
      stopsEarly(environment.agents.map((a) => result.rewards[a]!), episode.stop_above) ||
      environment.agents.every((agent) => result.terminations[agent] || result.truncations[agent]);
    return { episode, result, ended: over ? { status: "finished", cause: null } : null };
  } catch (error) {
    // An environment that breaks ends the episode as failed: never as a reward of 0.
    const why = error instanceof Error ? error.message : String(error);
    const cause = `Cannot step environment '${environment.id}' on turn ${episode.turn}: ${why}`;
    return { episode, result: null, ended: { status: "failed", cause } };
  }
}

/** JSON would turn these into null. */
function oddNumber({ agents }: Environment, result: StepResult<unknown>): string | undefined {
  for (const agent of agents) {
    const reward = result.rewards[agent];
    if (!Number.isFinite(reward)) return `the reward of agent '${agent}' is ${reward}`;
  }
  const odd = Object.entries(result.components).find(([, value]) => !Number.isFinite(value));
  return odd && `component '${odd[0]}' is ${odd[1]}`;
}

/**
 * Statements that store outcomes: steps, observations of the next turn, completion log, and last
 * the episode itself, on whose turn and status all the others depend.
 */
export function recordOutcomes(log: EpisodeLog, outcomes: readonly Outcome[]): SQL[] {
  if (outcomes.length === 0) return [];
  const created_at = log.now();
  const runningAt = (turn: SQL) =>
    sql`exists (select 1 from ${episodes} where ${episodes.id} = v.episode_id
      and ${episodes.status} = 'running' and ${episodes.turn} = ${turn})`;
  const taken = outcomes.flatMap(({ episode, result }) => {
    if (!result) return [];
    const { observations: _, ...stored } = result;
    return [{ episode_id: episode.id, turn: episode.turn, ...stored, created_at }];
  });
  const next = outcomes.flatMap(({ episode, result, ended }) =>
    !result || ended ? [] : Object.entries(result.observations).map(([agent, seen]) => ({
      ...{ episode_id: episode.id, turn: episode.turn + 1, agent },
      ...{ text: seen.text, messages: seen.messages, info: result.infos[agent] ?? null },
    }))
  );
  const ends = outcomes.flatMap(({ episode: { id, run_id, purpose, turn }, ended }) =>
    ended ? [{ episode_id: id, run_id, purpose, turn, ...ended, created_at }] : []
  );
  const moves = outcomes.map(({ episode: { id, turn }, ended }) => (
    {
      id,
      ...ended ? { turn, ...ended } : { turn: turn + 1, status: "running" as const, cause: null },
    }
  ));
  return [
    ...insertWhere(steps, taken, runningAt(sql`v.turn`)),
    ...insertWhere(observations, next, runningAt(sql`v.turn - 1`)),
    ...insertWhere(completions, ends, runningAt(sql`v.turn`)),
    // An episode goes to the next turn or ends on this one.
    sql`with ${rowsAsV(episodes, moves)}
      update ${episodes} set turn = v.turn, status = v.status, cause = v.cause from v
      where ${episodes.id} = v.id and ${episodes.status} = 'running'
        and ${episodes.turn} = v.turn - (v.status = 'running')`,
  ];
}
