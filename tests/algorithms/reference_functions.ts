/**
 * Plain-number oracles of what the GPU node computes as graphs: policy loss, AdamW, value head,
 * sampling filter; and the reference's spreading of reward vectors. Checked against golden
 * numbers beside this file, for tests of the engine to compare with.
 */

/** Mean over samples of −(Σ_k logp_k) · advantage. */
export function policyLoss(logprobsEK: number[][], advantages: number[]): number {
  const terms = logprobsEK.map((K, e) => -K.reduce((sum, p) => sum + p, 0) * advantages[e]!);
  return terms.reduce((sum, term) => sum + term, 0) / terms.length;
}

/** A scalar weight after each AdamW step (decoupled weight decay 0.01, betas 0.9 / 0.999). */
export function adamw(weight: number, gradients: number[], learningRate: number): number[] {
  let [w, m, v] = [weight, 0, 0];
  return gradients.map((g, i) => {
    w *= 1 - learningRate * 0.01;
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    const [mHat, vHat] = [m / (1 - 0.9 ** (i + 1)), v / (1 - 0.999 ** (i + 1))];
    return w -= learningRate * mHat / (Math.sqrt(vHat) + 1e-8);
  });
}

/** Linear → tanh → linear to a scalar. */
export function valueHead(
  p: { h: number[]; W1: number[][]; b1: number[]; W2: number[]; b2: number },
): number {
  const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
  return dot(p.W1.map((row, i) => Math.tanh(dot(row, p.h) + p.b1[i]!)), p.W2) + p.b2;
}

/** Distribution that is sampled from: temperature, then top-k, then top-p, then renormalised. */
export function samplingFilter(
  logits: number[],
  options: { temperature: number; top_k: number | null; top_p: number },
): number[] {
  const order = logits.map((_, i) => i).sort((a, b) => logits[b]! - logits[a]!);
  const kept = order.slice(0, options.top_k ?? order.length);
  const greatest = logits[order[0]!]!;
  const weight = (i: number) => Math.exp((logits[i]! - greatest) / options.temperature);
  const total = kept.reduce((sum, i) => sum + weight(i), 0);
  let tail = 0;
  while (kept.length > 1) {
    tail += weight(kept.at(-1)!) / total;
    if (tail > 1 - options.top_p) break;
    kept.pop();
  }
  const mass = kept.reduce((sum, i) => sum + weight(i), 0);
  return logits.map((_, i) => kept.includes(i) ? weight(i) / mass : 0);
}

/** Reward vector to [agent][generation]: broadcast, per generation, or per agent. */
export function expandRewards(rewards: number[], generations: number, agents: number): number[][] {
  const byAgent = (reward: (a: number, g: number) => number) =>
    Array.from(
      { length: agents },
      (_, a) => Array.from({ length: generations }, (_, g) => reward(a, g)),
    );
  if (rewards.length === 1) return byAgent(() => rewards[0]!);
  if (rewards.length === generations) return byAgent((_, g) => rewards[g]!);
  if (rewards.length === agents) return byAgent((a) => rewards[a]!);
  throw new RangeError(`${rewards.length} rewards`);
}
