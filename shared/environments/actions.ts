/**
 * Checking of a joint action: one text for every agent and for nobody else.
 * Leaves out what texts mean.
 */
import { CollmError, suggest } from "../errors.ts";
import type { PerAgent } from "./environment.ts";

/**
 * Texts of a joint action in playing order.
 * @throws CollmError `invalid_request` for an unknown agent, a missing one, or a non-text.
 */
export function actionTexts(agents: readonly string[], actions: PerAgent<string>): string[] {
  for (const name of Object.keys(actions)) {
    if (agents.includes(name)) continue;
    const short = name.slice(0, 60);
    throw new CollmError(
      "invalid_request",
      `Cannot take actions: unknown agent '${short}', ${suggest(short, agents)}`,
    );
  }
  return agents.map((agent) => {
    const text: unknown = Object.hasOwn(actions, agent) ? actions[agent] : undefined;
    if (typeof text === "string") return text;
    const found = text === undefined ? "none" : `a ${typeof text}`;
    throw new CollmError(
      "invalid_request",
      `Cannot take actions: agent '${agent}' needs a text but has ${found}`,
    );
  });
}

/** The same value for every agent. */
export function forAll<T>(agents: readonly string[], value: T): PerAgent<T> {
  return Object.fromEntries(agents.map((agent) => [agent, value]));
}

/** Values in playing order, by agent name. */
export function perAgent<T>(agents: readonly string[], values: readonly T[]): PerAgent<T> {
  return Object.fromEntries(agents.map((agent, index) => [agent, values[index]!]));
}
