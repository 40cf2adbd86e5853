/** Learning rate over a run: warm-up by updates, then constant or linear decay by budget spent. */
import type { RunConfig } from "./config_schema.ts";

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
  const fall = schedule === "linear" ? 1 - (1 - final_fraction) * Math.min(1, spent) : 1;
  return rise * fall;
}
