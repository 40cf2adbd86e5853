/**
 * A sample request that may be sent again, after a worker or a connection was lost. Leaves out
 * when to send it again.
 */
import type { SampleOptions, SampleRequest } from "./verbs.ts";

/**
 * Options for each attempt at a request. Equal seeds draw equal tokens, so a later attempt tells
 * only those that no earlier one has told.
 */
export function repeatable(
  { prompts }: SampleRequest,
  options: SampleOptions,
): () => SampleOptions {
  const { onTokens } = options;
  if (!onTokens) return () => options;
  const told = prompts.map(() => 0);
  return () => {
    const seen = prompts.map(() => 0);
    return {
      ...options,
      onTokens(row, tokens, logprobs) {
        const skip = Math.max(0, told[row]! - seen[row]!);
        seen[row]! += tokens.length;
        told[row] = Math.max(told[row]!, seen[row]!);
        if (skip < tokens.length) onTokens(row, tokens.slice(skip), logprobs.slice(skip));
      },
    };
  };
}
