/**
 * The compact prompt style: raw text for a small policy, without system message or chat template.
 * Each line after the first holds the arguments of one `/fill` that belongs to the house, so that
 * building is copying: what a policy has to learn is which lines are its own.
 */
import { AIR } from "../textures.ts";
import { rectangles } from "./rectangles.ts";
import { type House, houseOf, type HouseTask, totalDamage } from "./task.ts";

const bodies = new WeakMap<House, string>();

/**
 * Prompt of one agent: turn, the previous turn's reward (from turn 2 on), agent, damage of the
 * spiders over hit points, then the rectangles, for example
 * `t1 a1 d5/5\n0 0 1 5 0 5 white_concrete\n…\n` or `t2 r0.9 a1 d5/5\n…`.
 * @param agentIndex 0-based; written 1-based.
 * @param turn 1-based.
 */
export function compactPrompt(
  task: HouseTask,
  agentIndex: number,
  turn: number,
  previousReward: number | null,
): string {
  // A match is in [0, 1] and moves slowly: two decimals, not StrBuild's one.
  const reward = previousReward === null ? "" : ` r${twoDecimals(previousReward)}`;
  const threat = `d${totalDamage(task)}/${task.player_hp}`;
  return `t${turn}${reward} a${agentIndex + 1} ${threat}\n${body(houseOf(task))}`;
}

function body(house: House): string {
  let text = bodies.get(house);
  if (text === undefined) {
    text = rectangles(house).filter(({ block }) => block !== AIR)
      .map(({ y, x1, z1, x2, z2, block }) => `${x1} ${y} ${z1} ${x2} ${y} ${z2} ${block}\n`)
      .join("");
    bodies.set(house, text);
  }
  return text;
}

/** A negative zero is written as zero, one spelling for one number. */
function twoDecimals(value: number): string {
  const text = value.toFixed(2);
  return text === "-0.00" ? "0.00" : text;
}
