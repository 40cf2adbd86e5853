/**
 * The verb `sample`: prompts in buckets of equal padded width, one Loop run per bucket.
 * Rows never influence each other, so a completion depends on its prompt and seed alone.
 */
import { type Policy, weightsOf } from "./policy.ts";
import { leftPadded, promptBucket, uniformMatrix } from "./program/batch.ts";
import type { ProgramLibrary } from "./program/library.ts";
import type { Completion, SampleRequest } from "./verbs.ts";

/**
 * Small products run on one thread, large ones on several, and the split changes the order of
 * sums: below this many rows the last bits of a row would depend on how many others there are.
 */
const LEAST_ROWS = 16;
/** Most rows of one run. */
const ROWS_PER_RUN = 128;

export async function runSample(
  library: ProgramLibrary,
  policy: Policy,
  request: SampleRequest,
): Promise<Completion[]> {
  const program = await library.sample(policy.spec);
  const result: Completion[] = [];
  const steps = Math.max(2, request.max_tokens);
  const stop = request.stop_tokens.length ? request.stop_tokens : [-1];
  const greedy = request.temperature === 0;
  for (const [width, rows] of buckets(request.prompts)) {
    for (let start = 0; start < rows.length; start += ROWS_PER_RUN) {
      const group = rows.slice(start, start + ROWS_PER_RUN);
      const missing = Math.max(0, LEAST_ROWS - group.length);
      const padded = [...group, ...Array<number>(missing).fill(group[0]!)];
      const output = await program.run({
        ...weightsOf(policy),
        ...leftPadded(padded.map((i) => request.prompts[i]!), width),
        uniforms: uniformMatrix(padded.map((i) => request.seeds[i]!), steps),
        stop: { data: Int32Array.from(stop), dims: [1, stop.length] },
        inverse_temperature: {
          data: Float32Array.of(greedy ? 1 : 1 / request.temperature),
          dims: [],
        },
        greedy: { data: Uint8Array.of(greedy ? 1 : 0), dims: [] },
      });
      const data = (name: string) => output[name]!.data as Float32Array | Int32Array;
      const [first, rest] = [data("first_token"), data("tokens_rest")];
      const [firstLogprob, restLogprobs] = [data("first_logprob"), data("logprobs_rest")];
      group.forEach((i, b) => {
        const tokens = [first[b]!];
        const logprobs = [firstLogprob[b]!];
        const ended = () => request.stop_tokens.includes(tokens.at(-1)!);
        for (
          let at = b;
          at < rest.length && tokens.length < request.max_tokens;
          at += padded.length
        ) {
          if (ended()) break;
          tokens.push(rest[at]!);
          logprobs.push(restLogprobs[at]!);
        }
        result[i] = { tokens, logprobs, finish_reason: ended() ? "stop" : "length" };
      });
    }
  }
  return result;
}

/** Row indices by padded prompt width. */
function buckets(prompts: readonly (readonly number[])[]): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  prompts.forEach((prompt, i) => {
    const width = promptBucket(prompt.length);
    groups.set(width, [...groups.get(width) ?? [], i]);
  });
  return groups;
}
