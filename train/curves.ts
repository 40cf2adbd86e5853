/**
 * The learning curve of a run: return against joint evaluations, with the value loss below it
 * where there is a critic. Rows of metrics.jsonl in, an SVG document out (vega-lite).
 * Leaves out PNG (shared/environments/picture.ts) and files.
 */
import { loadVega, loadVegaLite } from "../deps.ts";
import { CollmError } from "../shared/errors.ts";
import { curveSpec } from "./curve_spec.ts";

/** One row of metrics.jsonl, as far as curves read it. */
export type MetricsRow =
  | { kind: "train"; joint_evaluations: number; return_mean: number; value_loss?: number }
  | {
    kind: "evaluation";
    joint_evaluations: number;
    return_mean: number;
    ci95: [number, number] | null;
  };

export interface CurveOptions {
  title: string;
  subtitle?: string;
  /** Horizontal lines to compare with, such as the blind bound. */
  marks?: { label: string; value: number }[];
}

/** Learning curve as an SVG document. @throws CollmError when there is nothing to draw. */
export async function learningCurve(
  rows: readonly MetricsRow[],
  options: CurveOptions,
): Promise<string> {
  if (rows.length === 0) {
    throw new CollmError("invalid_request", "Cannot draw a learning curve: there are 0 rows");
  }
  const [vega, { compile }] = await Promise.all([loadVega(), loadVegaLite()]);
  const runtime = vega.parse(compile(curveSpec(rows, options)).spec);
  const view = new vega.View(runtime, { renderer: "none" });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
