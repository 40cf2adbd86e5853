/**
 * What an update says about its batch beside loss and norm: how far the behaviour policy is from
 * the one that learns, and how much of what ran was padding.
 */
import type { OnnxTensor } from "../../deps.ts";
import type { GradientReport, UpdateRequest, UpdateResult } from "../verbs.ts";
import { clipOf, type MicroBatch, responseLength } from "./feeds.ts";

/** logp − old logp of the tokens of each sequence whose behaviour is known, before the step. */
export function logRatios(
  batches: readonly MicroBatch[],
  outputs: readonly Record<string, OnnxTensor>[],
): number[][] {
  return batches.flatMap(({ sequences }, i) => {
    const logprobs = outputs[i]!["logprobs"]?.data as Float32Array | undefined;
    if (!logprobs) return [];
    let at = 0;
    return sequences.flatMap((s) => {
      const now = logprobs.subarray(at, at += responseLength(s));
      const known = s.old_logprobs?.length === now.length && now.length > 0;
      return known ? [s.old_logprobs!.map((old, k) => now[k]! - old)] : [];
    });
  });
}

/** Mean |logp − old| over tokens; for ppo_clip also the share of ratios outside 1 ± clip. */
export function ratioReport(
  request: UpdateRequest,
  ratios: readonly number[][],
): Pick<UpdateResult, "logprob_mismatch" | "clip_fraction"> {
  const all = ratios.flat();
  if (all.length === 0) return {};
  const logprob_mismatch = mean(all.map(Math.abs));
  if (request.loss !== "ppo_clip") return { logprob_mismatch };
  const clip = clipOf(request);
  const used = request.ratio === "sequence" ? ratios.flatMap((r) => r.map(() => mean(r))) : all;
  const clipped = used.filter((d) => Math.abs(Math.exp(d) - 1) > clip);
  return { logprob_mismatch, clip_fraction: clipped.length / used.length };
}

/** Share of the tokens that ran through the model and belong to no sequence. */
export function paddingOf(batches: readonly MicroBatch[]): number {
  const sum = (of: (batch: MicroBatch) => number) => batches.reduce((n, b) => n + of(b), 0);
  const real = sum((b) => b.sequences.reduce((n, s) => n + s.tokens.length, 0));
  return 1 - real / sum((b) => b.feeds["tokens"]!.data.length);
}

export const gradientReport = (g: Float32Array): GradientReport => ({
  norm: Math.sqrt(g.reduce((n, x) => n + x * x, 0)),
  first: [...g.subarray(0, 4)],
  last: [...g.subarray(-2)],
});

const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;
