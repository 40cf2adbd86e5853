/**
 * The verb `score` of a frozen policy: log-probabilities of the tokens after each prompt, from one
 * forward pass per micro-batch. Padding is on the right, where no earlier position sees it.
 */
import { microBatches, rightPadded } from "../program/batch.ts";
import type { Alternatives, AlternativesOptions, ScoreResult, Sequence } from "../verbs.ts";
import { logSumExp } from "./draw.ts";
import type { FrozenPolicy } from "./load.ts";
import { freeCache } from "./model.ts";

/** Padded tokens of one pass. */
const TOKENS_PER_RUN = 16384;
/** Logits of one pass, 256 MiB; a single sequence may need more. */
export const MOST_LOGITS = 2 ** 26;

/** Arrays by sequence, then token. */
export async function scoreFrozen(
  { model, vocabSize }: FrozenPolicy,
  sequences: readonly Sequence[],
  asked?: AlternativesOptions,
): Promise<Pick<ScoreResult, "logprobs" | "alternatives">> {
  const logprobs: number[][] = sequences.map(() => []);
  const alternatives: Alternatives[][] = sequences.map(() => []);
  // The last token predicts nothing that is asked for.
  const inputs = sequences.map(({ tokens }) => tokens.slice(0, -1));
  const scored = sequences.flatMap((s, i) => s.tokens.length > s.prompt_length ? [i] : []);
  const limit = model.sharing === "alone"
    ? 0
    : Math.min(TOKENS_PER_RUN, Math.floor(MOST_LOGITS / vocabSize));
  for (const picked of microBatches(scored.map((i) => inputs[i]!.length), limit)) {
    const group = picked.map((at) => scored[at]!);
    const { data, dims: [rows = 0, time = 0] } = rightPadded(group.map((i) => inputs[i]!));
    const mask = new Int32Array(rows * time);
    group.forEach((i, b) => mask.fill(1, b * time, b * time + inputs[i]!.length));
    const { logits, vocab, past } = await model.forward({ tokens: data as Int32Array, rows, mask });
    freeCache(past);
    group.forEach((i, b) => {
      const { tokens, prompt_length } = sequences[i]!;
      tokens.slice(prompt_length).forEach((token, k) => {
        const start = (b * time + prompt_length - 1 + k) * vocab;
        const row = logits.subarray(start, start + vocab);
        logprobs[i]!.push(row[token]! - logSumExp(row));
        if (asked) alternatives[i]!.push(mostLikely(row, token, asked));
      });
    });
  }
  return { logprobs, ...asked && { alternatives } };
}

/** The most likely tokens by logits [vocab]; of equal ones the first. */
function mostLikely(
  logits: Float32Array,
  token: number,
  { count, temperature }: AlternativesOptions,
): Alternatives {
  const scale = 1 / (temperature || 1);
  const mass = logSumExp(logits, scale);
  const tokens: number[] = [];
  for (let id = 0; id < logits.length; id++) {
    if (tokens.length === count && logits[id]! <= logits[tokens[count - 1]!]!) continue;
    let at = tokens.length;
    while (at > 0 && logits[tokens[at - 1]!]! < logits[id]!) at--;
    tokens.splice(at, 0, id);
    tokens.length = Math.min(tokens.length, count);
  }
  const logprob = (id: number) => logits[id]! * scale - mass;
  return { tokens, logprobs: tokens.map(logprob), given: logprob(token) };
}
