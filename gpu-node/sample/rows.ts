/**
 * One completion on its way, and which of them run together. What shares a run is decided by the
 * model and the prompt's padded length alone, so that a completion depends on nothing else.
 */
import { uniforms } from "../../shared/random.ts";
import type { Policy } from "../policy.ts";
import { promptBucket } from "../program/batch.ts";
import { UNIFORM_STEPS } from "../program/draw.ts";
import type { Completion, SampleRequest } from "../verbs.ts";

export interface Row {
  /** Index of the request, and of the prompt within it. */
  request: number;
  at: number;
  policy: Policy;
  settings: SampleRequest;
  prompt: readonly number[];
  /** Left padding of the prompt. */
  pad: number;
  /** The next uniform of this row: of its seed alone, 23 bits, so always below 1. */
  uniform: () => number;
  tokens: number[];
  logprobs: number[];
  finish: Completion["finish_reason"] | "cancelled" | null;
}

/** The rows of a request, in the order of its prompts. */
export const rowsOf = (policy: Policy, settings: SampleRequest, request: number): Row[] =>
  settings.prompts.map((prompt, at) => {
    const random = uniforms(settings.seeds[at]!);
    return {
      request,
      at,
      policy,
      settings,
      prompt,
      pad: promptBucket(prompt.length) - prompt.length,
      uniform: () => Math.floor(random() * UNIFORM_STEPS) / UNIFORM_STEPS,
      tokens: [],
      logprobs: [],
      finish: null,
    };
  });

/** Takes the row's next token; what comes after its end is ignored. */
export function extend(row: Row, token: number, logprob: number): void {
  if (row.finish) return;
  row.tokens.push(token);
  row.logprobs.push(logprob);
  if (row.settings.stop_tokens.includes(token)) row.finish = "stop";
  else if (row.tokens.length === row.settings.max_tokens) row.finish = "length";
}

/** Whether the row draws from its most likely tokens only. */
export const isTruncated = ({ settings: { temperature, top_p = 1, top_k = 0 } }: Row): boolean =>
  temperature > 0 && (top_p < 1 || top_k > 0);

/** Most rows of one run, and numbers in its key/value cache (1 GiB of float32). */
const ROWS_PER_RUN = 128;
const MOST_CACHE = 2 ** 28;

/** Rows that run together: on the same weights, of one padded length, as many as memory allows. */
export function batchesOf(rows: readonly Row[]): Row[][] {
  const kinds = Map.groupBy(rows, ({ policy }) => policy.base ?? policy);
  return [...kinds.values()].flatMap((kind) => {
    const { layers, kvHeads, headDim } = kind[0]!.policy.spec.config;
    const widths = Map.groupBy(kind, ({ prompt }) => promptBucket(prompt.length));
    return [...widths].flatMap(([width, bucket]) => {
      const length = width + Math.max(...bucket.map(({ settings }) => settings.max_tokens));
      const most = Math.floor(MOST_CACHE / (2 * layers * kvHeads * headDim * length));
      const size = Math.max(1, Math.min(ROWS_PER_RUN, most));
      const count = Math.ceil(bucket.length / size);
      return Array.from({ length: count }, (_, i) => bucket.slice(i * size, (i + 1) * size));
    });
  });
}
