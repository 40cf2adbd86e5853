/** The verbs that read: log-probabilities and values, in micro-batches of similar length. */
import { type Policy, weightsOf } from "./policy.ts";
import { microBatches, responseRows, rightPadded, valueRows } from "./program/batch.ts";
import { isWide } from "./program/forward.ts";
import type { ProgramLibrary } from "./program/library.ts";
import type { Sequence, ValueSequence } from "./verbs.ts";

/** Padded tokens of one forward run. */
const TOKENS_PER_RUN = 16384;

/** Log-probabilities of the tokens after each prompt. */
export async function readLogprobs(
  library: ProgramLibrary,
  policy: Policy,
  sequences: readonly Sequence[],
): Promise<number[][]> {
  const result: number[][] = sequences.map(() => []);
  for (const group of microBatches(sequences.map((s) => s.tokens.length), TOKENS_PER_RUN)) {
    const batch = group.map((i) => sequences[i]!);
    const tokens = rightPadded(batch.map((s) => s.tokens));
    const { rows, targets } = responseRows(batch, tokens.dims[1]!);
    if (rows.length === 0) continue;
    const program = await library.score(policy.spec, isWide(policy.spec.config, rows.length));
    const dims = [rows.length];
    const output = await program.run({
      ...weightsOf(policy),
      tokens,
      rows: { data: rows, dims },
      targets: { data: targets, dims },
    });
    const flat = output["logprobs"]!.data as Float32Array;
    let at = 0;
    for (const i of group) {
      const { tokens, prompt_length } = sequences[i]!;
      result[i] = [...flat.subarray(at, at += tokens.length - prompt_length)];
    }
  }
  return result;
}

/** Value-head outputs, one per sequence. */
export async function readValues(
  library: ProgramLibrary,
  policy: Policy,
  sequences: readonly ValueSequence[],
): Promise<number[]> {
  const program = await library.value(policy.spec);
  const result: number[] = sequences.map(() => 0);
  for (const group of microBatches(sequences.map((s) => s.tokens.length), TOKENS_PER_RUN)) {
    const batch = group.map((i) => sequences[i]!);
    const tokens = rightPadded(batch.map((s) => s.tokens));
    const rows = valueRows(batch, tokens.dims[1]!);
    const output = await program.run({
      ...weightsOf(policy),
      tokens,
      rows: { data: rows, dims: [rows.length] },
    });
    const values = output["values"]!.data as Float32Array;
    group.forEach((i, k) => result[i] = values[k]!);
  }
  return result;
}
