/**
 * Environments of one's own from a few functions: items, a prompt per agent, a step. Everything
 * else (ids, turns, observations, checks) is added here. Leaves out finding the file (load.ts).
 */
import { CollmError, suggest } from "../errors.ts";
import { actionTexts, forAll, perAgent } from "./actions.ts";
import { called, jsonOf, observationOf, outcomeOf } from "./define_checks.ts";
import type {
  ChatMessage,
  Environment,
  Observation,
  PerAgent,
  SplitInfo,
  StepResult,
} from "./environment.ts";
import { show } from "./options.ts";

/** Most agents of a team. */
export const MOST_AGENTS = 16;

type Options = Readonly<Record<string, unknown>>;

/** What happened on the turn before. */
export interface LastTurn {
  actions: PerAgent<string>;
  rewards: PerAgent<number>;
}

/** A turn, as the functions of a definition see it. */
export interface Turn<Task, State> {
  task: Task;
  /** 1-based. */
  turn: number;
  turns: number;
  agents: readonly string[];
  /** What `start` or the last `step` gave; `null` without them. */
  state: State;
  /** `null` on turn 1. */
  last: LastTurn | null;
  options: Options;
}

/** What a step makes of a joint action. */
export interface Outcome<State> {
  /** The same for all, or one per agent. */
  reward: number | PerAgent<number>;
  /** The next turn's state; default: as it was. JSON. */
  state?: State;
  /** Ends the episode before its turns are used up. */
  done?: boolean;
  /** Named numbers for logs. */
  components?: Record<string, number>;
}

export interface Definition<Task, State> {
  /** Lower-case letters, digits and `_`. */
  id: string;
  title?: string;
  description?: string;
  /** Their number (named agent_1, agent_2, …) or names, maybe by the options; default 2, most 16. */
  agents?: number | readonly string[] | ((options: Options) => number | readonly string[]);
  /** Most turns of an episode, the default of the option `turns`; default 1. */
  turns?: number;
  /** Least and greatest joint reward of a turn, the mean of the agents'; others fail the step. */
  rewardRange: readonly [number, number];
  /** Options and their defaults; a value given later must be of its default's type. */
  options?: Options;
  /** Items by split: a list, or a function of the 0-based index for a split without end. */
  items: Record<string, readonly Task[] | ((index: number, options: Options) => Task)>;
  /** Checks a task given by value; without it only items can be played. */
  readTask?(input: Record<string, unknown>): Task;
  /** State of turn 1. */
  start?(task: Task, seed: number, options: Options): State;
  /** What one agent sees: plain text, or messages for chat models. */
  prompt(turn: Turn<Task, State> & { agent: string; index: number }): string | ChatMessage[];
  /** Takes a turn: its reward, or more. Depends on nothing but its argument. */
  step(
    turn: Turn<Task, State> & { actions: PerAgent<string> },
  ): number | Outcome<State> | Promise<number | Outcome<State>>;
}

interface Held<State> {
  turn: number;
  state: State;
  last: LastTurn | null;
}

/** A checked definition: `create` makes the environment with its options. */
export class DefinedEnvironment {
  constructor(
    readonly id: string,
    readonly create: (options: Record<string, unknown>) => Environment,
  ) {}
}

const FIELDS = ["id", "title", "description", "agents", "turns", "rewardRange", "options"]
  .concat(["items", "readTask", "start", "prompt", "step"]);

/**
 * An environment of one's own; see docs/environments.md.
 * @throws CollmError `invalid_request` naming the field that is wrong
 */
export function defineEnvironment<Task, State = null>(
  definition: Definition<Task, State>,
): DefinedEnvironment {
  check(definition as Definition<unknown, unknown>);
  const { id } = definition;
  return new DefinedEnvironment(id, (given) => {
    const { turns, ...options } = readOptions(definition, given);
    const environment = build(definition, namesOf(definition, options), turns as number, options);
    return environment as Environment;
  });
}

function build<Task, State>(
  definition: Definition<Task, State>,
  agents: readonly string[],
  turns: number,
  options: Options,
): Environment<Task, Held<State>> {
  const { id, title = id, description = title, rewardRange, items } = definition;
  const splits: SplitInfo[] = Object.entries(items).map(([name, list]) => (
    { name, size: typeof list === "function" ? null : list.length, description: name }
  ));
  const turnOf = (task: Task, held: Held<State>): Turn<Task, State> => (
    { task, ...held, turns, agents, options }
  );

  function observe(task: Task, held: Held<State>): PerAgent<Observation> {
    return perAgent(
      agents,
      agents.map((agent, index) => {
        const turn = { ...turnOf(task, held), agent, index };
        return observationOf(id, held.turn, called(id, "prompt", () => definition.prompt(turn)));
      }),
    );
  }

  function item(split: string, index: number) {
    const list = Object.hasOwn(items, split) ? items[split]! : undefined;
    const place = `item ${index} of split '${split}'`;
    const task = typeof list === "function"
      ? called(id, place, () => list(index, options))
      : list?.[index];
    if (task !== undefined) return { id: `${id}_${split}_${index}`, task: jsonOf(id, place, task) };
    const what = !list
      ? suggest(split, Object.keys(items))
      : typeof list === "function"
      ? "its function gave none"
      : `it has ${list.length}`;
    throw new CollmError("not_found", `Cannot find ${place}: ${what}`);
  }

  function find(input: unknown) {
    if (typeof input !== "string") {
      if (definition.readTask && typeof input === "object" && input !== null) {
        const given = input as Record<string, unknown>;
        if (Object.hasOwn(given, "__proto__")) refuse(id, "unknown field '__proto__'", "play");
        const read = () => definition.readTask!(given);
        const task = called(id, "readTask", read, "invalid_request");
        return { id: "inline", task: jsonOf(id, "what readTask gave", task) };
      }
      throw new CollmError("invalid_request", `Cannot play ${show(input)}: '${id}' has items only`);
    }
    const [, split = "", index = ""] = /^(.*)_(\d{1,15})$/.exec(input.slice(id.length + 1)) ?? [];
    // Written as `item` writes it: 01 is no item 1.
    const exact = input === `${id}_${split}_${+index}` && Object.hasOwn(items, split);
    if (exact) return item(split, +index);
    throw new CollmError("not_found", `Cannot find item '${input.slice(0, 60)}' of '${id}'`);
  }

  function first(task: Task, seed: number): Held<State> {
    const given = called(id, "start", () => definition.start?.(task, seed, options));
    const state = jsonOf(id, "the state of start", given ?? null as State);
    return { turn: 1, state, last: null };
  }

  async function step(
    task: Task,
    held: Held<State>,
    given: PerAgent<string>,
  ): Promise<StepResult<Held<State>>> {
    if (held.turn > turns) {
      throw new CollmError("conflict", `Cannot step ${id}: the episode ended`);
    }
    const actions = perAgent(agents, actionTexts(agents, given));
    const turn = { ...turnOf(task, held), actions: { ...actions } };
    const found = await called(id, "step", () => definition.step(turn));
    const outcome = outcomeOf(id, agents, rewardRange, found);
    const rewards = outcome.reward;
    const ended = outcome.done === true || held.turn >= turns;
    const next: Held<State> = {
      // Beyond the last turn, so that no step follows.
      turn: ended ? turns + 1 : held.turn + 1,
      state: outcome.state === undefined
        ? held.state
        : jsonOf(id, "the state of step", outcome.state),
      last: { actions, rewards },
    };
    return {
      state: next,
      observations: ended ? {} : observe(task, next),
      rewards,
      terminations: forAll(agents, ended),
      truncations: forAll(agents, false),
      infos: perAgent(agents, agents.map(() => ({}))),
      components: outcome.components ?? {},
    };
  }

  return {
    ...{ id, title, description, agents, turns, rewardRange },
    options: { ...options, turns },
    splits: () => splits,
    item,
    task: find,
    reset(task, seed) {
      const state = first(task, seed);
      const infos = perAgent(agents, agents.map(() => ({})));
      return { state, observations: observe(task, state), infos };
    },
    step,
    async score(task, actions) {
      const { rewards, components } = await step(task, first(task, 0), actions);
      return { rewards, components };
    },
  };
}

/** Refuses what cannot work, before anything is played. */
function check(definition: Definition<unknown, unknown>): void {
  const name = typeof definition?.id === "string" ? definition.id.slice(0, 60) : "?";
  const must = (ok: boolean, reason: () => string) => {
    if (!ok) refuse(name, reason());
  };
  const { id, items, turns = 1, rewardRange, options = {}, agents } = definition;
  for (const field of Object.keys(definition)) {
    must(FIELDS.includes(field), () => `unknown field '${field}', ${suggest(field, FIELDS)}`);
  }
  must(
    typeof id === "string" && /^[a-z][a-z0-9_]{0,63}$/.test(id),
    () => `id must be lower-case letters, digits and _, not ${show(id)}`,
  );
  for (const field of ["prompt", "step"] as const) {
    must(typeof definition[field] === "function", () => `${field} must be a function`);
  }
  for (const field of ["start", "readTask"] as const) {
    const given = definition[field];
    must(given === undefined || typeof given === "function", () => `${field} must be a function`);
  }
  must(isTurns(turns), () => `turns must be a whole number from 1 to ${MOST_TURNS}, not ${turns}`);
  must(
    Array.isArray(rewardRange) && rewardRange.length === 2 && rewardRange.every(Number.isFinite) &&
      rewardRange[0] < rewardRange[1],
    () => `rewardRange must be the least and the greatest reward, not ${show(rewardRange)}`,
  );
  must(
    typeof items === "object" && items !== null && Object.keys(items).length > 0,
    () => `items must have a split, not ${show(items)}`,
  );
  for (const [split, list] of Object.entries(items)) {
    must(
      typeof list === "function" || Array.isArray(list) && list.length > 0,
      () =>
        `items of split '${split}' must be a function or a list that has some, not ${show(list)}`,
    );
  }
  must(!Object.hasOwn(options, "turns"), () => "the option 'turns' is there already, set turns");
  if (typeof agents !== "function") namesOf(definition, options);
}

const MOST_TURNS = 1000;
const isTurns = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= MOST_TURNS;

function namesOf(
  { id, agents = 2 }: Pick<Definition<never, never>, "id" | "agents">,
  options: Options,
): readonly string[] {
  const given = typeof agents === "function"
    ? called(id, "agents", () => agents(options), "invalid_request")
    : agents;
  const names = typeof given === "number"
    ? Array.from({ length: Math.min(given, 1000) || 0 }, (_, i) => `agent_${i + 1}`)
    : given;
  const fits = Array.isArray(names) && names.length >= 1 && names.length <= MOST_AGENTS &&
    new Set(names).size === names.length && !(typeof given === "number" && given % 1) &&
    names.every((name) => typeof name === "string" && /^[A-Za-z0-9_-]{1,60}$/.test(name));
  if (fits) return names;
  return refuse(id, `agents must be 1 to ${MOST_AGENTS}, or as many names, not ${show(given)}`);
}

function readOptions<Task, State>(
  { id, options = {}, turns = 1 }: Definition<Task, State>,
  given: Record<string, unknown>,
): Record<string, unknown> {
  const known: Record<string, unknown> = { ...options, turns };
  for (const [key, value] of Object.entries(given)) {
    const short = key.slice(0, 60);
    if (!Object.hasOwn(known, key)) {
      refuse(id, `unknown option '${short}', ${suggest(short, Object.keys(known))}`, "create");
    }
    const kind = (one: unknown) => Array.isArray(one) ? "list" : one === null ? "null" : typeof one;
    if (kind(value) !== kind(known[key])) {
      refuse(id, `option '${short}' is ${show(value)}: expected a ${kind(known[key])}`, "create");
    }
  }
  if (given["turns"] !== undefined && !isTurns(given["turns"])) {
    refuse(id, `option 'turns' is ${show(given["turns"])}: expected 1 to ${MOST_TURNS}`, "create");
  }
  return { ...known, ...given };
}

function refuse(id: string, reason: string, what = "define"): never {
  throw new CollmError("invalid_request", `Cannot ${what} environment '${id}': ${reason}`);
}
