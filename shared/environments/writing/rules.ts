/**
 * The numbers of the writing rewards (arXiv 2601.21972, writing domain), per environment, and
 * where the published evaluation logs differ from them. Leaves out how they are applied
 * (reward.ts).
 */
import { STOPWORDS, TLDR_EVALUATION_STOPWORDS } from "./lexicon.ts";

/** A quantity is worth nothing at `least` and `most`, all between `from` and `to`. */
export interface Band {
  least: number;
  from: number;
  to: number;
  most: number;
}

export interface Rules {
  /** Level 1: words of each text, both ends allowed. */
  tokens: readonly [least: number, most: number];
  /** Level 2: length of the second text over length of the first, in code points. */
  length: Band;
  /** Level 3: distinct words of the second text over those of the first. */
  unique: Band;
  /** Level 4: overlap of the two vocabularies that is worth all. */
  jaccardCap: number;
  /** Level 4: where transitions are looked for; "both" reads the texts as one. */
  transitionsIn: "second" | "both";
}

/** How the published evaluation measures: for logs, never for rewards. */
export interface EvaluationLog {
  length: Band;
  /** Taken out before distinct words are counted, and for the overlap. */
  stopwords: ReadonlySet<string>;
}

export const RULES = {
  tldr: {
    tokens: [8, 256],
    length: { least: 1.1, from: 1.6, to: 3.2, most: 5 },
    unique: { least: 1.3, from: 2, to: Infinity, most: Infinity },
    jaccardCap: 0.03,
    transitionsIn: "second",
  },
  arxiv: {
    tokens: [128, 256],
    length: { least: 0.8, from: 1.3, to: 1.6, most: 2 },
    unique: { least: 0.5, from: 0.7, to: 1.3, most: 1.7 },
    jaccardCap: 0.23,
    transitionsIn: "both",
  },
} as const satisfies Record<string, Rules>;

export type WritingId = keyof typeof RULES;

export const EVALUATION_LOGS: Readonly<Record<WritingId, EvaluationLog>> = {
  tldr: { length: RULES.tldr.length, stopwords: TLDR_EVALUATION_STOPWORDS },
  arxiv: { length: { least: 0.8, from: 1, to: 1.3, most: 1.5 }, stopwords: STOPWORDS },
};

/** What the levels are worth at most; of transitions 0.95 can be had (12 categories). */
export const WORTH = { tokens: 0.5, length: 1, unique: 0.5, transitions: 0.4, jaccard: 0.6 };

/** Greatest reward. */
export const MOST = 2.98;
