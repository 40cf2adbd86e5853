/**
 * The verb `sample` as clients ask for it: texts as prompts, several completions of each, stop
 * texts. A stop text is found after sampling, which changes no token before it. What the kernel
 * does not do (top-p, top-k) is refused, never ignored.
 */
import type { z } from "../../deps.ts";
import { CollmError } from "../../shared/errors.ts";
import { seedOf } from "../../shared/random.ts";
import { MOST_COMPLETIONS, type sampleAnswer, type sampleRequest } from "../../shared/wire/gpu.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import type { ServedPolicies } from "./policies.ts";
import type { Completion } from "../verbs.ts";

export type WireSampleRequest = z.output<typeof sampleRequest>;
export type WireSampleAnswer = z.output<typeof sampleAnswer>;

/** Completions in order of their prompts, `n` of each. */
export async function sample(
  policies: ServedPolicies,
  request: WireSampleRequest,
): Promise<WireSampleAnswer> {
  const { policy, n, max_tokens, temperature } = request;
  const tokenizer = policies.tokenizer(policy);
  refuseTruncation(request);
  const prompts = request.prompts.map((prompt) =>
    typeof prompt === "string"
      ? need(tokenizer, policy, "a text as prompt").encode(prompt, { addSpecialTokens: true })
      : prompt
  );
  const seeds = promptSeeds(request);
  const rows = prompts.flatMap((prompt, prompt_index) =>
    Array.from({ length: n }, (_, k) => ({
      prompt,
      prompt_index,
      seed: completionSeed(seeds[prompt_index]!, k),
    }))
  );
  const stops = [request.stop ?? []].flat();
  const texts = stops.filter((stop) => typeof stop === "string");
  if (texts.length) need(tokenizer, policy, "a text as stop");
  const { completions, policy_version } = await policies.node.sample({
    policy,
    prompts: rows.map((row) => row.prompt),
    seeds: rows.map((row) => row.seed),
    max_tokens,
    temperature,
    stop_tokens: [
      ...request.stop_tokens ?? tokenizer?.eosIds ?? [],
      ...stops.filter((stop) => typeof stop === "number"),
    ],
  });
  return {
    completions: completions.map((completion, i) => ({
      prompt_index: rows[i]!.prompt_index,
      ...withText(completion, tokenizer, texts),
      seed: rows[i]!.seed,
    })),
    policy_version,
  };
}

/** Seed of a prompt's k-th completion; the first has the prompt's own. */
export const completionSeed = (seed: number, k: number): number =>
  k === 0 ? seed : seedOf("completion", seed, k);

/** Refuses a truncated distribution, which the kernel cannot sample. */
export function refuseTruncation({ policy, top_p, top_k }: WireSampleRequest): void {
  const wrong = top_p !== undefined && top_p !== 1
    ? `top_p ${top_p} is not supported, only 1 (off)`
    : top_k !== undefined && top_k !== 0
    ? `top_k ${top_k} is not supported, only 0 (off)`
    : null;
  if (wrong === null) return;
  throw new CollmError("invalid_request", `Cannot sample policy '${policy}': ${wrong}`);
}

function promptSeeds({ policy, prompts, n, seed, seeds }: WireSampleRequest): number[] {
  const wrong = seed !== undefined && seeds !== undefined
    ? "both seed and seeds are given"
    : seeds !== undefined && seeds.length !== prompts.length
    ? `${prompts.length} prompts but ${seeds.length} seeds`
    : prompts.length * n > MOST_COMPLETIONS
    ? `${prompts.length} prompts times n ${n} exceed ${MOST_COMPLETIONS} completions`
    : null;
  if (wrong !== null) {
    throw new CollmError("invalid_request", `Cannot sample policy '${policy}': ${wrong}`);
  }
  if (seeds !== undefined) return seeds;
  if (seed !== undefined) return prompts.map(() => seed);
  return [...crypto.getRandomValues(new Uint32Array(prompts.length))];
}

function need(tokenizer: Tokenizer | null, policy: string, what: string): Tokenizer {
  if (tokenizer) return tokenizer;
  throw new CollmError(
    "invalid_request",
    `Cannot sample policy '${policy}' with ${what}: its folder has no tokenizer`,
  );
}

/** A completion and its text, both ended at the first stop text (which the text leaves out). */
function withText(completion: Completion, tokenizer: Tokenizer | null, stops: readonly string[]) {
  if (!tokenizer) return { ...completion, text: null };
  const textOf = (count: number) =>
    tokenizer.decode(completion.tokens.slice(0, count), { continuation: true });
  const cutAt = (text: string) =>
    Math.min(...stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0));
  const text = textOf(completion.tokens.length);
  if (cutAt(text) === Infinity) return { ...completion, text };
  // Fewest tokens whose text holds a stop: one more token only ever lengthens the text.
  let [without, count] = [0, completion.tokens.length];
  while (count - without > 1) {
    const middle = (without + count) >> 1;
    if (cutAt(textOf(middle)) === Infinity) without = middle;
    else count = middle;
  }
  const kept = textOf(count);
  return {
    tokens: completion.tokens.slice(0, count),
    logprobs: completion.logprobs.slice(0, count),
    text: kept.slice(0, cutAt(kept)),
    finish_reason: "stop" as const,
  };
}
