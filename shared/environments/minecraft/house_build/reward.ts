/**
 * Reward of a build (the published HouseBuild rules):
 *   reward = match - penalty
 * match: cells, air among them, that hold the target's block; penalty: a tenth of the spiders'
 * damage over the player's hit points (at most 0.1), unless an agent of the team wrote /kill.
 * A single agent pays no penalty.
 */
import type { World } from "../world.ts";
import { type House, type HouseTask, totalDamage } from "./task.ts";

/** Greatest penalty. */
const SPIDER_WEIGHT = 0.1;

export interface HouseMetrics {
  match: number;
  match_correct: number;
  match_total: number;
  /** Cells with any block in both over cells with any block in either. */
  iou: number;
  penalty: number;
  reward: number;
}

/** Scores a world whose blocks begin with those of the house. */
export function scoreHouse(
  task: HouseTask,
  { blocks, cells }: House,
  world: World,
  killed: boolean,
  agents: number,
): HouseMetrics {
  if (blocks.some((block, index) => world.blocks[index] !== block)) {
    throw new TypeError("the world's blocks do not begin with those of the house");
  }
  let correct = 0, both = 0, either = 0;
  for (let i = 0; i < cells.length; i++) {
    const [wanted, found] = [cells[i]!, world.cells[i]!];
    if (wanted === found) correct++;
    if (wanted !== 0 || found !== 0) either++;
    if (wanted !== 0 && found !== 0) both++;
  }
  const match = correct / cells.length;
  const penalty = agents === 1 || killed ? 0 : spiderPenalty(task);
  return {
    match,
    match_correct: correct,
    match_total: cells.length,
    iou: either === 0 ? 0 : both / either,
    penalty,
    reward: match - penalty,
  };
}

/** What a team pays that leaves the spiders alone. */
export function spiderPenalty(task: HouseTask): number {
  const damage = totalDamage(task);
  if (task.player_hp <= 0 || damage <= 0) return 0;
  return Math.min(1, damage / task.player_hp) * SPIDER_WEIGHT;
}
