/**
 * What agents are told from turn 2 on, as facts; the wording is in prompts.ts.
 * position_feedback lists the target whatever was built; perfect_feedback tells each agent which
 * of its cells are wrong; score_feedback gives the reward alone.
 */
import { AIR } from "../textures.ts";
import { blockAt, type Position, positions, readingOrder, type World } from "../world.ts";
import { isTarget, palettes, type Target } from "./task.ts";

export const FEEDBACK_MODES = ["position_feedback", "perfect_feedback", "score_feedback"] as const;
export type FeedbackMode = typeof FEEDBACK_MODES[number];

/** Suggested number of cells for one agent: half the target, at least one. */
export function subsetSize(target: Target): number {
  return Math.max(1, Math.floor(target.cells.length / 2));
}

/**
 * The agent that owns a target cell, and its block, in the reference solution: cells change
 * owner like the squares of a chessboard. Neighbours differ in owner (two agents) or in block
 * (one agent), so no neighbouring pair shares a family.
 */
export function ownerOf([x, y]: Position, agents: number): { agent: number; block: string } {
  const agent = (x + y) % agents;
  const palette = palettes(agents)[agent]!;
  return { agent, block: palette[(x + y) % palette.length]! };
}

/** Cells that are wrong, in reading order. */
export interface Corrections {
  /** Per agent: own cells that do not hold the owner's block. */
  wrong: Position[][];
  /** Blocks on the background; told to the last agent, which writes last. */
  extra: Position[];
}

export function corrections(target: Target, world: World, agents: number): Corrections {
  const cells = readingOrder([...positions(target.box)]);
  const wrong: Position[][] = Array.from({ length: agents }, () => []);
  for (const at of cells.filter((cell) => isTarget(target, cell))) {
    const { agent, block } = ownerOf(at, agents);
    if (blockAt(world, at) !== block) wrong[agent]!.push(at);
  }
  const extra = cells.filter((at) => !isTarget(target, at) && blockAt(world, at) !== AIR);
  return { wrong, extra };
}

/** The previous reward as agents are told it. */
export function rewardText(reward: number): string {
  return reward.toFixed(4);
}
