/**
 * Sums over a sample: mean, population standard deviation, explained variance.
 * Sample (n − 1) statistics and intervals are train/statistics.ts.
 */

/** Arithmetic mean; NaN for an empty list. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Population standard deviation (divides by n); NaN for an empty list. */
export function populationStd(values: readonly number[]): number {
  const centre = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - centre) ** 2)));
}

/**
 * Explained variance of predictions, 1 − Var(target − prediction) / Var(target): 1 is perfect,
 * 0 no better than the targets' mean, below 0 worse. `null` when all targets are equal.
 */
export function explainedVariance(
  predictions: readonly number[],
  targets: readonly number[],
): number | null {
  const spread = populationStd(targets);
  if (!(spread > 0)) return null;
  const residuals = targets.map((target, i) => target - predictions[i]!);
  return 1 - (populationStd(residuals) / spread) ** 2;
}
