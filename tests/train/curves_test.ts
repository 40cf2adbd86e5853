/** Learning curves: what the figure holds, and the moving mean. */
import assert from "node:assert/strict";
import { smooth } from "../../train/curve_spec.ts";
import { learningCurve, type MetricsRow } from "../../train/curves.ts";
import { close } from "../algorithms/golden.ts";

const rows = (losses: boolean): MetricsRow[] => [
  { kind: "evaluation", joint_evaluations: 0, return_mean: 0.1, ci95: [0, 0.2] },
  ...[1, 2, 3, 4].map((i): MetricsRow => ({
    kind: "train",
    joint_evaluations: 64 * i,
    return_mean: i / 4,
    ...(losses ? { value_loss: 1 / i } : {}),
  })),
  { kind: "evaluation", joint_evaluations: 256, return_mean: 0.9, ci95: null },
];

Deno.test("learningCurve draws titles, axes with units, legend, evaluations and marks", async () => {
  const svg = await learningCurve(rows(true), {
    title: "CoLLM-CC on StrBuild",
    subtitle: "seed 1",
    marks: [{ label: "blind bound", value: 0.5 }],
  });
  assert.ok(svg.startsWith("<svg ") && svg.trimEnd().endsWith("</svg>"));
  for (
    const text of [
      "CoLLM-CC on StrBuild",
      "seed 1",
      "blind bound",
      "Mean return (reward per episode)",
      "Joint evaluations",
      "Value loss",
      "training batch",
      "evaluation, 95 % interval",
    ]
  ) assert.ok(svg.includes(text), text);
  assert.ok(!/NaN|undefined|Infinity/.test(svg));
});

Deno.test("learningCurve has a second panel only where there is a value loss", async () => {
  const svg = await learningCurve(rows(false), { title: "MAGRPO" });
  assert.ok(!svg.includes("Value loss"));
  assert.ok(svg.includes("Joint evaluations"));
});

Deno.test("learningCurve gives the same picture for the same rows", async () => {
  const draw = () => learningCurve(rows(true), { title: "same" });
  assert.equal(await draw(), await draw());
});

Deno.test("learningCurve refuses no rows", async () => {
  await assert.rejects(learningCurve([], { title: "x" }), /there are 0 rows/);
});

Deno.test("smooth is a centred mean with windows cut off at the ends", () => {
  close(smooth([0, 3, 6, 3], 0.1), [1.5, 3, 4, 4.5]);
  assert.deepEqual(smooth([]), []);
  assert.deepEqual(smooth([2]), [2]);
});
