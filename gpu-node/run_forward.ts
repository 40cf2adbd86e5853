/** The verbs that read: log-probabilities and values, in micro-batches of similar length. */
import { type Policy, weightsOf } from "./policy.ts";
import { microBatches, responseRows, rightPadded, valueRows } from "./program/batch.ts";
import { isWide, MOST_LOGITS } from "./program/forward.ts";
import type { ProgramLibrary } from "./program/library.ts";
import type {
  Alternatives,
  AlternativesOptions,
  ScoreResult,
  Sequence,
  ValueSequence,
} from "./verbs.ts";

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

/**
 * Log-probabilities of the tokens after each prompt, and the most likely tokens in their place. A
 * sequence with many of them and a large vocabulary runs several times, for some of them each.
 */
export async function readAlternatives(
  library: ProgramLibrary,
  policy: Policy,
  sequences: readonly Sequence[],
  { count, temperature }: AlternativesOptions,
  mostLogits = MOST_LOGITS,
): Promise<Required<Pick<ScoreResult, "logprobs" | "alternatives">>> {
  const program = await library.alternatives(policy.spec);
  const most = Math.max(1, Math.floor(mostLogits / policy.spec.config.vocabSize));
  const logprobs: number[][] = sequences.map(() => []);
  const alternatives: Alternatives[][] = sequences.map(() => []);
  const lengths = sequences.map((s) => s.tokens.length);
  for (const group of microBatches(lengths, Math.min(TOKENS_PER_RUN, most))) {
    const batch = group.map((i) => sequences[i]!);
    const tokens = rightPadded(batch.map((s) => s.tokens));
    const { rows, targets } = responseRows(batch, tokens.dims[1]!);
    const owners = group.flatMap((i) =>
      Array<number>(sequences[i]!.tokens.length - sequences[i]!.prompt_length).fill(i)
    );
    for (let from = 0; from < rows.length; from += most) {
      const part = <T extends Int32Array>(all: T) => {
        const data = all.subarray(from, from + most);
        return { data, dims: [data.length] };
      };
      const output = await program.run({
        ...weightsOf(policy),
        tokens,
        rows: part(rows),
        targets: part(targets),
        inverse_temperature: { data: Float32Array.of(1 / (temperature || 1)), dims: [] },
      });
      const values = (name: string) => output[name]!.data as Float32Array;
      const width = output["top"]!.dims[1]!;
      values("given").forEach((given, row) => {
        const owner = owners[from + row]!;
        const listed = [row * width, row * width + Math.min(count, width)] as const;
        logprobs[owner]!.push(values("logprobs")[row]!);
        alternatives[owner]!.push({
          tokens: [...values("alternatives").subarray(...listed)],
          logprobs: [...values("top").subarray(...listed)],
          given,
        });
      });
    }
  }
  return { logprobs, alternatives };
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
