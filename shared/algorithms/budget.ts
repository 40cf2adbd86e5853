/**
 * What a rollout costs, in joint evaluations: one for each joint action whose reward is computed
 * (the reference's env_step, the x-axis of every curve). Replayed copies cost nothing, so every
 * algorithm is compared at the same number. Early stopping only ever lowers the cost.
 */
import type { TreeShape } from "./joint_tree.ts";

/** `single` and `aligned`: joint j takes every agent's completion j; `cross`: all combinations. */
export type JointMode = "single" | "aligned" | "cross";

/** Cost of one item without early stopping. */
export interface RolloutCost {
  joint_evaluations: number;
  leaves: number;
  nodes: number;
  generations_per_agent: number;
}

/**
 * Cost of one item: Σ_{t=1..T} J^t joint evaluations with J = G joint actions per node (aligned,
 * single) or J = G^agents (cross); an actor-critic path (G = 1) costs T.
 */
export function rolloutCost(shape: TreeShape, joint: JointMode, agents: number): RolloutCost {
  const joints = joint === "cross" ? shape.generations ** agents : shape.generations;
  let [evaluations, nodes, level] = [0, 0, 1];
  for (let turn = 0; turn < shape.turns; turn++) {
    nodes += level;
    level *= joints;
    evaluations += level;
  }
  return {
    joint_evaluations: evaluations,
    leaves: level,
    nodes,
    generations_per_agent: nodes * shape.generations,
  };
}

/**
 * Items of a batch that costs about as much as `episodes` single paths, at least one: batches of
 * every algorithm then spend the same share of the budget.
 */
export function itemsPerBatch(episodes: number, shape: TreeShape): number {
  const perItem = rolloutCost(shape, "aligned", 1).joint_evaluations;
  return Math.max(1, Math.floor(episodes * shape.turns / perItem));
}
