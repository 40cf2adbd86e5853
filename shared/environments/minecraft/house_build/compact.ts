/**
 * The compact prompt style: raw text for a small policy, without system message or chat template.
 * Each line after the first holds the arguments of one `/fill` that belongs to the house and that
 * an agent can pay for, so that building is copying: what a policy has to learn is which lines are
 * its own.
 */
import { AIR } from "../textures.ts";
import { area, type Rectangle, rectangles } from "./rectangles.ts";
import { type House, houseOf, type HouseTask, resourceLimits, totalDamage } from "./task.ts";

/** Bodies of prompts by house, then by the number of agents that share its blocks. */
const bodies = new WeakMap<House, string[]>();

/**
 * Prompt of one agent: turn, the previous turn's reward (from turn 2 on), agent, damage of the
 * spiders over hit points, then the rectangles, for example
 * `t1 a1 d5/5\n0 0 1 5 0 5 white_concrete\n…\n` or `t2 r0.9 a1 d5/5\n…`.
 * @param agentIndex 0-based; written 1-based.
 * @param agents Size of the team.
 * @param turn 1-based.
 */
export function compactPrompt(
  task: HouseTask,
  agentIndex: number,
  agents: number,
  turn: number,
  previousReward: number | null,
): string {
  // A match is in [0, 1] and moves slowly: two decimals, not StrBuild's one.
  const reward = previousReward === null ? "" : ` r${twoDecimals(previousReward)}`;
  const threat = `d${totalDamage(task)}/${task.player_hp}`;
  return `t${turn}${reward} a${agentIndex + 1} ${threat}\n${body(task, agents)}`;
}

/**
 * Rectangles of a house as the prompt lists them: air is left out, and one with more cells than an
 * agent may spend of its block comes row by row.
 */
export function affordable(task: HouseTask, agents: number): Rectangle[] {
  const house = houseOf(task);
  const limits = resourceLimits(house, agents);
  return rectangles(house).filter(({ block }) => block !== AIR).flatMap((rectangle) => {
    const { z1, z2, block } = rectangle;
    if (!task.limited_resource || area(rectangle) <= limits[block]!) return [rectangle];
    return Array.from({ length: z2 - z1 + 1 }, (_, i) => ({
      ...rectangle,
      ...{ z1: z1 + i, z2: z1 + i },
    }));
  });
}

/** Arguments of the `/fill` that builds a rectangle. */
export function fillArguments({ y, x1, z1, x2, z2, block }: Rectangle): string {
  return `${x1} ${y} ${z1} ${x2} ${y} ${z2} ${block}`;
}

function body(task: HouseTask, agents: number): string {
  const house = houseOf(task);
  // A single agent may spend more than all there is, as if nothing were limited.
  const sharers = task.limited_resource ? agents : 1;
  const own = bodies.get(house) ?? [];
  bodies.set(house, own);
  return own[sharers] ??= affordable(task, agents).map((r) => `${fillArguments(r)}\n`).join("");
}

/** A negative zero is written as zero, one spelling for one number. */
function twoDecimals(value: number): string {
  const text = value.toFixed(2);
  return text === "-0.00" ? "0.00" : text;
}
