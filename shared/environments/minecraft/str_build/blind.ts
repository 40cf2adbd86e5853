/**
 * What a team can earn without reading: the best output that ignores the letters and knows the
 * width of the wall only. A return above this bound shows that targets are read.
 * With no texture or palette penalty the score of a set of cells S for a word w is
 *   sum over S of (2 / |target_w| if the cell is target, else -1.5 / |background_w|),
 * a sum over cells, so the best S per width holds exactly the cells of positive mean gain.
 */
import { type Position, positions } from "../world.ts";
import { WEIGHTS } from "./reward.ts";
import { isTarget, targetOf } from "./task.ts";

/** Best fixed set of cells for walls of one width. */
export interface BlindPattern {
  width: number;
  /** Words of this width. */
  words: number;
  cells: Position[];
  /** Mean score of the pattern over these words. */
  score: number;
}

/** Best patterns by width, narrow first; repeated words weigh as often as they occur. */
export function blindPatterns(words: readonly string[]): BlindPattern[] {
  const targets = words.map((word) => targetOf(word));
  const widths = [...new Set(targets.map(({ width }) => width))].sort((a, b) => a - b);
  return widths.map((width) => {
    const group = targets.filter((target) => target.width === width);
    const pattern: BlindPattern = { width, words: group.length, cells: [], score: 0 };
    const area = [...positions(group[0]!.box)];
    for (const at of area) {
      let gain = 0;
      for (const target of group) {
        const total = target.cells.length;
        gain += isTarget(target, at)
          ? WEIGHTS.coverage / total
          : -WEIGHTS.extra / (area.length - total);
      }
      if (gain <= 0) continue;
      pattern.cells.push(at);
      pattern.score += gain / group.length;
    }
    return pattern;
  });
}

/** Best mean reward over `words` of a team that sees widths only; 0 for no words. */
export function blindBound(words: readonly string[]): number {
  const total = blindPatterns(words).reduce((sum, { score, words }) => sum + score * words, 0);
  return words.length === 0 ? 0 : total / words.length;
}
