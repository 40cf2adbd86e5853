/**
 * Loss of a critic on one sample: (target − V)², or with a clip range c the greater of that and
 * (target − clamp(V, V_old ± c))². The coefficient (0.6 in the paper's trainers) stays outside.
 */

/** Squared error of a value, optionally clipped around the value at rollout time. */
export function valueLoss(
  target: number,
  value: number,
  clip?: { oldValue: number; range: number },
): number {
  const plain = (target - value) ** 2;
  if (!clip) return plain;
  const { oldValue, range } = clip;
  const clipped = Math.min(Math.max(value, oldValue - range), oldValue + range);
  return Math.max(plain, (target - clipped) ** 2);
}
