/**
 * AdamW with decoupled weight decay and global-norm clipping, as graph nodes (torch semantics):
 *   g ← g·min(1, max_norm/‖g‖);  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²
 *   w ← w·(1 − lr·decay) − lr·(m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + ε)
 * The host folds the corrections of step t into the scalars: the last line is, in fewer passes,
 *   w ← w·keep − stepSize·m / (√v + eps).
 * Unlike torch's, t counts the steps of the policy, not of each parameter: one that a loss first
 * reaches after t − 1 steps of others (a value head at the first value_mse) has moments of zero but
 * hardly any correction. Its first step is lr·(1 − β₁)/√(1 − β₂)·√(1 − β₂ᵗ)/(1 − β₁ᵗ) where torch's
 * is lr: with the default betas half of that at t = 20, 2.5 times at t = 1000, at most 3.2 times.
 */
import type { Graph } from "./graph.ts";
import { add, div, mul, sqrt, sub } from "./ops/elementwise.ts";
import { reduceSum } from "./ops/shape.ts";
import type { Tensor } from "./tensor.ts";

/** Scalars of one optimizer step, all float32 inputs of the graph. */
export interface OptimizerInputs {
  /** β₁, 1 − β₁, β₂, √(1 − β₂) */
  beta1: Tensor;
  fresh1: Tensor;
  beta2: Tensor;
  freshRoot2: Tensor;
  /** lr·√(1 − β₂ᵗ) / (1 − β₁ᵗ) */
  stepSize: Tensor;
  /** ε·√(1 − β₂ᵗ) */
  eps: Tensor;
  /** 1 − lr·weight_decay */
  keep: Tensor;
  maxNorm: Tensor;
}

const NAMES = [
  ...["beta1", "fresh1", "beta2", "freshRoot2"] as const,
  ...["stepSize", "eps", "keep", "maxNorm"] as const,
];

export function optimizerInputs(g: Graph): OptimizerInputs {
  return Object.fromEntries(
    NAMES.map((name) => [name, g.input(`optimizer.${name}`, "float32", [])]),
  ) as unknown as OptimizerInputs;
}

/** Values of the optimizer's inputs for step `t` (1-based). `maxNorm` 0 means no clipping. */
export function optimizerFeeds(
  o: { lr: number; betas: [number, number]; eps: number; weightDecay: number; maxNorm: number },
  t: number,
): Record<string, { data: Float32Array; dims: number[] }> {
  const root2 = Math.sqrt(1 - o.betas[1] ** t);
  const values: Record<(typeof NAMES)[number], number> = {
    beta1: o.betas[0],
    fresh1: 1 - o.betas[0],
    beta2: o.betas[1],
    freshRoot2: Math.sqrt(1 - o.betas[1]),
    stepSize: o.lr * root2 / (1 - o.betas[0] ** t),
    eps: o.eps * root2,
    keep: 1 - o.lr * o.weightDecay,
    maxNorm: o.maxNorm > 0 ? o.maxNorm : 3e38,
  };
  return Object.fromEntries(
    NAMES.map((n) => [`optimizer.${n}`, { data: Float32Array.of(values[n]), dims: [] }]),
  );
}

/**
 * ‖g‖ over all gradients together. Summed from the last layer down: the runtime computes what the
 * innermost sum needs first, and each gradient should come when its layer's activations are still
 * there, not after all of them.
 */
export function globalNorm(g: Graph, grads: readonly Tensor[]): Tensor {
  const squares = grads.map((d) => g.emit1("ReduceSumSquare", [d], [], { keepdims: 0 }));
  return sqrt(g, squares.reduceRight((a, b) => add(g, a, b)));
}

export interface AdamState {
  m: Tensor;
  v: Tensor;
}

/** One step for all parameters; returns the new parameters and moments in the same order. */
export function adamw(
  g: Graph,
  o: OptimizerInputs,
  parameters: readonly Tensor[],
  grads: readonly Tensor[],
  moments: readonly AdamState[],
  norm: Tensor,
): (AdamState & { w: Tensor })[] {
  const ratio = div(g, o.maxNorm, g.emit1("Max", [norm, o.maxNorm], []));
  // The clip ratio goes into the scalars, so that no scaled gradient is ever written.
  const first = mul(g, o.fresh1, ratio);
  const second = mul(g, o.freshRoot2, ratio);
  return parameters.map((w, i) => {
    const m = add(g, mul(g, moments[i]!.m, o.beta1), mul(g, grads[i]!, first));
    const scaled = mul(g, grads[i]!, second);
    const v = add(g, mul(g, moments[i]!.v, o.beta2), mul(g, scaled, scaled));
    const step = div(g, mul(g, m, o.stepSize), add(g, sqrt(g, v), o.eps));
    return { w: sub(g, mul(g, w, o.keep), step), m, v };
  });
}

/** Sum of a weighting, as a scalar: Σ weight·x over rows. */
export const weightedSum = (g: Graph, x: Tensor, weight: Tensor): Tensor =>
  reduceSum(g, mul(g, x, weight), [0]);
