/**
 * Reward of a build (the published StrBuild rules):
 *   score = 2 coverage - 1.5 extra - adjacent - 0.25 missing
 * coverage: built part of the target cells; extra: built part of the background cells; adjacent:
 * neighbouring pairs of one texture family among all neighbouring pairs of blocks; missing: agents
 * whose palette is not all in the world. The task is an argument: never looked up by prompt text.
 */
import { textureFamily } from "../textures.ts";
import type { World } from "../world.ts";
import type { Target } from "./task.ts";

/** Numbers of one build, under the names that the published evaluation logs. */
export interface BuildMetrics {
  target_total: number;
  covered: number;
  missing: number;
  accuracy: number;
  coverage_ratio: number;
  extra_blocks: number;
  extra_ratio: number;
  adjacent_same_color_pairs: number;
  adjacent_color_pairs: number;
  adjacent_same_color_ratio: number;
  score_acc: number;
  penalty_extra: number;
  penalty_adj: number;
  missing_agent_palette_count: number;
  penalty_missing_palette: number;
  score_total: number;
  score_mean: number;
  iou: number;
}

/** Weights of the four terms. */
export const WEIGHTS = { coverage: 2, extra: 1.5, adjacent: 1, missing: 0.25 } as const;

/** Least and greatest score of a team of `agents`. */
export function scoreRange(agents: number): [number, number] {
  return [-WEIGHTS.extra - WEIGHTS.adjacent - WEIGHTS.missing * agents, WEIGHTS.coverage];
}

/** Scores a world against a target; `palettes` are the blocks of each agent without air. */
export function scoreBuild(
  target: Target,
  world: World,
  palettes: readonly (readonly string[])[],
): BuildMetrics {
  const { cells, blocks } = world;
  const { width, wanted } = target;
  const families = blocks.map(textureFamily);
  const present = new Set<string>();
  let covered = 0, extra = 0, pairs = 0, samePairs = 0;
  for (let i = 0; i < cells.length; i++) {
    const block = cells[i]!;
    if (block === 0) continue;
    if (wanted[i]) covered++;
    else extra++;
    present.add(blocks[block]!);
    const right = (i + 1) % width === 0 ? 0 : cells[i + 1]!;
    const above = cells[i + width] ?? 0;
    if (right !== 0) {
      pairs++;
      if (families[block] === families[right]) samePairs++;
    }
    if (above !== 0) {
      pairs++;
      if (families[block] === families[above]) samePairs++;
    }
  }
  const total = target.cells.length;
  const background = cells.length - total;
  const missing = palettes.filter((blocks) => !blocks.every((block) => present.has(block))).length;
  const coverage = ratio(covered, total);
  const extraRatio = ratio(extra, background);
  const adjacent = ratio(samePairs, pairs);
  const score = WEIGHTS.coverage * coverage - WEIGHTS.extra * extraRatio -
    WEIGHTS.adjacent * adjacent - WEIGHTS.missing * missing;
  return {
    target_total: total,
    covered,
    missing: total - covered,
    accuracy: coverage,
    coverage_ratio: coverage,
    extra_blocks: extra,
    extra_ratio: extraRatio,
    adjacent_same_color_pairs: samePairs,
    adjacent_color_pairs: pairs,
    adjacent_same_color_ratio: adjacent,
    score_acc: WEIGHTS.coverage * coverage,
    penalty_extra: WEIGHTS.extra * extraRatio,
    penalty_adj: WEIGHTS.adjacent * adjacent,
    missing_agent_palette_count: missing,
    penalty_missing_palette: WEIGHTS.missing * missing,
    score_total: score,
    score_mean: score,
    iou: ratio(covered, total + extra),
  };
}

/**
 * Components of a step or score, for logs and evaluations.
 * level_1..level_4: the four signed terms of the score (coverage, extra, adjacent, missing
 * palettes); level_total: their sum, the reward; iou: built target cells over target cells and
 * extra blocks; coverage, extra, adjacent_same: the three ratios in [0, 1]; accepted_lines and
 * rejected_lines: command lines of the whole team.
 */
export function components(
  metrics: BuildMetrics,
  acceptedLines: number,
  rejectedLines: number,
): Record<string, number> {
  return {
    level_1: metrics.score_acc,
    level_2: 0 - metrics.penalty_extra,
    level_3: 0 - metrics.penalty_adj,
    level_4: 0 - metrics.penalty_missing_palette,
    level_total: metrics.score_total,
    iou: metrics.iou,
    coverage: metrics.coverage_ratio,
    extra: metrics.extra_ratio,
    adjacent_same: metrics.adjacent_same_color_ratio,
    accepted_lines: acceptedLines,
    rejected_lines: rejectedLines,
  };
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
