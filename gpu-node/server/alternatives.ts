/**
 * The most likely tokens in the place of each token drawn, as OpenAI's clients ask for them: one
 * pass over the finished completions, under the distribution that they were drawn from (temperature
 * and nucleus included). A completion is listed once it is whole, also for a stream.
 */
import { CollmError } from "../../shared/errors.ts";
import { checkAlternatives } from "../checks.ts";
import type { Alternatives } from "../verbs.ts";
import type { ServedPolicies } from "./policies.ts";
import type { WireSampleAnswer, WireSampleRequest } from "./sample.ts";

/** In the place of one token: others and their log-probabilities, the likeliest first. */
export type Listed = Pick<Alternatives, "tokens" | "logprobs">;

/** Refuses before anything is drawn what would be too much to list. */
export function checkListing(
  { policy, n, temperature }: WireSampleRequest,
  prompts: number,
  max_tokens: number,
  count: number,
): void {
  checkAlternatives(policy, { count, temperature }, prompts * n * max_tokens);
}

/** By completion, then token. `prompts` are token ids. */
export async function listAlternatives(
  { node }: ServedPolicies,
  { policy, temperature, top_p = 1 }: WireSampleRequest,
  prompts: readonly number[][],
  { completions, policy_version }: WireSampleAnswer,
  count: number,
  signal: AbortSignal,
): Promise<Listed[][]> {
  const sequences = completions.map(({ prompt_index, tokens }) => {
    const prompt = prompts[prompt_index]!;
    return { tokens: [...prompt, ...tokens], prompt_length: prompt.length };
  });
  const alternatives = { count, temperature };
  const scored = await node.score(policy, sequences, { alternatives, signal });
  if (scored.policy_version !== policy_version) {
    const why = "it was updated while its completions were drawn";
    throw new CollmError("conflict", `Cannot list alternatives of policy '${policy}': ${why}`);
  }
  const share = temperature === 0 ? 1 : top_p;
  return completions.map(({ tokens, logprobs }, i) =>
    tokens.map((token, k) => nucleus(scored.alternatives![i]![k]!, token, logprobs[k]!, share))
  );
}

/**
 * What could have been drawn, in the probabilities that it was drawn with. All of a nucleus are
 * likelier there by one factor, which the token drawn tells: its log-probability is known.
 */
function nucleus(
  { tokens, logprobs, given }: Alternatives,
  drawn: number,
  logprob: number,
  share: number,
): Listed {
  let [count, reached] = [0, 0];
  while (count < tokens.length && (count === 0 || reached < share)) {
    reached += Math.exp(logprobs[count++]!);
  }
  return {
    tokens: tokens.slice(0, count),
    logprobs: tokens.slice(0, count).map((token, i) =>
      token === drawn ? logprob : Math.min(0, logprobs[i]! + logprob - given)
    ),
  };
}
