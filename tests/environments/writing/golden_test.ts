/** Rewards, their parts and single-agent paragraphs against the golden cases. */
import assert from "node:assert/strict";
import {
  STOPWORDS,
  TLDR_EVALUATION_STOPWORDS,
  TRANSITIONS,
} from "../../../shared/environments/writing/lexicon.ts";
import { splitParagraphs } from "../../../shared/environments/writing/paragraphs.ts";
import { measure, scoreWriting } from "../../../shared/environments/writing/reward.ts";
import { compareVocabularies } from "../../../shared/environments/writing/vocabulary.ts";
import { close, golden } from "../golden.ts";

interface Case {
  name: string;
  input: { completion1: string; completion2: string };
  expected: number;
  breakdown: {
    tokens1: number;
    tokens2: number;
    chars1: number;
    chars2: number;
    unique1: number;
    unique2: number;
    length_ratio: number | null;
    unique_ratio: number;
    transition_categories: string[];
  };
  eval_logger: Record<string, number>;
}

for (const id of ["tldr", "arxiv"] as const) {
  const { cases } = golden<{ cases: Case[] }>(`${id}_reward`);

  Deno.test(`scoreWriting gives every golden reward of ${id} and what it is made of`, () => {
    for (const { name, input, expected, breakdown } of cases) {
      const [first, second] = [measure(input.completion1), measure(input.completion2)];
      const { tokens1, tokens2, chars1, chars2, unique1, unique2 } = breakdown;
      assert.deepEqual(
        [first.tokens, second.tokens, first.characters, second.characters],
        [tokens1, tokens2, chars1, chars2],
        name,
      );
      const words = compareVocabularies(first.lower, second.lower, STOPWORDS);
      assert.deepEqual([words.first, words.second], [unique1, unique2], name);
      for (const reference of [false, true]) {
        const { reward, metrics } = scoreWriting(id, first, second, reference);
        close(reward, expected, name);
        if (reference) continue;
        close(metrics.gated_total_reward, expected, name);
        close(metrics.length_ratio, breakdown.length_ratio ?? 0, name);
        close(metrics.unique_words_ratio, breakdown.unique_ratio, name);
        assert.equal(metrics.num_transition_categories, breakdown.transition_categories.length);
      }
    }
  });

  Deno.test(`scoreWriting with the reference's log gives every golden log of ${id}`, () => {
    for (const { name, input, eval_logger } of cases) {
      const texts = [measure(input.completion1), measure(input.completion2)] as const;
      const metrics: Record<string, number> = { ...scoreWriting(id, ...texts, true).metrics };
      assert.deepEqual(Object.keys(metrics).sort(), Object.keys(eval_logger).sort(), name);
      for (const [key, value] of Object.entries(eval_logger)) {
        close(metrics[key]!, value, `${name}, ${key}`);
      }
    }
  });
}

Deno.test("splitParagraphs cuts every golden answer where the reference cuts it", () => {
  const { cases } = golden<{ cases: { input: string; expected: string[] }[] }>("paragraph_split");
  for (const { input, expected } of cases) {
    assert.deepEqual(splitParagraphs(input), expected, input);
  }
});

Deno.test("the word lists are the published ones", () => {
  const lists = golden<Record<string, string[] | Record<string, string[]>>>("writing_constants");
  assert.deepEqual([...STOPWORDS], lists["reward_stopwords"]);
  assert.deepEqual([...TLDR_EVALUATION_STOPWORDS].sort(), lists["tldr_eval_logger_stopwords"]);
  assert.deepEqual(TRANSITIONS, lists["transition_words"]);
});
