/**
 * AdamW with decoupled weight decay and global-norm clipping, as graph nodes (torch semantics):
 *   g ← g·min(1, max_norm/‖g‖);  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²
 *   w ← w·(1 − lr·decay) − lr·(m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + ε)
 * The step-dependent corrections are folded into two scalars by the host.
 */
import type { Graph } from "./graph.ts";
import { add, div, mul, sqrt, sub } from "./ops/elementwise.ts";
import { reduceSum } from "./ops/shape.ts";
import type { Tensor } from "./tensor.ts";

/** Scalars of one optimizer step, all float32 inputs of the graph. */
export interface OptimizerInputs {
  /** lr / (1 − β₁ᵗ) */
  stepSize: Tensor;
  /** 1 − lr·weight_decay */
  keep: Tensor;
  /** 1 − β₁ and 1 − β₂ */
  fresh1: Tensor;
  fresh2: Tensor;
  /** 1 / (1 − β₂ᵗ) */
  correction2: Tensor;
  eps: Tensor;
  maxNorm: Tensor;
}

const NAMES = ["stepSize", "keep", "fresh1", "fresh2", "correction2", "eps", "maxNorm"] as const;

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
  const values: Record<(typeof NAMES)[number], number> = {
    stepSize: o.lr / (1 - o.betas[0] ** t),
    keep: 1 - o.lr * o.weightDecay,
    fresh1: 1 - o.betas[0],
    fresh2: 1 - o.betas[1],
    correction2: 1 / (1 - o.betas[1] ** t),
    eps: o.eps,
    maxNorm: o.maxNorm > 0 ? o.maxNorm : 3e38,
  };
  return Object.fromEntries(
    NAMES.map((n) => [`optimizer.${n}`, { data: Float32Array.of(values[n]), dims: [] }]),
  );
}

/** ‖g‖ over all gradients together. */
export function globalNorm(g: Graph, grads: readonly Tensor[]): Tensor {
  const squares = grads.map((d) => g.emit1("ReduceSumSquare", [d], [], { keepdims: 0 }));
  return sqrt(g, squares.reduce((a, b) => add(g, a, b)));
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
  // m ← m + (1−β)(g − m) saves a pass over β·m + (1−β)·g; the clip ratio enters once per moment.
  const lerp = (old: Tensor, fresh: Tensor, by: Tensor) =>
    add(g, old, mul(g, sub(g, fresh, old), by));
  return parameters.map((w, i) => {
    const grad = mul(g, grads[i]!, ratio);
    const m = lerp(moments[i]!.m, grad, o.fresh1);
    const v = lerp(moments[i]!.v, mul(g, grad, grad), o.fresh2);
    const scale = add(g, sqrt(g, mul(g, v, o.correction2)), o.eps);
    const step = div(g, mul(g, m, o.stepSize), scale);
    return { w: sub(g, mul(g, w, o.keep), step), m, v };
  });
}

/** Sum of a weighting, as a scalar: Σ weight·x over rows. */
export const weightedSum = (g: Graph, x: Tensor, weight: Tensor): Tensor =>
  reduceSum(g, mul(g, x, weight), [0]);
