/**
 * Drawing one token on the host, with the rules of program/draw.ts: inverse CDF of the tempered
 * softmax in the vocabulary's order, so the same logits and uniform give the same token. The
 * log-probability is that of the distribution drawn from, truncation (top_k, then top_p) included.
 */
import { CollmError } from "../../shared/errors.ts";
import type { SampleRequest } from "../verbs.ts";

export type DrawSettings = Pick<SampleRequest, "temperature" | "top_p" | "top_k">;

/** Natural log of the sum of exp(logits · scale), without overflow. */
export function logSumExp(logits: Float32Array, scale = 1): number {
  const most = largest(logits) * scale;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! * scale - most);
  return most + Math.log(sum);
}

/** Token and log-probability from logits [vocab] and a uniform number in [0, 1). */
export function drawToken(
  logits: Float32Array,
  uniform: number,
  { temperature, top_p = 1, top_k = 0 }: DrawSettings,
): { token: number; logprob: number } {
  if (temperature === 0) {
    const token = logits.indexOf(largest(logits));
    return { token, logprob: logits[token]! - logSumExp(logits) };
  }
  const most = largest(logits) / temperature;
  const weights = Float64Array.from(logits, (x) => Math.exp(x / temperature - most));
  if (top_p < 1 || (top_k > 0 && top_k < weights.length)) truncate(weights, top_p, top_k);
  const total = weights.reduce((sum, w) => sum + w, 0);
  if (!(total > 0)) {
    throw new CollmError("internal", "Cannot draw a token: a logit is not a number");
  }
  const aim = uniform * total;
  // Added in the same order as the total, so the last sum reaches it and exceeds the aim.
  let [token, running] = [-1, 0];
  while (running <= aim) running += weights[++token]!;
  return { token, logprob: Math.log(weights[token]! / total) };
}

/**
 * Sets to 0 what is not among the `k` largest weights (0: all) or, of those, not in the smallest
 * set that holds the share `p` of their sum. Of equal weights the first stay.
 */
function truncate(weights: Float64Array, p: number, k: number): void {
  const sorted = weights.toSorted().reverse();
  const candidates = sorted.subarray(0, k > 0 ? k : sorted.length);
  const reach = p < 1 ? p * candidates.reduce((sum, w) => sum + w, 0) : Infinity;
  let [count, running] = [0, 0];
  while (count < candidates.length && (count === 0 || running < reach)) {
    running += candidates[count++]!;
  }
  const least = candidates[count - 1]!;
  let equal = count - sorted.indexOf(least);
  for (let i = 0; i < weights.length; i++) {
    if (weights[i]! < least || (weights[i] === least && equal-- <= 0)) weights[i] = 0;
  }
}

function largest(values: Float32Array): number {
  let most = -Infinity;
  for (let i = 0; i < values.length; i++) if (values[i]! > most) most = values[i]!;
  return most;
}
