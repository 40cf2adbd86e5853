/**
 * Token sequences to the padded arrays that programs take. Right padding for score, value and
 * update (causal attention never sees it), left padding for sampling. Only the rows that are read
 * get a vocabulary product.
 */
import { uniforms } from "../../shared/random.ts";
import type { HostTensor } from "../device.ts";
import type { Sequence } from "../verbs.ts";
import { UNIFORM_STEPS } from "./draw.ts";

/** Prompts are padded to a multiple of this, so a row's arithmetic depends on itself alone. */
const PROMPT_BUCKET = 16;

/** Right-padded token matrix int32 [batch, time]. */
export function rightPadded(sequences: readonly (readonly number[])[]): HostTensor {
  const time = Math.max(...sequences.map((s) => s.length));
  const data = new Int32Array(sequences.length * time);
  sequences.forEach((tokens, b) => data.set(tokens, b * time));
  return { data, dims: [sequences.length, time] };
}

/** Flat rows whose hidden states predict each response token, and those tokens. */
export function responseRows(batch: readonly Sequence[], time: number) {
  const rows: number[] = [];
  const targets: number[] = [];
  batch.forEach(({ tokens, prompt_length }, b) => {
    for (let t = prompt_length; t < tokens.length; t++) {
      rows.push(b * time + t - 1);
      targets.push(tokens[t]!);
    }
  });
  return { rows: Int32Array.from(rows), targets: Int32Array.from(targets) };
}

/** Flat row that a value is read at, one per sequence. */
export function valueRows(
  batch: readonly { tokens: number[]; read_at: "last" | number }[],
  time: number,
): Int32Array {
  return Int32Array.from(
    batch,
    ({ tokens, read_at }, b) => b * time + (read_at === "last" ? tokens.length - 1 : read_at),
  );
}

/** Length that a prompt is padded to. */
export const promptBucket = (length: number): number =>
  Math.ceil(length / PROMPT_BUCKET) * PROMPT_BUCKET;

/**
 * Prompts run in blocks of this many tokens, counted from their start: a block that several
 * prompts begin with runs once. The last block, with the padding, has as many or fewer.
 */
export const PROMPT_BLOCK = 128;

/** Where the last block of a prompt of this padded length starts. */
export const lastBlock = (width: number): number =>
  PROMPT_BLOCK * (Math.ceil(width / PROMPT_BLOCK) - 1);

/** Left-padded prompts of one bucket: tokens [batch, width] and pads [batch, 1]. */
export function leftPadded(prompts: readonly (readonly number[])[], width: number) {
  const tokens = new Int32Array(prompts.length * width);
  const pads = new Int32Array(prompts.length);
  prompts.forEach((prompt, b) => {
    pads[b] = width - prompt.length;
    tokens.set(prompt, b * width + pads[b]!);
  });
  return {
    tokens: { data: tokens, dims: [prompts.length, width] },
    pads: { data: pads, dims: [prompts.length, 1] },
  };
}

/** Uniforms [steps, batch, 1]; row b's depend on its seed alone. 23 bits, so always below 1. */
export function uniformMatrix(seeds: readonly number[], steps: number): HostTensor {
  const data = new Float32Array(steps * seeds.length);
  seeds.forEach((seed, b) => {
    const next = uniforms(seed);
    for (let t = 0; t < steps; t++) {
      data[t * seeds.length + b] = Math.floor(next() * UNIFORM_STEPS) / UNIFORM_STEPS;
    }
  });
  return { data, dims: [steps, seeds.length, 1] };
}

/** What a run costs beside its tokens, in tokens: 60 to 90 were measured at 5M parameters. */
const RUN_COST = 128;
/** Most sequences of one run: bounds the search below. */
const MOST_SEQUENCES = 1024;
/** Share of a batch that may be padding, where that is more than WORTH_A_RUN. */
const MOST_PADDING = 0.15;
/** Padded tokens that cost less than the run which would save them. */
const WORTH_A_RUN = 64;

/**
 * Index groups of at most `limit` padded tokens each (a longer sequence runs alone), similar
 * lengths together: the split whose padded tokens and runs cost least, with padding under 15 % or
 * under 64 tokens. Longest first, so that later runs fit into the memory of earlier ones.
 */
export function microBatches(lengths: readonly number[], limit: number): number[][] {
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const sorted = Int32Array.from(order, (i) => lengths[i]!);
  const real = sorted.reduce((sum, length) => sum + length, 0);
  // At a price below one token no group of the cheapest split holds two lengths.
  for (let price = RUN_COST;; price /= 2) {
    const { start, padded } = cheapestSplit(sorted, limit, price);
    const padding = padded - real;
    if (padding >= WORTH_A_RUN && padding >= MOST_PADDING * padded) continue;
    const groups: number[][] = [];
    for (let n = order.length; n > 0; n = start[n]!) groups.unshift(order.slice(start[n], n));
    return groups;
  }
}

/**
 * Of lengths that descend, where the last run of the n longest starts, and the padded tokens of
 * all runs, when a run costs `price` tokens.
 */
function cheapestSplit(sorted: Int32Array, limit: number, price: number) {
  const cost = new Float64Array(sorted.length + 1).fill(Infinity, 1);
  const start = new Int32Array(sorted.length + 1);
  for (let n = 1; n <= sorted.length; n++) {
    for (let from = n - 1; from >= Math.max(0, n - MOST_SEQUENCES); from--) {
      const padded = (n - from) * sorted[from]!;
      if (padded > limit && from < n - 1) break;
      const total = cost[from]! + padded + price;
      if (total > cost[n]!) continue;
      cost[n] = total;
      start[n] = from;
    }
  }
  let padded = 0;
  for (let n = sorted.length; n > 0; n = start[n]!) padded += (n - start[n]!) * sorted[start[n]!]!;
  return { start, padded };
}
