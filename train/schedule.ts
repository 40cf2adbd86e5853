/** Learning rate over a run: warm-up by updates, then the schedule by the budget spent. */
import type { RunConfig } from "./config_schema.ts";

/** Share of the way down to the final fraction, 0 to 1, after `spent` of the budget. */
const FALL: Record<RunConfig["optimizer"]["schedule"], (spent: number) => number> = {
  constant: () => 0,
  linear: (spent) => spent,
  // Half a wave (arXiv 1608.03983, equation 5): slow at both ends.
  cosine: (spent) => (1 - Math.cos(Math.PI * spent)) / 2,
};

/**
 * Factor of the learning rate, in (0, 1].
 * @param update 0-based number of the update.
 * @param spent Share of the budget of joint evaluations that is spent, 0 to 1.
 */
export function learningRateFactor(
  { schedule, final_fraction, warmup }: RunConfig["optimizer"],
  update: number,
  spent: number,
): number {
  const rise = warmup > 0 ? Math.min(1, (update + 1) / warmup) : 1;
  return rise * (1 - (1 - final_fraction) * FALL[schedule](Math.min(1, spent)));
}
