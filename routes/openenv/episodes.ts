/**
 * Episodes as OpenEnv plays them: reset opens one in the store or joins one there is, step posts
 * the actions of a view and waits until the turn is over. A view is that of the whole team or of
 * one agent; agents of one episode may come over different edges. Leaves out transport.
 */
import { actionTexts } from "../../shared/environments/actions.ts";
import type { Environment, PerAgent } from "../../shared/environments/environment.ts";
import { CollmError, suggest } from "../../shared/errors.ts";
import { seedOf } from "../../shared/random.ts";
import type { Episode, Transcript } from "../../shared/store/episodes.ts";
import { jointAction, ownAction, type ResetData, type Seen } from "../../shared/wire/openenv.ts";
import { parse } from "../../shared/wire/parse.ts";
import { requireEpisodes } from "../auth.ts";
import { type Edge, episodesOf, type Principal } from "../edge.ts";

/** Who plays what. */
export interface View {
  environment: string;
  /** One agent's view; `null`: that of the whole team. */
  agent: string | null;
  principal: Principal;
}

/** Milliseconds after its opening when an episode that was left alone fails. */
const LIFETIME_MS = 3_600_000;
/** Items that seeds choose among in a split without end. */
const ENDLESS = 2 ** 20;
/** Milliseconds between looks for what other edges wrote. */
const LOOK_MS = 100;

/**
 * The environment of a view with default options. With others it may have more agents, so that
 * only a name that none of them would have is refused here. @throws CollmError `not_found`
 */
export function environmentOf(edge: Edge, { environment: id, agent }: View): Environment {
  const environment = edge.createEnvironment(id, {});
  const kind = (name: string) => name.replace(/\d{1,2}$/, "");
  if (agent !== null && !environment.agents.some((one) => kind(one) === kind(agent))) {
    requireAgent(id, environment.agents, agent);
  }
  return environment;
}

function requireAgent(id: string, agents: readonly string[], agent: string | null): void {
  if (agent === null || agents.includes(agent)) return;
  const short = agent.slice(0, 60);
  throw new CollmError(
    "not_found",
    `Cannot play as agent '${short}' of '${id}', ${suggest(short, agents)}`,
  );
}

/** Opens an episode or joins the one of that id; the id, and what is seen now. */
export async function resetEpisode(
  edge: Edge,
  view: View,
  { episode_id, seed, task: input, split, options }: ResetData,
): Promise<{ id: string; seen: Seen }> {
  const episodes = episodesOf(edge);
  const id = episode_id ?? crypto.randomUUID();
  const alone = seed === undefined && input === undefined && split === undefined;
  if (alone && episode_id !== undefined && await found(edge, view, id)) {
    return { id, seen: await seenNow(edge, view, id) };
  }
  await requireView(edge, view, id, true);
  const chosen = seed ?? (episode_id === undefined ? randomSeed() : seedOf(episode_id));
  const environment = edge.createEnvironment(view.environment, options);
  requireAgent(view.environment, environment.agents, view.agent);
  const item = input === undefined ? anyItem(environment, split, chosen) : environment.task(input);
  await episodes.openEpisodes([{
    ...{ id, run_id: null, environment: view.environment, options, item_id: item.id },
    ...{ task: item.task, seed: chosen, turn_seeds: null, stop_above: null },
    ...{ purpose: "external", policy_versions: null, deadline_at: Date.now() + LIFETIME_MS },
  }]);
  return { id, seen: await seenNow(edge, view, id) };
}

/**
 * One view's action; resolves when every agent has acted on the turn.
 * @throws CollmError `deadline` when others do not act for `wait_ms`: the action is kept, and the
 * same again with its turn waits further
 */
export async function stepEpisode(
  edge: Edge,
  view: View,
  id: string,
  given: unknown,
  wait_ms: number,
): Promise<Seen> {
  await requireView(edge, view, id);
  const episodes = episodesOf(edge);
  const [episode] = await episodes.episodes([id]);
  const { texts, turn = episode!.turn, again } = readAction(view, episode!.agents, given);
  if (episode!.status !== "running" && !again) {
    throw new CollmError(
      "conflict",
      `Cannot step episode '${id}': it ended on turn ${episode!.turn}, reset first`,
    );
  }
  if (view.agent === null) await refuseHalves(edge, id, turn, texts);
  const blank = { prompt_tokens: null, tokens: null, logprobs: null, policy_version: null };
  const results = await episodes.postActions(
    Object.entries(texts).map(([agent, text]) => (
      { episode_id: id, agent, turn, text, ...blank, sampling: null, seed: null }
    )),
  );
  for (const result of results) if (result.status === "error") throw result.error;
  await turnOver(edge, id, turn, wait_ms);
  return await seenAfter(edge, view, id, turn);
}

/**
 * A joint action is taken whole or not at all: one that differs from what an agent has posted on
 * its own would be refused for that agent, and played for the others.
 */
async function refuseHalves(edge: Edge, id: string, turn: number, texts: PerAgent<string>) {
  const [{ turns }] = await episodesOf(edge).transcripts([id]) as [Transcript];
  const { agents = {} } = turns.find((one) => one.turn === turn) ?? {};
  for (const [agent, { action }] of Object.entries(agents)) {
    if (!action || action.text === texts[agent]) continue;
    throw new CollmError(
      "conflict",
      `Cannot step episode '${id}': agent '${agent}' already acted on turn ${turn} with another ` +
        "payload",
    );
  }
}

/** The texts to post; `again`: its turn is given, so it may have been posted before. */
function readAction({ agent }: View, agents: readonly string[], given: unknown) {
  if (agent !== null) {
    const { text, turn } = parse(ownAction, given, "the action");
    return { texts: { [agent]: text } as PerAgent<string>, turn, again: turn !== undefined };
  }
  const { actions, turn } = parse(jointAction, given, "the action");
  actionTexts(agents, actions);
  return { texts: actions, turn, again: turn !== undefined };
}

/** What OpenEnv calls the state: where an episode is. */
export async function stateOf(edge: Edge, view: View, id: string) {
  await requireView(edge, view, id);
  const [episode] = await episodesOf(edge).episodes([id]);
  const { environment, agents, status, turn, item_id, seed } = episode!;
  // Of a failed episode the turn is the one that was never played to its end.
  const step_count = status === "finished" ? turn : turn - 1;
  const told = { episode_id: id, step_count, environment, agents, status };
  // An item's name tells what an agent may be meant to find out.
  return view.agent === null ? { ...told, item_id, seed } : told;
}

/** The team's own episode ends with its session; one agent leaves the others to play on. */
export async function leaveEpisode(edge: Edge, view: View, id: string): Promise<void> {
  await requireView(edge, view, id);
  if (view.agent !== null) return;
  const [episode] = await episodesOf(edge).episodes([id]);
  if (episode!.status !== "running") return;
  await episodesOf(edge).failEpisode(id, "Its OpenEnv session was closed");
}

const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0]!;

function anyItem(environment: Environment, name: string | undefined, seed: number) {
  const splits = environment.splits();
  const split = name === undefined ? splits[0] : splits.find((one) => one.name === name);
  if (split?.size === 0) {
    throw new CollmError(
      "not_found",
      `Cannot reset environment '${environment.id}': split '${split.name}' has no items`,
    );
  }
  if (split) return environment.item(split.name, seed % (split.size ?? ENDLESS));
  const names = splits.map((one) => one.name);
  throw new CollmError(
    "invalid_request",
    `Cannot reset environment '${environment.id}': ` +
      (name === undefined
        ? "it has no split, so it needs a task"
        : `unknown split '${name.slice(0, 60)}', ${suggest(name.slice(0, 60), names)}`),
  );
}

/** Whether the episode is there and of this view's environment. */
async function found(edge: Edge, view: View, id: string): Promise<boolean> {
  try {
    if (view.agent !== null) await requireEpisodes(edge, view.principal, view.agent, [id]);
    await episodesOf(edge).episodes([id]);
  } catch (error) {
    if (error instanceof CollmError && error.code === "not_found") return false;
    throw error;
  }
  await requireView(edge, view, id);
  return true;
}

/** @throws CollmError `forbidden`, `not_found` unless this view may play the episode */
async function requireView(edge: Edge, view: View, id: string, opens = false): Promise<void> {
  if (view.agent !== null) await requireEpisodes(edge, view.principal, view.agent, [id]);
  if (opens) return;
  const [episode] = await episodesOf(edge).episodes([id]);
  if (episode!.environment === view.environment) {
    return requireAgent(view.environment, episode!.agents, view.agent);
  }
  throw new CollmError(
    "conflict",
    `Cannot play episode '${id}' here: it is one of environment '${episode!.environment}'`,
  );
}

/** Resolves when the turn has been stepped or the episode has ended. */
async function turnOver(edge: Edge, id: string, turn: number, wait_ms: number): Promise<void> {
  const episodes = episodesOf(edge);
  const end = performance.now() + wait_ms;
  const over = ({ status, turn: now }: Episode) => status !== "running" || now > turn;
  let wake = () => {};
  const unlisten = episodes.onChange((ids) => ids.includes(id) && wake());
  try {
    for (;;) {
      const woken = new Promise<void>((resume) => wake = resume);
      const [episode] = await episodes.episodes([id]);
      if (over(episode!)) return;
      const left = end - performance.now();
      if (left <= 0) break;
      let timer: ReturnType<typeof setTimeout>;
      const look = new Promise<void>((resume) =>
        timer = setTimeout(resume, Math.min(left, edge.poll_ms ? LOOK_MS : left))
      );
      await Promise.race([woken, look]).finally(() => clearTimeout(timer));
    }
  } finally {
    unlisten();
  }
  throw new CollmError(
    "deadline",
    `Cannot step episode '${id}': other agents have not acted on turn ${turn} for ` +
      `${wait_ms / 1000} s, send the same action with turn ${turn} again to wait further`,
  );
}

async function seenNow(edge: Edge, view: View, id: string): Promise<Seen> {
  const [{ turn, status }] = await episodesOf(edge).episodes([id]) as [Episode];
  return await seenAfter(edge, view, id, status === "running" ? turn - 1 : turn);
}

/** What a view sees after a turn (0: at first). */
async function seenAfter(edge: Edge, view: View, id: string, turn: number): Promise<Seen> {
  const [episode] = await episodesOf(edge).transcripts([id]);
  const { status, cause, agents, turns } = episode!;
  if (status === "failed") throw new CollmError("conflict", `Episode '${id}' failed: ${cause}`);
  const next = turns.find((one) => one.turn === turn + 1);
  const played = turns.find((one) => one.turn === turn);
  const done = next === undefined;
  const seen = next?.agents ?? {};
  // Those of earlier turns are with what agents saw next.
  const last = done ? await episodesOf(edge).infos(id, turn) : null;
  const infoOf = (agent: string) => (last ? last[agent] : seen[agent]?.info) ?? {};
  const at = { episode_id: id, turn: done ? turn : turn + 1 };
  const rewards = played?.rewards ?? null;
  if (view.agent !== null) {
    const { text = "", messages = null } = seen[view.agent]?.observation ?? {};
    return {
      observation: { ...at, text, messages, info: infoOf(view.agent) },
      reward: rewards?.[view.agent] ?? null,
      done,
    };
  }
  const each = <T>(value: (agent: string) => T, names = agents) =>
    Object.fromEntries(names.map((agent) => [agent, value(agent)]));
  const acting = agents.filter((agent) => seen[agent]);
  return {
    observation: {
      ...at,
      observations: each((agent) => seen[agent]!.observation, acting),
      infos: each(infoOf, done ? agents : acting),
      rewards,
      components: played?.components ?? null,
    },
    reward: rewards && agents.reduce((sum, agent) => sum + rewards[agent]!, 0) / agents.length,
    done,
  };
}
