/** What every kind of document is, and the little that kinds share. */
import { integerBelow } from "../../../shared/random.ts";

/** A text to learn: the policy is trained on the response alone. */
export interface Document {
  /** An environment's compact prompt. */
  prompt: string;
  /** What an agent answers. */
  response: string;
}

export const pick = <T>(items: readonly T[], random: () => number): T =>
  items[integerBelow(random, items.length)]!;

/** Turn and previous reward of a prompt: most often the first turn, which has none. */
export function turnOf(
  random: () => number,
  least: number,
  most: number,
): { turn: number; reward: number | null } {
  if (random() < 0.8) return { turn: 1, reward: null };
  return { turn: 2 + integerBelow(random, 3), reward: least + random() * (most - least) };
}
