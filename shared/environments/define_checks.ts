/**
 * Checks of what the functions of an environment of one's own give: one that is wrong fails its
 * step with a sentence, before it reaches a store or a learner. Leaves out the definition itself
 * (define.ts).
 */
import { CollmError } from "../errors.ts";
import { forAll } from "./actions.ts";
import type { Outcome } from "./define.ts";
import type { ChatMessage, Observation, PerAgent } from "./environment.ts";
import { show } from "./options.ts";

const ROLES: readonly unknown[] = ["system", "user", "assistant"];

const fail = (id: string, what: string): never => {
  throw new CollmError("internal", `Cannot play '${id}': ${what}`);
};
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
 * for other components than finite numbers
 */
export function outcomeOf<State>(
  id: string,
  agents: readonly string[],
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
  return { ...outcome, reward };
}
