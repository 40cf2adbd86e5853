/**
 * Early termination of an episode, or of one branch of a tree: the mean of a turn's *processed*
 * rewards lies strictly above a threshold (reference sections 1 and 4).
 */
import { mean } from "./moments.ts";

/** Whether an episode ends after a turn with these processed rewards; `null` is never. */
export function stopsEarly(processedRewards: readonly number[], threshold: number | null): boolean {
  return threshold !== null && mean(processedRewards) > threshold;
}
