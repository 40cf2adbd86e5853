/**
 * How a learning curve looks: the vega-lite specification for curves.ts. Return: batches faint,
 * their moving average bold, evaluations as points with 95 % intervals. Value loss on an axis
 * of its own. Leaves out where the numbers come from.
 */
import type { loadVegaLite } from "../deps.ts";
import type { CurveOptions, MetricsRow } from "./curves.ts";

export type Spec = Parameters<Awaited<ReturnType<typeof loadVegaLite>>["compile"]>[0];
type TrainRow = Extract<MetricsRow, { kind: "train" }>;

const INK = "#1f2933";
const MUTED = "#5f6b78";
const GRID = "#e8ebef";
const FONT = "DejaVu Sans, Helvetica, Arial, sans-serif";
const WIDTH = 640;

/** Names and colours in the legend, in its order. */
const SERIES = [
  ["training mean", "#2563a8"],
  ["training batch", "#b7cfe8"],
  ["evaluation, 95 % interval", "#c2410c"],
] as const;
const [MEAN, BATCH, EVALUATION] = SERIES.map(([label]) => ({ datum: label }));

/** Specification of the figure: one panel, two where rows carry a value loss. */
export function curveSpec(rows: readonly MetricsRow[], options: CurveOptions): Spec {
  const train = rows.filter((row): row is TrainRow => row.kind === "train");
  // Where both panels share one x-axis, its scale must not depend on what each holds.
  const end = Math.max(1, ...rows.map((row) => row.joint_evaluations));
  const x = (title: string | null) => ({
    field: "joint_evaluations",
    type: "quantitative" as const,
    scale: { domain: [0, end], nice: false, padding: 10 },
    axis: { title, grid: false, labels: title !== null, format: ",d", tickCount: 8 },
  });
  const losses = train.flatMap(({ joint_evaluations, value_loss }) =>
    value_loss !== undefined ? [{ joint_evaluations, value_loss }] : []
  );
  const title = "Joint evaluations (rewards of joint actions computed in training)";
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    title: { text: options.title, ...(options.subtitle ? { subtitle: options.subtitle } : {}) },
    background: "#ffffff",
    padding: 16,
    bounds: "flush",
    spacing: 30,
    config: CONFIG,
    vconcat: [
      returnPanel(rows, train, x(losses.length > 0 ? null : title), options),
      ...(losses.length > 0 ? [lossPanel(losses, x(title))] : []),
    ],
  } as Spec;
}

function returnPanel(
  rows: readonly MetricsRow[],
  train: readonly TrainRow[],
  x: Record<string, unknown>,
  { marks = [] }: CurveOptions,
) {
  const evaluations = rows.flatMap((row) =>
    row.kind === "evaluation"
      ? [{ ...row, low: row.ci95?.[0] ?? row.return_mean, high: row.ci95?.[1] ?? row.return_mean }]
      : []
  );
  const smoothed = smooth(train.map(({ return_mean }) => return_mean));
  const means = train.map(({ joint_evaluations }, i) => ({
    joint_evaluations,
    return_mean: smoothed[i]!,
  }));
  const y = {
    field: "return_mean",
    type: "quantitative",
    scale: { zero: false },
    axis: { title: "Mean return (reward per episode)" },
  };
  const range = SERIES.map(([, colour]) => colour);
  const scale = { domain: SERIES.map(([label]) => label), range };
  const legend = {
    title: null,
    orient: "top",
    direction: "horizontal",
    columnPadding: 26,
    gridAlign: "each",
  };
  const layer = [
    ...marks.map(({ label, value }) => ({
      data: { values: [{ value, label }] },
      layer: [
        {
          mark: { type: "rule", color: MUTED, strokeDash: [5, 4], strokeWidth: 1.2 },
          encoding: { y: { field: "value", type: "quantitative" } },
        },
        {
          mark: { type: "text", color: MUTED, align: "left", dy: -7, fontSize: 11, font: FONT },
          encoding: {
            x: { value: 8 },
            y: { field: "value", type: "quantitative" },
            text: { field: "label" },
          },
        },
      ],
    })),
    {
      data: { values: train },
      mark: { type: "line", strokeWidth: 1.1 },
      encoding: { x, y, color: { ...BATCH, scale, legend } },
    },
    {
      data: { values: means },
      mark: { type: "line", strokeWidth: 2.6 },
      encoding: { x, y, color: MEAN },
    },
    {
      data: { values: evaluations },
      mark: { type: "rule", strokeWidth: 1.8 },
      encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color: EVALUATION },
    },
    {
      data: { values: evaluations },
      mark: { type: "point", filled: true, opacity: 1, size: 62 },
      encoding: { x, y, color: EVALUATION },
    },
  ];
  return { width: WIDTH, height: 300, layer };
}

function lossPanel(values: Record<string, number>[], x: Record<string, unknown>) {
  const smoothed = smooth(values.map(({ value_loss }) => value_loss!));
  const y = {
    field: "value_loss",
    type: "quantitative",
    scale: { zero: true },
    axis: { title: "Value loss (return²)", tickCount: 4 },
  };
  return {
    width: WIDTH,
    height: 110,
    layer: [
      {
        data: { values },
        mark: { type: "line", strokeWidth: 1.1, color: "#bfd8c3" },
        encoding: { x, y },
      },
      {
        data: { values: values.map((row, i) => ({ ...row, value_loss: smoothed[i]! })) },
        mark: { type: "line", strokeWidth: 2.2, color: "#3f7d4b" },
        encoding: { x, y },
      },
    ],
  };
}

const CONFIG = {
  font: FONT,
  view: { stroke: null },
  axis: {
    labelColor: MUTED,
    titleColor: INK,
    titleFontWeight: "normal",
    labelFontSize: 12,
    titleFontSize: 13,
    titlePadding: 10,
    gridColor: GRID,
    domainColor: "#9aa5b1",
    tickColor: "#9aa5b1",
  },
  // Panels below each other start at the same place.
  axisY: { minExtent: 38 },
  legend: {
    labelFontSize: 12,
    labelColor: INK,
    symbolStrokeWidth: 3,
    symbolSize: 140,
    labelLimit: 0,
  },
  title: {
    anchor: "start",
    fontSize: 16,
    color: INK,
    subtitleColor: MUTED,
    subtitleFontSize: 12,
    subtitlePadding: 5,
    offset: 12,
  },
};

/** Centred moving average over about `share` of the values; windows are cut off at the ends. */
export function smooth(values: readonly number[], share = 0.1): number[] {
  const half = Math.max(1, Math.round(values.length * share / 2));
  const sums = [0];
  for (const value of values) sums.push(sums.at(-1)! + value);
  return values.map((_, i) => {
    const [from, to] = [Math.max(0, i - half), Math.min(values.length, i + half + 1)];
    return (sums[to]! - sums[from]!) / (to - from);
  });
}
