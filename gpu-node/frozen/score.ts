/**
 * The verb `score` of a frozen policy: log-probabilities of the tokens after each prompt, from one
 * forward pass per micro-batch. Padding is on the right, where no earlier position sees it.
 */
import { microBatches, rightPadded } from "../program/batch.ts";
import type { Sequence } from "../verbs.ts";
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
): Promise<number[][]> {
  const result: number[][] = sequences.map(() => []);
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
      result[i] = tokens.slice(prompt_length).map((token, k) => {
        const start = (b * time + prompt_length - 1 + k) * vocab;
        const row = logits.subarray(start, start + vocab);
        return row[token]! - logSumExp(row);
      });
    });
  }
  return result;
}
