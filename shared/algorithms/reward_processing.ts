/** Reward processing before anything is learnt from it: scale first, then shift. */

/** r · scale + shift (reference section 1). */
export function processReward(reward: number, options: { scale: number; shift: number }): number {
  return reward * options.scale + options.shift;
}
