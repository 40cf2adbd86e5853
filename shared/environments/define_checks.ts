/**
 * Checks of what the functions of an environment of one's own give: one that is wrong fails its
 * step with a sentence, before it reaches a store or a learner. Leaves out the definition itself
 * (define.ts).
 */
import { CollmError, type ErrorCode } from "../errors.ts";
import { forAll } from "./actions.ts";
import type { Outcome } from "./define.ts";
import type { ChatMessage, Observation, PerAgent } from "./environment.ts";
import { show } from "./options.ts";

/** Nested lists and objects of a task or a state. */
const DEPTH = 64;
const ROLES: readonly unknown[] = ["system", "user", "assistant"];

const fail = (id: string, what: string): never => {
  throw new CollmError("internal", `Cannot play '${id}': ${what}`);
};
/**
 * What a function of the definition gives.
 * @throws CollmError `internal`, or `code`, that names the function when it throws, now or later
 */
export function called<T>(
  id: string,
  name: string,
  call: () => T,
  code: ErrorCode = "internal",
): T {
  const broken = (error: unknown): never => {
    if (error instanceof CollmError) throw error;
    const reason = error instanceof Error ? error.message : told(error);
    const sentence = reason.trim().replace(/\s*\n\s*/g, " ").replace(/\.$/, "");
    throw new CollmError(code, `Cannot play '${id}': ${name} failed: ${sentence}`, {
      cause: error,
    });
  };
  try {
    const given = call();
    return given instanceof Promise ? given.catch(broken) as T : given;
  } catch (error) {
    return broken(error);
  }
}

/** A task or a state. @throws CollmError `internal` for what JSON would lose or change */
export function jsonOf<T>(id: string, what: string, value: T): T {
  const fault = jsonFault(value, [], []);
  if (fault) fail(id, `${what} must be JSON, but ${fault}`);
  return value;
}

/** Why a value is no JSON. Keys whose value is `undefined` are as good as left out. */
function jsonFault(value: unknown, path: string[], above: unknown[]): string | undefined {
  const at = path.length ? `'${path.join(".").slice(0, 120)}'` : "it";
  if (value === null || typeof value === "string" || typeof value === "boolean") return undefined;
  if (typeof value === "number") return Number.isFinite(value) ? undefined : `${at} is ${value}`;
  if (typeof value !== "object") {
    return `${at} is ${value === undefined ? "undefined" : `a ${typeof value}`}`;
  }
  if (above.includes(value)) return `${at} holds itself`;
  if (path.length > DEPTH) return `it is nested more than ${DEPTH} deep`;
  const kind: unknown = Object.getPrototypeOf(value);
  if (!Array.isArray(value) && kind !== Object.prototype && kind !== null) {
    return `${at} is a ${value.constructor?.name || "thing"} of its own kind`;
  }
  for (const [key, inner] of Object.entries(value)) {
    if (inner === undefined && !Array.isArray(value)) continue;
    const fault = jsonFault(inner, [...path, key], [...above, value]);
    if (fault) return fault;
  }
  return undefined;
}

/** JSON has no NaN and no infinity, a message must tell them. */
const told = (value: unknown) => typeof value === "number" ? String(value) : show(value);
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Observation of a prompt. @throws CollmError `internal` for neither text nor messages */
export function observationOf(
  id: string,
  turn: number,
  prompt: string | ChatMessage[],
): Observation {
  if (typeof prompt === "string") return { turn, text: prompt, messages: null };
  const fits = Array.isArray(prompt) && prompt.length > 0 &&
    prompt.every((message: unknown) =>
      isObject(message) && ROLES.includes(message["role"]) && typeof message["content"] === "string"
    );
  if (!fits) fail(id, `prompt gave ${told(prompt)}, expected a text or messages`);
  return { turn, text: prompt.map(({ content }) => content).join("\n\n"), messages: prompt };
}

/**
 * An outcome with a reward for every agent.
 * @throws CollmError `internal` for rewards that are not there, not finite or of somebody else, and
 * for other components than finite numbers, and for a joint reward (the mean of the agents') that
 * the definition says there is none of
 */
export function outcomeOf<State>(
  id: string,
  agents: readonly string[],
  [least, greatest]: readonly [number, number],
  found: number | Outcome<State>,
): Outcome<State> & { reward: PerAgent<number> } {
  const outcome: Outcome<State> = typeof found === "number" ? { reward: found } : found;
  if (!isObject(outcome)) fail(id, `step gave ${told(found)}, expected a reward`);
  const { reward: given, components = {} } = outcome;
  const reward = isObject(given) ? given as PerAgent<number> : forAll(agents, given as number);
  for (const [what, numbers] of Object.entries({ reward, component: components })) {
    for (const [name, value] of Object.entries(numbers)) {
      if (Number.isFinite(value)) continue;
      fail(id, `step gave ${what} ${told(value)} for '${name}', expected a finite number`);
    }
  }
  const names = Object.keys(reward);
  if (names.length !== agents.length || !agents.every((agent) => Object.hasOwn(reward, agent))) {
    fail(id, `step gave rewards for ${show(names)}, expected ${show(agents)}`);
  }
  const joint = agents.reduce((sum, agent) => sum + reward[agent]!, 0) / agents.length;
  const slack = 1e-9 * Math.max(Math.abs(least), Math.abs(greatest));
  if (joint < least - slack || joint > greatest + slack) {
    fail(id, `step gave the joint reward ${joint}, but rewardRange is ${least} to ${greatest}`);
  }
  return { ...outcome, reward };
}
