/**
 * What every algorithm does with a batch: rewards to learn from, policy sequences, statistics.
 * Leaves out advantages and targets, which are the algorithms' own.
 */
import { CollmError } from "../errors.ts";
import type { Act, Batch, PolicySequence, PolicyUpdate, TurnRecord } from "./algorithm.ts";
import { mean } from "./moments.ts";
import type { CommonOptions } from "./options.ts";
import { processReward } from "./reward_processing.ts";

/** Refuses a batch in which every episode failed: there is nothing to learn from. */
export function requireEpisodes(batch: Batch): void {
  if (batch.transcripts.length === 0) {
    throw new CollmError("invalid_request", "Cannot plan an update: no episode was completed");
  }
}

/** Processed rewards of one turn, per agent. */
export function turnRewards(turn: TurnRecord, options: CommonOptions): number[] {
  const { reward_scale: scale, reward_shift: shift } = options;
  return turn.rewards.map((reward) => processReward(reward, { scale, shift }));
}

/** KL of an act to the reference policy; 0 where no penalty is asked for. */
export function klOf(act: Act, options: CommonOptions): number {
  if (options.reference_kl_coef === 0) return 0;
  if (act.reference_kl !== undefined) return act.reference_kl;
  throw new CollmError(
    "invalid_request",
    `Cannot penalise the KL divergence with algorithm.reference_kl_coef ${options.reference_kl_coef}: an action has no reference logprobs`,
  );
}

/**
 * One update per agent from (turn, advantages of the agents) samples. An action without tokens
 * has no gradient and is left out; its reward has counted all the same.
 */
export function policyUpdates(
  agents: readonly string[],
  samples: readonly { turn: TurnRecord; advantagesA: readonly number[] }[],
): PolicyUpdate[] {
  return agents.map((agent, a) => ({
    agent,
    sequences: samples.flatMap(({ turn, advantagesA }): PolicySequence[] => {
      const { prompt, response, logprobs } = turn.acts[a]!;
      if (response.length === 0) return [];
      const tokens = [...prompt, ...response];
      return [{
        tokens,
        prompt_length: prompt.length,
        ...{ old_logprobs: logprobs, advantage: advantagesA[a]! },
      }];
    }),
  }));
}

/**
 * Statistics of fresh turns, whatever was learnt from them: raw mean reward of every turn
 * (1-based), entropy estimate (−logp per token, nats) and response length (tokens).
 */
export function turnStatistics(turnsByDepth: readonly TurnRecord[][]): Record<string, number> {
  const acts = turnsByDepth.flat().flatMap((turn) => turn.acts);
  const logprobs = acts.flatMap((act) => act.logprobs);
  return {
    ...Object.fromEntries(
      turnsByDepth.map((turns, t) => [
        `turn_${t + 1}/reward_mean`,
        mean(turns.flatMap((turn) => turn.rewards)),
      ]),
    ),
    response_tokens: mean(acts.map((act) => act.response.length)),
    ...(logprobs.length > 0 ? { entropy: -mean(logprobs) } : {}),
  };
}
