/**
 * KL divergence of every action to the frozen policy that training started from, where the
 * algorithm prices it (algorithm.reference_kl_coef). Scored once per batch by reference policies.
 */
import type { Batch } from "../shared/algorithms/algorithm.ts";
import { referenceKl } from "../shared/algorithms/reference_kl.ts";
import type { Roles } from "./roles.ts";

/** Name of an agent's frozen reference policy. */
export const referenceName = (agent: string): string => `reference-${agent}`;

/** The batch with `reference_kl` on every act; unchanged where no penalty is asked for. */
export async function withReferenceKl(
  { config, node, handle }: Roles,
  batch: Batch,
): Promise<Batch> {
  if (config.algorithm.reference_kl_coef === 0) return batch;
  const acts = batch.agents.map((_, a) =>
    batch.transcripts.flatMap(({ turns }) => turns.map((turn) => turn.acts[a]!))
  );
  for (const [a, agent] of batch.agents.entries()) {
    const { logprobs } = await node.score(
      handle(referenceName(agent)),
      acts[a]!.map(({ prompt, response }) => ({
        tokens: [...prompt, ...response],
        prompt_length: prompt.length,
      })),
    );
    acts[a]!.forEach((act, i) => act.reference_kl = referenceKl(act.logprobs, logprobs[i]!));
  }
  return batch;
}
