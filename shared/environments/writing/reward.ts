/**
 * Reward of a pair of texts: four levels, each worth something only when the one before was not
 * missed (arXiv 2601.21972, writing domain). Both texts in a range of words, then the second so
 * many times as long as the first, then so many times as rich in words, then style: transitions
 * and a shared vocabulary. It looks at form alone: what the texts are about earns nothing.
 */
import { codePointCount, countWords } from "../python_text.ts";
import { STOPWORDS, TRANSITIONS } from "./lexicon.ts";
import { phraseFinder } from "./phrases.ts";
import { type Band, EVALUATION_LOGS, RULES, WORTH, type WritingId } from "./rules.ts";
import { compareVocabularies, type Vocabularies } from "./vocabulary.ts";

const findTransitions = phraseFinder(Object.values(TRANSITIONS));

/** One text, measured. */
export interface Measured {
  /** Words between white space. */
  tokens: number;
  /** Length in code points. */
  characters: number;
  lower: string;
}

export function measure(text: string): Measured {
  return {
    tokens: countWords(text),
    characters: codePointCount(text),
    lower: text.toLowerCase(),
  };
}

/** The parts of a reward, under the names that the published evaluation logs. */
export interface WritingMetrics {
  level1_reward: number;
  length_ratio: number;
  level2_reward: number;
  unique_words_ratio: number;
  level3_reward: number;
  num_transition_categories: number;
  num_transition_words: number;
  jaccard_reward: number;
  transition_reward: number;
  level4_reward: number;
  /** Sum of the levels up to the first that was missed: the reward. */
  gated_total_reward: number;
  /** Sum of all levels. */
  ungated_total_reward: number;
}

/**
 * Reward and parts of two texts.
 * @param reference Parts as the published evaluation logs them, which measures other things than
 * it rewards: words without stopwords, other bounds for arXiv, a level of 0 counts as missed.
 * The reward is the same.
 */
export function scoreWriting(
  id: WritingId,
  first: Measured,
  second: Measured,
  reference = false,
): { reward: number; metrics: WritingMetrics } {
  const rules = RULES[id];
  const transitions = findTransitions(
    rules.transitionsIn === "both" ? [first.lower, second.lower] : [second.lower],
  );
  const style = transitions.groups === 0 ? 0 : Math.min(1, 0.4 + 0.05 * (transitions.groups - 1));
  const [least, most] = rules.tokens;
  const level1 = [first, second].every(({ tokens }) => tokens >= least && tokens <= most)
    ? WORTH.tokens
    : null;
  const lengthRatio = ratio(second.characters, first.characters);

  const parts = (length: Band, unique: number, shared: number) => {
    const jaccard = WORTH.jaccard * (Math.min(shared, rules.jaccardCap) / rules.jaccardCap);
    const transition = WORTH.transitions * style;
    const levels = [
      level1,
      worth(lengthRatio, length, WORTH.length),
      worth(unique, rules.unique, WORTH.unique),
      jaccard + transition,
    ];
    return { unique, jaccard, transition, levels };
  };
  const compare = (stopwords: ReadonlySet<string>) =>
    compareVocabularies(first.lower, second.lower, stopwords);

  const words = compare(STOPWORDS);
  const rewarded = parts(rules.length, ratio(words.second, words.first), jaccard(words));
  const reward = gated(rewarded.levels);
  let logged = rewarded;
  if (reference) {
    const { length, stopwords } = EVALUATION_LOGS[id];
    const content = compare(stopwords);
    const unique = ratio(content.secondContent, content.firstContent);
    logged = parts(length, unique, jaccard(content));
  }
  const levels = logged.levels.map((level) => level ?? 0);
  return {
    reward,
    metrics: {
      level1_reward: levels[0]!,
      length_ratio: lengthRatio,
      level2_reward: levels[1]!,
      unique_words_ratio: logged.unique,
      level3_reward: levels[2]!,
      num_transition_categories: transitions.groups,
      num_transition_words: transitions.phrases,
      jaccard_reward: logged.jaccard,
      transition_reward: logged.transition,
      level4_reward: levels[3]!,
      gated_total_reward: reference ? gated(levels.map((level) => level || null)) : reward,
      ungated_total_reward: levels.reduce((sum, level) => sum + level, 0),
    },
  };
}

/** Sum of the levels before the first missed one. */
function gated(levels: readonly (number | null)[]): number {
  let sum = 0;
  for (const level of levels) {
    if (level === null) break;
    sum += level;
  }
  return sum;
}

/** What a ratio earns; `null` outside of its band. */
function worth(x: number, { least, from, to, most }: Band, whole: number): number | null {
  if (x < least || x > most) return null;
  if (x < from) return whole * ((x - least) / (from - least));
  return x <= to ? whole : whole * (1 - (x - to) / (most - to));
}

/** Content words in common over all of them; 1 for none at all. */
function jaccard({ firstContent, secondContent, common }: Vocabularies): number {
  const union = firstContent + secondContent - common;
  return union === 0 ? 1 : common / union;
}

/** 0 where there is nothing to divide by: a ratio that no band holds. */
function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
