/**
 * The losses as nodes over the chosen rows; update/feeds.ts gives their inputs.
 * Over sequences of response tokens k, A advantage, w a weight:
 *   policy_gradient: mean over sequences of −Σ_k logp_k·A_k
 *   cross_entropy:   mean over all response tokens of −w·logp_k
 *   ppo_clip:        −mean over sequences of mean over response tokens of
 *                    min(r_k·A_k, clip(r_k, 1 − c, 1 + c)·A_k), r_k = exp(logp_k − old_k), or for
 *                    the ratio of a sequence r = exp(mean_k(logp_k − old_k)) (arXiv 2507.18071)
 *   value_mse:       mean over sequences of (target − V)², with `clip` of the larger of it and
 *                    (target − V')², V' = V held within old_value ± clip
 * Any loss over tokens may add kl_coef · mean over sequences of Σ_k exp(d_k) − d_k − 1,
 * d = ref − logp. Weights carry every average, so padding and micro-batches are exact.
 */
import type { Graph } from "../graph/graph.ts";
import {
  add,
  compare,
  exp,
  maximum,
  minimum,
  mul,
  neg,
  sub,
  where,
} from "../graph/ops/elementwise.ts";
import { segmentSum, spread } from "../graph/ops/segment.ts";
import { reduceSum } from "../graph/ops/shape.ts";
import type { Tensor } from "../graph/tensor.ts";

/** What a loss does with its rows: what an update program is compiled for. */
export interface LossForm {
  kind: "weighted" | "clipped_token" | "clipped_sequence" | "value" | "clipped_value";
  kl: boolean;
}

export const isValueLoss = ({ kind }: LossForm): boolean =>
  kind === "value" || kind === "clipped_value";

/** The loss over log-probabilities [rows] of response tokens, a scalar. */
export function tokenLoss(g: Graph, { kind, kl }: LossForm, logprobs: Tensor): Tensor {
  const rows = (name: string) => g.input(name, "float32", ["rows"]);
  const total = (x: Tensor) => reduceSum(g, x, [0]);
  const weights = rows("weights");
  const gain = kind === "weighted"
    ? logprobs
    : clippedGain(g, sub(g, logprobs, rows("old_logprobs")), kind === "clipped_sequence");
  const loss = neg(g, total(mul(g, gain, weights)));
  if (!kl) return loss;
  const d = sub(g, rows("ref_logprobs"), logprobs);
  const k3 = sub(g, sub(g, exp(g, d), d), g.scalar(1));
  return add(g, loss, mul(g, total(k3), g.input("kl_weight", "float32", [])));
}

/** Largest log ratio without effect that is told apart: its exp is still a float32. */
const MOST_LOG_RATIO = 88;

/**
 * min(r·A, clip(r)·A) per token from log ratios [rows]. Where A ≥ 0 a ratio beyond float32 has no
 * gradient, but would be multiplied by zero to NaN, so it is held below; where A < 0 it counts.
 */
function clippedGain(g: Graph, logRatio: Tensor, perSequence: boolean): Tensor {
  const advantages = g.input("advantages", "float32", ["rows"]);
  const clip = g.input("clip", "float32", []);
  const one = g.scalar(1);
  const used = perSequence ? sequenceMean(g, logRatio) : logRatio;
  const counts = compare(g, "Less", advantages, g.scalar(0));
  const most = where(g, counts, g.scalar(3e38), g.scalar(MOST_LOG_RATIO));
  const ratio = exp(g, minimum(g, used, most));
  const held = minimum(g, maximum(g, ratio, sub(g, one, clip)), add(g, one, clip));
  return minimum(g, mul(g, ratio, advantages), mul(g, held, advantages));
}

/** Mean of each sequence's elements, at every element: x [rows] → [rows]. */
function sequenceMean(g: Graph, x: Tensor): Tensor {
  const sequence = g.input("sequence", "int32", ["rows"]);
  const share = g.input("share", "float32", ["rows"]);
  const size = g.input("sequences", "int64", [1]);
  return spread(g, segmentSum(g, mul(g, x, share), sequence, size, "sequences"), sequence);
}

/** The loss over values [rows], a scalar. */
export function valueLoss(g: Graph, { kind }: LossForm, values: Tensor): Tensor {
  const rows = (name: string) => g.input(name, "float32", ["rows"]);
  const targets = rows("targets");
  const square = (v: Tensor) => {
    const error = sub(g, v, targets);
    return mul(g, error, error);
  };
  const weights = rows("weights");
  const loss = kind === "value" ? square(values) : (() => {
    const old = rows("old_values");
    const clip = g.input("clip", "float32", []);
    const held = minimum(g, maximum(g, values, sub(g, old, clip)), add(g, old, clip));
    return maximum(g, square(values), square(held));
  })();
  return reduceSum(g, mul(g, loss, weights), [0]);
}
