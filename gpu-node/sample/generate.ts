/**
 * One batch from prompts to completions: prefill, then chunks of decoding until every row has
 * ended. Between chunks fresh tokens are handed out and cancelled rows end.
 */
import { dispose } from "../device.ts";
import type { TensorData } from "../device.ts";
import type { DecodeForm } from "../program/decode.ts";
import { lastBlock } from "../program/batch.ts";
import { cacheNames } from "../program/cache.ts";
import type { SampleHooks } from "../verbs.ts";
import { maskOf } from "./adapters.ts";
import { allCancelled, extend, isTruncated, readsBehind, type Row } from "./rows.ts";
import type { Sampler } from "./sampler.ts";
import { prefill } from "./prefill.ts";
import { freeState, putBehind, type State, withoutFinished } from "./state.ts";

/** Tokens that the growing cache takes before it is put behind, and the longest chunk. */
const GROWN = 32;
/** Chunk while somebody watches. A divisor: what is put behind when changes the last bits. */
const WATCHED = 8;

/** Generates until every row has its finish. The rows run together (rows.ts: batchesOf). */
export async function generate(sampler: Sampler, rows: Row[], hooks: SampleHooks): Promise<void> {
  const { library } = sampler;
  const { config } = rows[0]!.policy.spec;
  const adapters = await sampler.adapters(rows);
  const behind = rows[0]!.group > 1 ? "shared" : readsBehind(config);
  const form: DecodeForm = {
    targets: adapters?.targets ?? [],
    truncated: rows.some(isTruncated),
    behind,
  };
  const { program, weights } = await sampler.decoder(rows[0]!.policy, form);
  const names = cacheNames("grown", config);
  const afterwards = cacheNames("grown_after", config);
  const begun = await prefill(library, rows, adapters, () => allCancelled(rows, hooks));
  if (!begun) return;
  let state = begun;
  try {
    for (let step = 0;;) {
      for (const row of rows) if (hooks.cancelled?.(row.request)) row.finish ??= "cancelled";
      const going = state.rows.filter((row) => !row.finish);
      if (going.length === 0) return;
      const left = Math.max(...going.map(({ settings }) => settings.max_tokens)) - step;
      const steps = Math.min(left, hooks.onTokens ? WATCHED : GROWN);
      const policies = padded(state).map((row) => row.policy);
      const output = await program.run({
        ...weights,
        ...adapters && { ...adapters.feeds, mask: maskOf(adapters, policies) },
        ...controls(state, form, steps),
        hidden: state.hidden,
        ...state.past,
        ...state.grown,
      });
      dispose([state.hidden, ...Object.values(state.grown)]);
      state = {
        ...state,
        hidden: output["hidden_after"]!,
        grown: Object.fromEntries(names.map((name, i) => [name, output[afterwards[i]!]!])),
      };
      const [tokens, logprobs] = [output["tokens"]!.data, output["logprobs"]!.data];
      take(state, tokens as Int32Array, logprobs as Float32Array, hooks);
      step += steps;
      if (step % GROWN > 0) continue;
      state = await putBehind(library, state);
      state = await withoutFinished(library, state);
    }
  } finally {
    freeState(state);
  }
}

/** The row that each row of the tensors stands for. */
const padded = ({ rows, count }: State): Row[] =>
  Array.from({ length: count }, (_, b) => rows[b] ?? rows[0]!);

/** Inputs that follow from the rows alone, for a run of `steps` steps. */
function controls(state: State, { truncated }: DecodeForm, steps: number) {
  const rows = padded(state);
  const count = rows.length;
  const column = (data: TensorData) => ({ data, dims: [count, 1] });
  const floats = (f: (row: Row) => number) => column(Float32Array.from(rows, f));
  const ints = (f: (row: Row) => number) => column(Int32Array.from(rows, f));
  const flags = (f: (row: Row) => boolean) => column(Uint8Array.from(rows, (r) => f(r) ? 1 : 0));
  const uniforms = new Float32Array(steps * count);
  state.rows.forEach((row, b) => {
    for (let t = 0; t < steps; t++) uniforms[t * count + b] = row.uniform();
  });
  const stops = Math.max(1, ...rows.map(({ settings }) => settings.stop_tokens.length));
  const stop = new Int32Array(count * stops).fill(-1);
  rows.forEach(({ settings }, b) => stop.set(settings.stop_tokens, b * stops));
  const { vocabSize } = rows[0]!.policy.spec.config;
  return {
    position: column(
      BigInt64Array.from(rows, ({ prompt, tokens }) => BigInt(prompt.length - 1 + tokens.length)),
    ),
    done: column(
      Uint8Array.from(rows, ({ finish }, b) => finish || b >= state.rows.length ? 1 : 0),
    ),
    pads: ints(({ pad }) => pad),
    pads_start: {
      data: Int32Array.of(lastBlock(rows[0]!.prompt.length + rows[0]!.pad)),
      dims: [1],
    },
    uniforms: { data: uniforms, dims: [steps, count, 1] },
    stop: { data: stop, dims: [count, stops] },
    inverse_temperature: floats(({ settings: { temperature } }) => 1 / (temperature || 1)),
    greedy: flags(({ settings }) => settings.temperature === 0),
    ...truncated && {
      top_k: ints((row) =>
        Math.min(vocabSize, isTruncated(row) && row.settings.top_k || vocabSize)
      ),
      // Above 1 nothing is cut, whatever rounding makes of the sum.
      top_p: floats((row) => isTruncated(row) && row.settings.top_p! < 1 ? row.settings.top_p! : 2),
    },
  };
}

/** Hands tokens and logprobs [steps, rows, 1] to the rows. */
function take(
  { rows, count }: State,
  tokens: Int32Array,
  logprobs: Float32Array,
  { onTokens }: SampleHooks,
): void {
  rows.forEach((row, b) => {
    const start = row.tokens.length;
    for (let at = b; at < tokens.length; at += count) extend(row, tokens[at]!, logprobs[at]!);
    if (row.tokens.length === start) return;
    onTokens?.(row.request, row.at, row.tokens.slice(start), row.logprobs.slice(start));
  });
}
