/**
 * One-step temporal-difference targets and errors of a critic that read one value per turn.
 * target_t = r_t + γ V(h_{t+1}), last executed turn: r_t.  δ_t = target_t − V(h_t).
 * V is the value at rollout time, never recomputed (reference sections 2 and 3).
 */

/**
 * TD(0) targets: T rewards and T values in, T targets out.
 *
 * @example Two turns
 * ```ts
 * import assert from "node:assert/strict";
 *
 * const targets = tdTargets([1, 2], [0.5, 0.5], 0.9);
 * assert.deepEqual(targets, [1.45, 2]);
 * assert.deepEqual(tdErrors(targets, [0.5, 0.5]), [0.95, 1.5]);
 * ```
 */
export function tdTargets(
  rewards: readonly number[],
  values: readonly number[],
  gamma: number,
): number[] {
  return rewards.map((reward, t) =>
    t + 1 < rewards.length ? reward + gamma * values[t + 1]! : reward
  );
}

/** TD errors δ_t = target_t − V_t, the advantages of the actor-critic family. */
export function tdErrors(targets: readonly number[], values: readonly number[]): number[] {
  return targets.map((target, t) => target - values[t]!);
}
