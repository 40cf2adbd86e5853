/**
 * What a finished run says: the result object, the terminal's table, pictures of what the team
 * built before and after, the learning curve. Leaves out how any of it was measured.
 */
import { gallery, svgToPng } from "../shared/environments/picture.ts";
import type { Environment } from "../shared/environments/environment.ts";
import { learningCurve, type MetricsRow } from "./curves.ts";
import type { Evaluation, EvaluationNumbers, Played } from "./evaluation.ts";
import type { RunFolder } from "./run_folder.ts";
import type { Summary } from "./statistics.ts";

/** The one object that `--json` prints last. */
export interface RunResult {
  run: string;
  environment: string;
  algorithm: string;
  seed: number;
  joint_evaluations: number;
  wall_s: number;
  base: EvaluationNumbers;
  trained: EvaluationNumbers;
  difference: Pick<Summary, "mean" | "ci95">;
  blind_bound: number | null;
  swapped: { return_mean: number } | null;
  checkpoint: string;
}

const PICTURED = 4;

/** Pictures of the same items before and after, two columns, as before_after.svg and .png. */
export async function writePictures(
  folder: RunFolder,
  environment: Environment,
  before: Evaluation,
  after: Evaluation,
): Promise<string[]> {
  const render = environment.render?.bind(environment);
  if (!render) return [];
  const draw = (played: Played, title: string) =>
    render(played.task, played.actions.at(-1)!, title);
  const step = Math.max(1, Math.floor(after.played.length / PICTURED));
  const chosen = after.played.filter((_, i) => i % step === step - 1).slice(0, PICTURED);
  const pairs = chosen.flatMap((trained) => {
    const base = before.played.find((p) => p.item_id === trained.item_id);
    return base ? [draw(base, "before"), draw(trained, "after")] : [];
  });
  return await writeSvg(folder, "before_after", gallery(pairs, 2));
}

/** Learning curve as curve.svg and .png. */
export async function writeCurve(folder: RunFolder, result: RunResult): Promise<string[]> {
  const end = (joint_evaluations: number, { return_mean, ci95 }: EvaluationNumbers) =>
    ({ kind: "evaluation", joint_evaluations, return_mean, ci95 }) as const;
  const rows: MetricsRow[] = [
    end(0, result.base),
    ...folder.rows<MetricsRow>("metrics.jsonl"),
    end(result.joint_evaluations, result.trained),
  ];
  const svg = await learningCurve(rows, {
    title: `${result.algorithm} on ${result.environment}`,
    subtitle: `seed ${result.seed}, evaluation on ${result.trained.n} held-out episodes`,
    marks: result.blind_bound === null
      ? []
      : [{ label: "best without reading", value: result.blind_bound }],
  });
  return await writeSvg(folder, "curve", svg);
}

async function writeSvg(folder: RunFolder, name: string, svg: string): Promise<string[]> {
  folder.write(`${name}.svg`, svg);
  folder.write(`${name}.png`, await svgToPng(svg));
  return [`${name}.svg`, `${name}.png`].map((file) => folder.file(file));
}

/** The result as aligned lines for a person. */
export function describeResult(result: RunResult, environment: Environment): string[] {
  const numbers = ({ return_mean, ci95, iou_mean, pass_at_k, n }: EvaluationNumbers) =>
    [
      `${fixed(return_mean)}  ${interval(ci95)}`,
      ...iou_mean === null ? [] : [`IoU ${percent(iou_mean)}`],
      ...Object.entries(pass_at_k ?? {}).map(([k, rate]) => `pass@${k} ${percent(rate)}`),
      `n ${n}`,
    ].join("  ");
  const turns = environment.turns === 1 ? "1 turn" : `${environment.turns} turns`;
  return [
    `Held-out evaluation (${turns} per episode, same seeds before and after)`,
    `  before      return ${numbers(result.base)}`,
    `  after       return ${numbers(result.trained)}`,
    `  difference  ${fixed(result.difference.mean)}  ${
      interval(result.difference.ci95)
    }  (95 % interval, paired)`,
    ...(result.blind_bound === null ? [] : [
      `  best return without reading the prompt (blind bound)  ${fixed(result.blind_bound)}`,
    ]),
    ...(result.swapped === null ? [] : [
      `  after, with another item's prompt (swapped)           ${
        fixed(result.swapped.return_mean)
      }`,
    ]),
    `  joint evaluations ${result.joint_evaluations}, ${result.wall_s.toFixed(0)} s in all`,
    `  checkpoint  ${result.checkpoint}`,
  ];
}

const percent = (x: number): string => `${(100 * x).toFixed(1)} %`;
const fixed = (x: number): string => (x >= 0 ? "+" : "") + x.toFixed(3);
const interval = (ci95: readonly [number, number] | null): string =>
  ci95 ? `[${fixed(ci95[0])}, ${fixed(ci95[1])}]` : "[one episode]";
