/** Intervals against tabulated quantiles of Student's t, and paired differences. */
import assert from "node:assert/strict";
import { pairedDifference, summarise, tCdf, tQuantile } from "../../train/statistics.ts";
import { close } from "../algorithms/golden.ts";

Deno.test("tQuantile gives the tabulated two-sided 95 % quantiles", () => {
  const table: [number, number][] = [
    [1, 12.706204736174707],
    [2, 4.302652729749464],
    [3, 3.182446305284263],
    [5, 2.570581835636314],
    [10, 2.228138851986274],
    [30, 2.042272456301238],
    [63, 1.998340542520741],
    [120, 1.979930405052777],
  ];
  for (const [df, value] of table) close(tQuantile(0.975, df), value, 1e-9, `df ${df}`);
  close(tQuantile(0.975, 1e7), 1.9599642, 1e-6);
});

Deno.test("tQuantile and tCdf agree with closed forms for one and two degrees of freedom", () => {
  for (const p of [0.6, 0.75, 0.9, 0.995]) {
    close(tQuantile(p, 1), Math.tan(Math.PI * (p - 0.5)), 1e-8);
    close(tQuantile(p, 2), (2 * p - 1) * Math.sqrt(2 / (4 * p * (1 - p))), 1e-9);
  }
  close(tCdf(0, 7), 0.5);
});

Deno.test("summarise gives the mean and the t interval", () => {
  // s = sqrt(2.5), t(4) = 2.7764451052: half width 2.7764451052 · s / sqrt(5)
  const { mean, ci95, n } = summarise([1, 2, 3, 4, 5]);
  close({ mean, ci95, n }, { mean: 3, ci95: [3 - 1.963243161, 3 + 1.963243161], n: 5 }, 1e-8);
  assert.deepEqual(summarise([2, 2, 2]).ci95, [2, 2]);
  assert.deepEqual(summarise([7]), { mean: 7, ci95: null, n: 1 });
  assert.throws(() => summarise([]), /Cannot summarise a sample of 0 values/);
});

Deno.test("pairedDifference is narrower than its parts where items vary together", () => {
  const before = [0, 10, 20, 30];
  const { mean, ci95, n } = pairedDifference([1, 11, 21.5, 30.5], before);
  close({ mean, n }, { mean: 1, n: 4 });
  assert.ok(ci95![1] - ci95![0] < 2);
  assert.throws(() => pairedDifference([1], [1, 2]), /1 values after and 2 before/);
});
