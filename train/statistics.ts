/**
 * Statistics of evaluations: means with 95 % intervals (Student's t) and paired differences.
 * interval = mean ± t_{0.975, n−1} · s / √n with s the sample (n − 1) standard deviation.
 * pass@k = 1 − C(n − c, k) / C(n, k), without bias (arXiv 2107.03374, equation 1).
 * Population moments and explained variance are shared/algorithms/moments.ts.
 */
import { mean } from "../shared/algorithms/moments.ts";
import { CollmError } from "../shared/errors.ts";

/** Mean of a sample with its 95 % interval; `ci95` is null for fewer than two values. */
export interface Summary {
  mean: number;
  ci95: [low: number, high: number] | null;
  n: number;
}

/** Mean and 95 % t interval of at least one value. */
export function summarise(values: readonly number[]): Summary {
  const n = values.length;
  if (n === 0) throw new CollmError("invalid_request", "Cannot summarise a sample of 0 values");
  const centre = mean(values);
  if (n === 1) return { mean: centre, ci95: null, n };
  const variance = values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (n - 1);
  const half = tQuantile(0.975, n - 1) * Math.sqrt(variance / n);
  return { mean: centre, ci95: [centre - half, centre + half], n };
}

/** Summary of after − before over the same items, item by item. */
export function pairedDifference(after: readonly number[], before: readonly number[]): Summary {
  if (after.length !== before.length) {
    throw new CollmError(
      "invalid_request",
      `Cannot pair samples: ${after.length} values after and ${before.length} before`,
    );
  }
  return summarise(after.map((value, i) => value - before[i]!));
}

/** Chance that at least one of `k` programs drawn from `n`, of which `c` are right, is right. */
export function passAtK(n: number, c: number, k: number): number {
  if (n - c < k) return 1;
  let miss = 1;
  for (let i = n - c + 1; i <= n; i++) miss *= 1 - k / i;
  return 1 - miss;
}

/** Quantile of Student's t for p in (0.5, 1) and df ≥ 1 degrees of freedom, to about 1e-10. */
export function tQuantile(p: number, df: number): number {
  let [low, high] = [0, 1];
  while (tCdf(high, df) < p) [low, high] = [high, high * 2];
  for (let i = 0; i < 64; i++) {
    const middle = (low + high) / 2;
    if (tCdf(middle, df) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Cumulative distribution of Student's t at t ≥ 0. */
export function tCdf(t: number, df: number): number {
  return 1 - incompleteBeta(df / (df + t * t), df / 2, 0.5) / 2;
}

/** Regularised incomplete beta function I_x(a, b). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  // The continued fraction converges fast on this side of the mean only.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const logFront = logGamma(a + b) - logGamma(a) - logGamma(b) +
    a * Math.log(x) + b * Math.log1p(-x);
  return Math.exp(logFront) / (a * betaFraction(x, a, b));
}

/** Continued fraction 1 + d_1/(1 + d_2/(1 + …)) of I_x, evaluated forwards (Lentz). */
function betaFraction(x: number, a: number, b: number): number {
  let [fraction, c, d] = [1, 1, 0];
  for (let i = 1; i <= 400; i++) {
    const m = Math.floor(i / 2);
    const term = i % 2 === 0
      ? m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
      : -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / (1 + term * d);
    c = 1 + term / c;
    fraction *= c * d;
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  return fraction;
}

/** ln Γ(x) for x > 0: shifted upwards, then Stirling's series. */
function logGamma(x: number): number {
  let shift = 0;
  for (; x < 12; x++) shift += Math.log(x);
  const r = 1 / (x * x);
  const series = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r / 1188)))) / x;
  return (x - 0.5) * Math.log(x) - x + Math.log(2 * Math.PI) / 2 + series - shift;
}
