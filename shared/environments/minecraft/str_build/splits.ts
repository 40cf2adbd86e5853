/**
 * Where words come from. `train` is drawn without end from words of one and two letters; the
 * words of `eval`, `eval_large` and `paper` are never drawn, though each of their letters is
 * (inside other words), so that a team which does well on them reads letters rather than recalls
 * words. Leaves out targets (task.ts).
 */
import { CollmError, suggest } from "../../../errors.ts";
import { integerBelow, seedOf, shuffle, uniforms } from "../../../random.ts";
import type { SplitInfo } from "../../environment.ts";
import { LETTERS } from "../font.ts";

/** Strings of the paper's experiments, in their published order. */
export const PAPER_WORDS = ["I", "C", "M", "L", "MC", "CM", "LI", "LLM", "ICML", "CLIM"];
/**
 * The word that the published code scores a published word against on turn 1 without the grid: it
 * looks tasks up by prompt text, and words of one length share theirs, so the last one is found.
 */
export function publishedWord(word: string): string {
  if (!PAPER_WORDS.includes(word)) return word;
  return PAPER_WORDS.findLast(({ length }) => length === word.length)!;
}

/** Fixed order of the letters from which held-out words are taken. */
const ORDER = shuffle([...LETTERS], uniforms(seedOf("str_build", "held out")));
/** Chance that a training word has a single letter. */
const SINGLE_LETTER = 0.25;

/** 256 pairs: the letter `offset` places on, so every letter leads and follows equally often. */
export const EVAL_LARGE_WORDS: readonly string[] = Array.from(
  { length: 11 * LETTERS.length },
  (_, i) => {
    const [offset, first] = [1 + Math.floor(i / LETTERS.length), i % LETTERS.length];
    return ORDER[first]! + ORDER[(first + offset) % LETTERS.length]!;
  },
).filter((word) => !PAPER_WORDS.includes(word)).slice(0, 256);

/** 8 single letters and the first 56 of the held-out pairs. */
export const EVAL_WORDS: readonly string[] = [
  ...ORDER.filter((letter) => !PAPER_WORDS.includes(letter)).slice(0, 8),
  ...EVAL_LARGE_WORDS.slice(0, 56),
];

const HELD_OUT = new Set([...PAPER_WORDS, ...EVAL_WORDS, ...EVAL_LARGE_WORDS]);
const TRAIN_SINGLES = [...LETTERS].filter((letter) => !HELD_OUT.has(letter));
const TRAIN_PAIRS = [...LETTERS].flatMap((a) => [...LETTERS].map((b) => a + b))
  .filter((pair) => !HELD_OUT.has(pair));

/** All words that `train` draws from. */
export const TRAIN_WORDS: readonly string[] = [...TRAIN_SINGLES, ...TRAIN_PAIRS];

interface Split {
  description: string;
  /** Fixed words; `null` for drawn ones. */
  words: readonly string[] | null;
  /** Digits and start of the running number in item ids. */
  digits: number;
  first: number;
}

const SPLITS: Readonly<Record<string, Split>> = {
  train: {
    description: "Words of one (25 %) or two letters, drawn without end; no held-out word",
    words: null,
    digits: 6,
    first: 0,
  },
  eval: {
    description: "64 held-out words: 8 of one letter, 56 of two, spread over all letters",
    words: EVAL_WORDS,
    digits: 3,
    first: 0,
  },
  eval_large: {
    description: "256 held-out words of two letters; the pairs of `eval` come first",
    words: EVAL_LARGE_WORDS,
    digits: 3,
    first: 0,
  },
  paper: {
    description: "The 10 strings of the paper: 8 for training, then ICML and CLIM",
    words: PAPER_WORDS,
    digits: 4,
    first: 1,
  },
};

export function splitInfos(): SplitInfo[] {
  return Object.entries(SPLITS).map(([name, { words, description }]) => ({
    name,
    size: words?.length ?? null,
    description,
  }));
}

/** Word and id of an item. @throws CollmError `not_found` for no such split or index. */
export function itemWord(name: string, index: number): { id: string; word: string } {
  const split = Object.hasOwn(SPLITS, name) ? SPLITS[name] : undefined;
  if (!split) {
    const hint = suggest(name, Object.keys(SPLITS));
    throw new CollmError("not_found", `Cannot find split '${name}' of 'str_build': ${hint}`);
  }
  const size = split.words?.length ?? Number.MAX_SAFE_INTEGER;
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw new CollmError(
      "not_found",
      `Cannot find item ${index} of split '${name}': it has items 0 to ${size - 1}`,
    );
  }
  const number = String(split.first + index).padStart(split.digits, "0");
  const id = name === "paper" ? `str_build_${number}` : `str_build_${name}_${number}`;
  return { id, word: split.words ? split.words[index]! : trainWord(index) };
}

/** Split and index of an item id. @throws CollmError `not_found`. */
export function findItem(id: string): { id: string; word: string } {
  const match = /^str_build_(?:(train|eval|eval_large)_)?([0-9]{3,16})$/.exec(id);
  const name = match?.[1] ?? "paper";
  const item = match ? itemWord(name, Number(match[2]) - SPLITS[name]!.first) : undefined;
  if (item?.id === id) return item;
  throw new CollmError(
    "not_found",
    `Cannot find item '${id.slice(0, 60)}': ids of 'str_build' look like ` +
      "str_build_train_000123, str_build_eval_007, str_build_eval_large_007, str_build_0001",
  );
}

function trainWord(index: number): string {
  const random = uniforms(seedOf("str_build", "train", index));
  const words = random() < SINGLE_LETTER ? TRAIN_SINGLES : TRAIN_PAIRS;
  return words[integerBelow(random, words.length)]!;
}
