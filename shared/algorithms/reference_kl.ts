/**
 * Penalty for leaving a frozen reference policy, taken from the reward, never from the loss.
 * KL = Σ_k exp(d_k) − d_k − 1 with d = log π_ref − log π (summed over response tokens).
 */

/** k3 estimate of a response's KL divergence to the reference: K logprobs each in, nats out. */
export function referenceKl(
  policyLogprobs: readonly number[],
  referenceLogprobs: readonly number[],
): number {
  return policyLogprobs.reduce((sum, logprob, k) => {
    const d = referenceLogprobs[k]! - logprob;
    return sum + Math.exp(d) - d - 1;
  }, 0);
}

/** Reward (actor-critic) or return (Monte Carlo) less the penalty (reference section 6). */
export function shaped(reward: number, kl: number, coefficient: number): number {
  return reward - coefficient * kl;
}
