/**
 * The verb `sample` of a frozen policy: prefill, then one pass per token, drawn on the host. Rows
 * of all requests run together as far as the model lets them (model.ts: Sharing), so a completion
 * depends on its prompt, settings and seed alone.
 */
import { CollmError } from "../../shared/errors.ts";
import { checkLength, checkPrompts } from "../checks.ts";
import { leftPadded, promptBucket, uniformMatrix } from "../program/batch.ts";
import type { Completion, SampleHooks, SampleRequest, SampleResult } from "../verbs.ts";
import { drawToken } from "./draw.ts";
import type { FrozenPolicy } from "./load.ts";
import { type Cache, freeCache, type FrozenModel, type Sharing } from "./model.ts";
import { MOST_LOGITS } from "./score.ts";

/** Most rows of one run, and numbers in its key/value cache (1 GiB of float32). */
const ROWS_PER_RUN = 128;
const MOST_CACHE = 2 ** 28;

/** One prompt on its way. */
interface Row {
  request: number;
  /** Index within the request. */
  at: number;
  settings: SampleRequest;
  prompt: number[];
  uniforms: ArrayLike<number>;
  tokens: number[];
  logprobs: number[];
  finish: Completion["finish_reason"] | "cancelled" | null;
}

/** The answer to each request, or why it has none: a bad or cancelled one fails itself only. */
export async function sampleFrozen(
  policy: FrozenPolicy,
  requests: readonly SampleRequest[],
  hooks: SampleHooks = {},
): Promise<(SampleResult | CollmError)[]> {
  const refused = requests.map((request) => refusal(policy, request));
  const rows = requests.flatMap((request, i) => refused[i] ? [] : rowsOf(request, i));
  for (const group of groupsOf(rows, policy)) await generate(policy.model, group, hooks);
  return requests.map((_, i) => {
    const own = rows.filter((row) => row.request === i);
    if (own.some((row) => row.finish === "cancelled")) {
      return new CollmError("unavailable", `Cannot sample policy '${policy.name}': cancelled`);
    }
    const completions = own.map(({ tokens, logprobs, finish }) => ({
      tokens,
      logprobs,
      finish_reason: finish === "stop" ? "stop" as const : "length" as const,
    }));
    return refused[i] ?? { completions, policy_version: policy.version };
  });
}

function refusal(policy: FrozenPolicy, request: SampleRequest): CollmError | null {
  try {
    checkPrompts(policy, request);
    const longest = Math.max(0, ...request.prompts.map((p) => p.length));
    checkLength(policy, "sample", longest + request.max_tokens);
    return null;
  } catch (cause) {
    if (cause instanceof CollmError) return cause;
    throw cause;
  }
}

const rowsOf = (settings: SampleRequest, request: number): Row[] =>
  settings.prompts.map((prompt, at) => ({
    request,
    at,
    settings,
    prompt,
    uniforms: uniformMatrix([settings.seeds[at]!], settings.max_tokens).data as Float32Array,
    tokens: [],
    logprobs: [],
    finish: null,
  }));

/** Prefills the rows' prompts and draws until every row has ended. */
async function generate(model: FrozenModel, rows: Row[], hooks: SampleHooks): Promise<void> {
  const width = paddedLength(model.sharing, rows[0]!.prompt.length);
  const least = model.sharing === "alone" ? 1 : model.leastRows;
  const copies = Array.from({ length: Math.max(0, least - rows.length) }, () => rows[0]!);
  const batch = [...rows, ...copies];
  const { tokens: prompts, pads } = leftPadded(batch.map((row) => row.prompt), width);
  let tokens = prompts.data;
  let past: Cache | undefined;
  try {
    for (let step = 0;; step++) {
      for (const row of rows) {
        if (hooks.cancelled?.(row.request)) row.finish ??= "cancelled";
      }
      if (rows.every((row) => row.finish)) return;
      const pass = await model.forward({
        tokens,
        rows: batch.length,
        mask: visible(pads.data, width + step),
        past,
        lastOnly: true,
      });
      past = pass.past;
      const stride = pass.logits.length / batch.length;
      rows.forEach((row, b) => {
        if (row.finish) return;
        extend(row, pass.logits.subarray((b + 1) * stride - pass.vocab, (b + 1) * stride));
        hooks.onTokens?.(row.request, row.at, row.tokens.slice(-1), row.logprobs.slice(-1));
      });
      tokens = Int32Array.from(batch, (row) => row.tokens.at(-1) ?? 0);
      requireCache(past, rows);
    }
  } finally {
    freeCache(past);
  }
}

/** Draws the row's next token from its logits. */
function extend(row: Row, logits: Float32Array): void {
  const { settings, tokens, logprobs, uniforms } = row;
  const { token, logprob } = drawToken(logits, uniforms[tokens.length]!, settings);
  tokens.push(token);
  logprobs.push(Math.min(0, logprob));
  if (settings.stop_tokens.includes(token)) row.finish = "stop";
  else if (tokens.length === settings.max_tokens) row.finish = "length";
}

function requireCache(past: Cache, rows: readonly Row[]): void {
  if (Object.keys(past).length > 0 || rows.every((row) => row.finish)) return;
  throw new CollmError(
    "invalid_request",
    `Cannot sample policy '${rows[0]!.settings.policy}': its ONNX file has no key/value cache ` +
      "(outputs present.*)",
  );
}

/** Mask [rows, length]: all but each row's padding. */
function visible(pads: Int32Array, length: number): Int32Array {
  const mask = new Int32Array(pads.length * length).fill(1);
  pads.forEach((pad, b) => mask.fill(0, b * length, b * length + pad));
  return mask;
}

/** The length a prompt runs with, which depends on its own length alone. */
const paddedLength = (sharing: Sharing, length: number): number =>
  sharing === "padded" ? promptBucket(length) : length;

/** Rows that run together: of one padded length, as many as memory allows. */
function groupsOf(rows: readonly Row[], { model, vocabSize }: FrozenPolicy): Row[][] {
  const buckets = Map.groupBy(rows, (row) => paddedLength(model.sharing, row.prompt.length));
  return [...buckets].flatMap(([width, bucket]) => {
    const positions = width + Math.max(...bucket.map((row) => row.settings.max_tokens));
    const logits = vocabSize * (model.skipsLogits ? 1 : width);
    const most = model.sharing === "alone" ? 1 : Math.max(
      1,
      Math.floor(
        Math.min(ROWS_PER_RUN, MOST_LOGITS / logits, MOST_CACHE / (model.cacheSize * positions)),
      ),
    );
    const starts = Array.from({ length: Math.ceil(bucket.length / most) }, (_, i) => i * most);
    return starts.map((start) => bucket.slice(start, start + most));
  });
}
