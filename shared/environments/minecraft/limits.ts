/**
 * How many commands and blocks a team and each of its agents may spend in one turn.
 * Leaves out the counting (parse.ts).
 */
import { z } from "../../../deps.ts";

/** Range of `max_commands`, the commands of the whole team. */
export const maxCommands = z.int().min(1).max(10_000);

/** Command limit of each agent: equal shares, the remainder to the first agents. */
export function commandLimits(total: number, agents: number): number[] {
  return Array.from(
    { length: agents },
    (_, agent) => Math.floor(total / agents) + (agent < total % agents ? 1 : 0),
  );
}

/** Blocks of one kind that each agent may spend where the target has `count`: its share and half. */
export function resourceLimit(count: number, agents: number): number {
  return Math.ceil(count / agents) + Math.floor(count / (2 * agents));
}
