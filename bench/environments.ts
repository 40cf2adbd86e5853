/**
 * Times the rewards of environments in this process, in time of its processor, so that neighbours
 * on the machine do not count. Leaves out what the edge adds.
 */
import process from "node:process";
import { createArxiv, createTldr } from "../shared/environments/writing/index.ts";
import { STOPWORDS, TRANSITIONS } from "../shared/environments/writing/lexicon.ts";
import { phraseFinder } from "../shared/environments/writing/phrases.ts";
import { shippedAbstracts } from "../shared/environments/writing/shipped/abstracts.ts";
import { compareVocabularies } from "../shared/environments/writing/vocabulary.ts";
import { median } from "./shapes.ts";

export interface WritingBench {
  /** Words of each of the two texts of a reward. */
  words: number;
  /** Per second of one core. */
  tldr_rewards_per_s: number;
  arxiv_rewards_per_s: number;
  /** Time of sets of strings over time of the hash table of places, same texts, in turn. */
  sets_over_table: number;
  /** Time of a search per phrase over time of the one pass, same texts, in turn. */
  searches_over_pass: number;
}

/** Rewards of pairs of distinct texts of `words` words; medians over the repeats. */
export function benchWriting(
  { words = 100, rewards = 4000, repeats = 9 } = {},
): WritingBench {
  const texts = shippedAbstracts()["train"]!.map((text, i, all) =>
    // Two texts that share few sentences, so that their places differ.
    `${text} ${all[i * 7 % all.length]}`.split(" ").slice(i % 60, i % 60 + words).join(" ")
  );
  const lower = texts.map((text) => text.toLowerCase());
  const at = (list: readonly string[], i: number) => list[i % list.length]!;
  const [tldr, arxiv] = [createTldr(), createArxiv()];
  const pair = (i: number) => ({ agent_1: at(texts, i), agent_2: at(texts, i + 1) });
  const groups = Object.values(TRANSITIONS);
  const find = phraseFinder(groups);
  const cases = {
    tldr: (i: number) => tldr.score({ post: "A post" }, pair(i)),
    arxiv: (i: number) => arxiv.score({ abstract: "An abstract" }, pair(i)),
    table: (i: number) => compareVocabularies(at(lower, i), at(lower, i + 1), STOPWORDS),
    sets: (i: number) => setsOf(at(lower, i), at(lower, i + 1)),
    pass: (i: number) => find([at(lower, i)]),
    searches: (i: number) =>
      groups.map((group) => group.filter((phrase) => at(lower, i).includes(phrase)).length),
  };
  // Microseconds.
  const times = Object.fromEntries(Object.keys(cases).map((name) => [name, [] as number[]]));
  for (let repeat = 0; repeat <= repeats; repeat++) {
    for (const [name, call] of Object.entries(cases)) {
      const start = process.cpuUsage();
      for (let i = 0; i < rewards; i++) call(i);
      const { user, system } = process.cpuUsage(start);
      // The first round compiles.
      if (repeat > 0) times[name]!.push(user + system);
    }
  }
  const perSecond = (name: string) => Math.round(1e6 * rewards / median(times[name]!));
  const ratio = (a: string, b: string) => median(times[a]!.map((time, i) => time / times[b]![i]!));
  return {
    words,
    tldr_rewards_per_s: perSecond("tldr"),
    arxiv_rewards_per_s: perSecond("arxiv"),
    sets_over_table: ratio("sets", "table"),
    searches_over_pass: ratio("searches", "pass"),
  };
}

/** What `compareVocabularies` counts, with a string per word. */
function setsOf(first: string, second: string): number[] {
  const [one, two] = [first, second].map((text) => new Set(text.match(/[\p{L}\p{N}_]+/gu)));
  const [mine, others] = [one!.difference(STOPWORDS), two!.difference(STOPWORDS)];
  return [one!.size, two!.size, mine.size, others.size, mine.intersection(others).size];
}
