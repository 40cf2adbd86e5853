/**
 * Advantages: baselines over the G returns of one node, and normalisation.
 * mean: R − mean(R) (MAGRPO); raw: R (MAREINFORCE); max: R − max(R) (MAREMAX);
 * rloo: (G R − ΣR) / (G − 1) (MARLOO).  Normalised: (A − mean) / max(population std, 1e-6).
 */
import { mean, populationStd } from "./moments.ts";

export const ADVANTAGE_MODES = ["mean", "raw", "max", "rloo"] as const;
export type AdvantageMode = (typeof ADVANTAGE_MODES)[number];

/** Least standard deviation that advantages are divided by: equal returns give zeros. */
const STD_FLOOR = 1e-6;

/** Subtracts the mean and divides by the population standard deviation (floor 1e-6). */
export function normalise(values: readonly number[]): number[] {
  const centre = mean(values);
  const scale = Math.max(populationStd(values), STD_FLOOR);
  return values.map((value) => (value - centre) / scale);
}

/** Normalisation of the actor-critic family: a single sample stays raw (reference 3.1). */
export function normaliseTurn(advantages: readonly number[]): number[] {
  return advantages.length > 1 ? normalise(advantages) : [...advantages];
}

/**
 * Group-relative advantages of the returns of one node (reference section 4). With
 * normalisation all four modes agree up to rounding; they differ only without it.
 */
export function groupAdvantages(
  returns: readonly number[],
  mode: AdvantageMode,
  normalised: boolean,
): number[] {
  const advantages = baselined(returns, mode);
  return normalised ? normalise(advantages) : advantages;
}

function baselined(returns: readonly number[], mode: AdvantageMode): number[] {
  const n = returns.length;
  const total = returns.reduce((sum, value) => sum + value, 0);
  const greatest = returns.reduce((most, value) => Math.max(most, value), -Infinity);
  switch (mode) {
    case "mean":
      return returns.map((value) => value - total / n);
    case "raw":
      return [...returns];
    case "max":
      return returns.map((value) => value - greatest);
    case "rloo":
      // A lone sample has no others to be compared with.
      return returns.map((value) => n > 1 ? (n * value - total) / (n - 1) : 0);
  }
}
