/**
 * What one agent may see: its own observation of the current turn and nothing of another agent's.
 * Leaves out who asks: the edge checks the agent's token.
 */
import { type SQL, sql } from "../../../deps.ts";
import { CollmError, suggest } from "../../errors.ts";
import { seedOf } from "../../random.ts";
import { actions, episodes, observations } from "../schema.ts";
import { among, transact } from "../sql.ts";
import { dueReads, recordOutcomes, takeSteps } from "./step.ts";
import type { AgentView, EpisodeLog } from "./types.ts";

/** What `agent` sees of these episodes, in their order. @throws CollmError `not_found` */
export async function observationsOf(
  log: EpisodeLog,
  agent: string,
  episode_ids: readonly string[],
): Promise<AgentView[]> {
  const scope = among(episodes.id, episode_ids);
  const rows = await afterDueSteps(log, scope, selectViews(log, agent).where(scope));
  const byId = new Map(rows.map((row) => [row.episode_id, row]));
  return episode_ids.map((id) => {
    const act = `observe episode '${id}' as agent '${agent}'`;
    const row = byId.get(id);
    if (!row) throw new CollmError("not_found", `Cannot ${act}: it does not exist`);
    if (!row.agents.includes(agent)) {
      throw new CollmError(
        "not_found",
        `Cannot ${act}: it has no such agent, ${suggest(agent, row.agents)}`,
      );
    }
    return viewOf(agent, row);
  });
}

/**
 * Episodes that wait for `agent`, oldest first; of one run, or of all when `run_id` is `null`.
 * Evaluations are left out: whoever evaluates plays them itself.
 */
export async function pendingOf(
  log: EpisodeLog,
  agent: string,
  run_id: string | null,
  limit: number,
): Promise<AgentView[]> {
  const scope = run_id === null ? sql`true` : sql`${episodes.run_id} = ${run_id}`;
  const waiting = selectViews(log, agent)
    .where(
      sql`${scope} and ${episodes.status} = 'running' and ${episodes.purpose} <> 'evaluate'
        and ${observations.agent} = ${agent}
        and ${actions.agent} is null`,
    ).orderBy(sql`${episodes}.rowid`).limit(limit);
  return (await afterDueSteps(log, scope, waiting)).map((row) => viewOf(agent, row));
}

function selectViews({ store: { db } }: EpisodeLog, agent: string) {
  const ofTurn = (table: typeof observations | typeof actions) =>
    sql`${table.episode_id} = ${episodes.id} and ${table.turn} = ${episodes.turn}
      and ${table.agent} = ${agent}`;
  return db.select({
    episode_id: episodes.id,
    status: episodes.status,
    turn: episodes.turn,
    cause: episodes.cause,
    agents: episodes.agents,
    seed: episodes.seed,
    turn_seeds: episodes.turn_seeds,
    text: observations.text,
    messages: observations.messages,
    acted: actions.agent,
  }).from(episodes)
    .leftJoin(observations, ofTurn(observations))
    .leftJoin(actions, ofTurn(actions)).$dynamic();
}

type View = Awaited<ReturnType<typeof selectViews>>[number];

/** Runs `read`; when a step in `scope` was left undone by a process that died, takes it first. */
async function afterDueSteps(
  log: EpisodeLog,
  scope: SQL,
  read: ReturnType<typeof selectViews>,
): Promise<View[]> {
  const [rows, due, texts] = await transact(log.store, [], [read, ...dueReads(log, scope)]);
  const { outcomes } = await takeSteps(log, due, texts);
  if (outcomes.length === 0) return rows;
  const [now] = await transact(log.store, recordOutcomes(log, outcomes), [read]);
  log.changed(outcomes.map(({ episode }) => episode.id));
  return now;
}

function viewOf(agent: string, row: View): AgentView {
  const { episode_id, turn, cause, text, messages, acted } = row;
  const view = { episode_id, agent, turn, cause, seed: actingSeed(row, turn, agent) };
  if (row.status !== "running") return { ...view, status: row.status, observation: null };
  const observation = text === null ? null : { turn, text, messages };
  // Without an observation it is not this agent's turn: it waits for the others.
  return { ...view, status: observation && acted === null ? "waiting" : "acted", observation };
}

/** Seed of one agent's action; it depends on nothing that is decided while the episode runs. */
function actingSeed({ seed, turn_seeds }: View, turn: number, agent: string): number {
  return seedOf(turn_seeds?.[turn - 1] ?? seed, turn, agent);
}
