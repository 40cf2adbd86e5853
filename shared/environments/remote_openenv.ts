/**
 * An environment that a server of OpenEnv's protocol plays, over its WebSocket: one agent, or the
 * team of an edge of ours. Sessions there hold what happened; state here is the seed and the
 * actions so far, so a session that is lost is played again. That holds for servers whose episodes
 * follow from their seed. Leaves out finding the server (load.ts).
 */
import { loadWebSocketClient, z } from "../../deps.ts";
import { CollmError } from "../errors.ts";
import { seedOf } from "../random.ts";
import { canonicalJson } from "../store/canonical.ts";
import { jsonObject } from "../wire/fields.ts";
import { observation as observationSchema } from "../wire/observations.ts";
import { outcome, type Seen } from "../wire/openenv.ts";
import { parse } from "../wire/parse.ts";
import { actionTexts, forAll, perAgent } from "./actions.ts";
import type { Environment, Observation, PerAgent, StepResult } from "./environment.ts";
import { readFields, show } from "./options.ts";

export interface OpenEnvTask {
  seed: number;
}
interface State extends OpenEnvTask {
  /** Joint actions so far. */
  played: PerAgent<string>[];
  /** The episode has ended. */
  over?: true;
}

const OPTIONS = z.object({
  /** The protocol does not tell how long episodes are: they are cut off after so many turns. */
  turns: z.int().min(1).max(1000).default(16),
  /** Nor does it tell the least and greatest reward. */
  reward_range: z.tuple([z.number(), z.number()]).default([0, 1]),
  /** Sent along with every reset. */
  reset: jsonObject.default({}),
});

const schemas = z.object({ action: jsonObject, observation: jsonObject });
export const openEnvMetadata = z.object({ name: z.string(), description: z.string() });

/** What a server tells about itself before anything is played. */
export interface OpenEnvServer {
  id: string;
  url: string;
  token: string | undefined;
  metadata: z.output<typeof openEnvMetadata>;
  /** Answer to `GET /schema`. */
  schema: unknown;
}

/** Milliseconds that a server may take for one message. */
const PATIENCE_MS = 60_000;
/** Sessions that are kept for their next step, and milliseconds that each is. */
const KEPT = 256;
const IDLE_MS = 300_000;
/** Tries to begin a session at a server whose sessions are all taken, and milliseconds between. */
const TRIES = 20;
const AGAIN_MS = 50;

interface Session {
  ask(type: string, data: Record<string, unknown>): Promise<Seen>;
  close(): void;
  /** Whether its connection is gone, which says nothing of what was asked last. */
  readonly lost: boolean;
}

export function createOpenEnv(
  server: OpenEnvServer,
  input: Record<string, unknown>,
): Environment<OpenEnvTask, State> {
  const { id, metadata } = server;
  const options = readFields(OPTIONS, input, `Cannot create environment '${id}'`, "option");
  const view = viewOf(parse(schemas, server.schema, `the schemas of ${server.url}`, "unavailable"));
  const { agents } = view;
  /** Sessions by what was played in them, oldest first. */
  const sessions = new Map<string, Session[]>();
  let count = 0;

  function keep(state: State, session: Session): void {
    const key = canonicalJson(state);
    sessions.set(key, [...sessions.get(key) ?? [], session]);
    if (++count > KEPT) closeOldest();
    const drop = () => {
      const found = sessions.get(key);
      if (!found?.includes(session)) return;
      sessions.set(key, [session, ...found.filter((one) => one !== session)]);
      take(key)!.close();
    };
    Deno.unrefTimer(setTimeout(drop, IDLE_MS));
  }

  function closeOldest(): boolean {
    const [key] = sessions.keys();
    if (key === undefined) return false;
    take(key)!.close();
    return true;
  }

  function take(key: string): Session | undefined {
    const found = sessions.get(key);
    const session = found?.shift();
    if (session) count--;
    if (found?.length === 0) sessions.delete(key);
    return session;
  }

  async function begin({ seed }: OpenEnvTask): Promise<{ session: Session; seen: Seen }> {
    for (let tries = 1;; tries++) {
      let session: Session | undefined;
      try {
        session = await connect(server);
        return { session, seen: await session.ask("reset", { ...options.reset, seed }) };
      } catch (error) {
        session?.close();
        // Episodes that nobody goes on with give up theirs: they can be played again.
        if (!isFull(error) || tries === TRIES || !closeOldest() && tries > 2) throw error;
        await new Promise((resume) => setTimeout(resume, AGAIN_MS));
      }
    }
  }

  /** A session in which just this was played, and what came of `actions` there. */
  async function play(
    state: State,
    actions: PerAgent<string>,
  ): Promise<{ session: Session; seen: Seen }> {
    const key = canonicalJson(state);
    for (let kept = take(key); kept; kept = take(key)) {
      try {
        return { session: kept, seen: await kept.ask("step", view.action(actions)) };
      } catch (error) {
        if (!kept.lost) throw error;
      }
    }
    const { session } = await begin(state);
    for (const before of state.played) await session.ask("step", view.action(before));
    return { session, seen: await session.ask("step", view.action(actions)) };
  }

  const observe = (turn: number, { observation }: Seen): PerAgent<Observation> =>
    perAgent(agents, agents.map((agent) => view.observation(observation, agent, turn)));

  const rewardsOf = ({ observation, reward }: Seen): PerAgent<number> => {
    const each = z.record(z.string(), z.number()).safeParse(observation["rewards"]);
    const all = each.success && agents.every((agent) => Object.hasOwn(each.data, agent));
    // No reward is how the protocol says that nothing was earned on a turn.
    return all ? each.data : forAll(agents, reward ?? 0);
  };

  async function step(
    state: State,
    given: PerAgent<string>,
  ): Promise<StepResult<State> & { session: Session }> {
    const actions = perAgent(agents, actionTexts(agents, given));
    const turn = state.played.length + 1;
    if (turn > options.turns || state.over) {
      throw new CollmError(
        "conflict",
        `Cannot step ${id}: the episode ended after turn ${turn - 1}`,
      );
    }
    const { session, seen } = await play(state, actions);
    const over = seen.done || turn >= options.turns;
    return {
      session,
      state: { ...state, played: [...state.played, actions], ...over && { over: true } },
      observations: over ? {} : observe(turn + 1, seen),
      rewards: rewardsOf(seen),
      terminations: forAll(agents, seen.done),
      truncations: forAll(agents, !seen.done && over),
      infos: perAgent(agents, agents.map(() => ({}))),
      components: {},
    };
  }

  const item = (split: string, index: number) => (
    { id: `${id}_${split}_${index}`, task: { seed: seedOf(id, split, index) } }
  );

  return {
    ...{ id, title: metadata.name, description: metadata.description, agents, options },
    ...{ turns: options.turns, rewardRange: options.reward_range },
    splits: () =>
      ["train", "eval"].map((name) => ({ name, size: null, description: "Seeds without end" })),
    item,
    task(input) {
      const [, split, index] = /_(train|eval)_(\d{1,15})$/.exec(String(input)) ?? [];
      if (split !== undefined && index !== undefined) return item(split, Number(index));
      const found = z.object({ seed: z.int().min(0) }).safeParse(input);
      if (found.success) return { id: `seed-${found.data.seed}`, task: found.data };
      throw new CollmError("invalid_request", `Cannot play ${show(input)}: expected {"seed": n}`);
    },
    async reset(task) {
      const state: State = { seed: task.seed, played: [] };
      const { session, seen } = await begin(task);
      keep(state, session);
      const infos = perAgent(agents, agents.map(() => ({})));
      return { state, observations: observe(1, seen), infos };
    },
    async step(_task, before, actions) {
      const { session, ...result } = await step(before, actions);
      if (Object.keys(result.observations).length === 0) session.close();
      else keep(result.state, session);
      return result;
    },
    async score(task, actions) {
      const { session, rewards, components } = await step({ ...task, played: [] }, actions);
      session.close();
      return { rewards, components };
    },
  };
}

/** How texts become actions, and observations texts. */
function viewOf({ action, observation }: z.output<typeof schemas>) {
  const team = propertiesOf(propertiesOf(action)["actions"]);
  const names = Object.keys(team);
  if (names.length > 0) {
    return {
      agents: names,
      action: (actions: PerAgent<string>) => ({ actions }),
      observation: (seen: Record<string, unknown>, agent: string): Observation => {
        const of = (seen["observations"] as Record<string, unknown> | undefined)?.[agent];
        return parse(observationSchema, of, `the observation of '${agent}'`, "unavailable");
      },
    };
  }
  const [agent, field] = ["agent_1", textField(action)];
  const shown = textField(observation);
  return {
    agents: [agent],
    action: (actions: PerAgent<string>): Record<string, unknown> => {
      const text = actions[agent]!;
      return field === undefined ? actionJson(text) : { [field]: text };
    },
    observation: (seen: Record<string, unknown>, _agent: string, turn: number): Observation => {
      const own = shown === undefined ? undefined : seen[shown];
      const text = typeof own === "string" ? own : JSON.stringify(seen);
      return { turn, text, messages: null };
    },
  };
}

const propertiesOf = (schema: unknown): Record<string, unknown> => {
  const found = z.object({ properties: jsonObject }).safeParse(schema);
  return found.success ? found.data.properties : {};
};

/** The one text that an object needs, if it needs one and nothing else. */
function textField(schema: Record<string, unknown>): string | undefined {
  const properties = propertiesOf(schema);
  const required = z.array(z.string()).catch(Object.keys(properties)).parse(schema["required"]);
  const [name] = required;
  const { type } = (name === undefined ? {} : properties[name] ?? {}) as { type?: unknown };
  return required.length === 1 && type === "string" ? name : undefined;
}

function actionJson(text: string): Record<string, unknown> {
  try {
    const found = jsonObject.safeParse(JSON.parse(text));
    if (found.success) return found.data;
  } catch {
    // Told below.
  }
  throw new CollmError("invalid_request", `Cannot act: ${show(text)} is no JSON object`);
}

/** A session, one message at a time. */
async function connect({ url, token }: OpenEnvServer): Promise<Session> {
  const { WebSocket } = await loadWebSocketClient();
  const headers: Record<string, string> = token === undefined
    ? {}
    : { authorization: `Bearer ${token}` };
  const address = `${url.replace(/^http/, "ws").replace(/\/+$/, "")}/ws`;
  const socket = new WebSocket(address, { headers, handshakeTimeout: PATIENCE_MS });
  const broken = (reason: string) =>
    new CollmError("unavailable", `Cannot play at ${url}: ${reason}`);
  let settle: { resolve(text: string): void; reject(error: Error): void } | undefined;
  let end: CollmError | undefined;
  let lost = false;
  const fail = (reason: string) => {
    end ??= broken(reason);
    settle?.reject(end);
  };
  const gone = (reason: string) => {
    lost = true;
    fail(reason);
  };
  const late = () => {
    fail(`no answer in ${PATIENCE_MS / 1000} s`);
    socket.terminate();
  };
  const next = () => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    if (end) return Promise.reject(end);
    const timer = setTimeout(late, PATIENCE_MS);
    settle = { resolve, reject };
    return promise.finally(() => clearTimeout(timer));
  };
  socket.on("open", () => settle?.resolve(""));
  socket.on("message", (data) => settle?.resolve(String(data)));
  socket.on("error", (error) => gone(error.message));
  socket.on("close", (code) => gone(`the connection was closed (${code})`));
  await next();
  return {
    async ask(type, data) {
      const answer = next();
      socket.send(JSON.stringify({ type, data }));
      const message = parse(
        z.object({ type: z.string(), data: jsonObject }),
        JSON.parse(await answer),
        `the answer of ${url}`,
        "unavailable",
      );
      if (message.type === "observation") {
        return parse(outcome, message.data, `the answer of ${url}`, "unavailable");
      }
      socket.close();
      const { code, message: told } = message.data;
      throw broken(`${show(code ?? message.type)} ${told ?? ""}`.trim());
    },
    close: () => socket.close(),
    get lost() {
      return lost;
    },
  };
}

/** Whether a server said that all its sessions are taken, in words or by closing for now (1013). */
const isFull = (error: unknown): boolean =>
  error instanceof CollmError && /CAPACITY_REACHED|\(1013\)$/.test(error.message);
