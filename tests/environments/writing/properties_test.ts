/** Properties of the writing rewards that hold for any text, and megabytes of hostile text. */
import assert from "node:assert/strict";
import { loadFastCheck } from "../../../deps.ts";
import { STOPWORDS, TRANSITIONS } from "../../../shared/environments/writing/lexicon.ts";
import { createArxiv, createTldr } from "../../../shared/environments/writing/index.ts";
import { splitWords } from "../../../shared/environments/python_text.ts";
import { splitParagraphs } from "../../../shared/environments/writing/paragraphs.ts";
import { phraseFinder } from "../../../shared/environments/writing/phrases.ts";
import { compareVocabularies } from "../../../shared/environments/writing/vocabulary.ts";

const fc = await loadFastCheck();
const phrases = Object.values(TRANSITIONS).flat();
const word = fc.oneof(
  { weight: 6, arbitrary: fc.stringMatching(/^[a-z]{1,9}$/) },
  { weight: 2, arbitrary: fc.constantFrom(...phrases, ...STOPWORDS) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 6 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("été", "\u{1d54f}\u{1d7ce}", "e\u0301", "ΟΔΟΣ", "_", ""),
  },
);
const blank = fc.constantFrom(" ", " ", " ", "\n", "\u00a0", "\ufeff", "\u001c", "");
const anything = fc.array(fc.tuple(word, blank), { maxLength: 300, size: "max" })
  .map((parts) => parts.flat().join(""));
/** Texts of so many words that the first level is passed. */
const prose = fc.array(fc.oneof(word, fc.constantFrom("keys", "lake")), {
  minLength: 150,
  maxLength: 240,
}).map((words) => words.join(" x"));
const text = fc.oneof(anything, prose);

for (const environment of [createTldr(), createArxiv(), createTldr({ compat: "reference" })]) {
  const { id, options } = environment;
  const task = id === "tldr" ? { post: "x" } : { abstract: "x" };

  Deno.test(`score of ${id} (${options["compat"]}) stays in its range for any two texts`, () => {
    const [least, greatest] = environment.rewardRange;
    fc.assert(fc.property(text, text, (agent_1, agent_2) => {
      const { rewards, components } = environment.score(task as never, { agent_1, agent_2 });
      assert.equal(rewards["agent_1"], rewards["agent_2"]);
      assert.ok(rewards["agent_1"]! >= least && rewards["agent_1"]! <= greatest + 1e-9);
      assert.ok(Object.values(components).every((value) => Number.isFinite(value) && value >= 0));
      assert.ok(components["gated_total_reward"]! <= components["ungated_total_reward"]! + 1e-9);
    }));
  });
}

Deno.test("compareVocabularies counts what sets of words count", () => {
  const setOf = (text: string) => new Set(text.match(/[\p{L}\p{N}_]+/gu));
  fc.assert(fc.property(text, text, (a, b) => {
    const [first, second] = [setOf(a), setOf(b)];
    const [one, two] = [first.difference(STOPWORDS), second.difference(STOPWORDS)];
    assert.deepEqual(compareVocabularies(a, b, STOPWORDS), {
      first: first.size,
      second: second.size,
      firstContent: one.size,
      secondContent: two.size,
      common: one.intersection(two).size,
    });
  }));
});

Deno.test("phraseFinder finds what a search for each phrase finds, also across two texts", () => {
  const groups = Object.values(TRANSITIONS);
  const find = phraseFinder(groups);
  fc.assert(fc.property(text, text, (a, b) => {
    const joined = a + b;
    const hits = groups.map((group) => group.filter((phrase) => joined.includes(phrase)).length);
    assert.deepEqual(find([a, b]), {
      groups: hits.filter((count) => count > 0).length,
      phrases: hits.reduce((sum, count) => sum + count, 0),
    });
  }));
});

Deno.test("splitParagraphs loses nothing but labels, the delimiter and white space", () => {
  fc.assert(fc.property(text, (answer) => {
    if (/paragraph [12]:|\[PARAGRAPH_SPLIT\]/i.test(answer)) return;
    const [first, second] = splitParagraphs(answer);
    assert.ok(answer.includes(first) && answer.includes(second));
    const bare = (text: string) => splitWords(text).join("");
    assert.equal(bare(first + second), bare(answer));
  }));
});

const MEGABYTE = 1 << 20;
const HOSTILE: Record<string, string> = {
  "one word": "x".repeat(MEGABYTE),
  blanks: " ".repeat(MEGABYTE),
  "short words": "a b ".repeat(MEGABYTE / 4),
  "distinct words": Array.from({ length: MEGABYTE / 7 }, (_, i) => i.toString(36).padStart(6, "q"))
    .join(" "),
  "a phrase, never finished": "when all is said and don ".repeat(MEGABYTE / 25),
  "half pairs": "\ud800".repeat(MEGABYTE),
  pairs: "\u{1d54f}".repeat(MEGABYTE / 2),
  "combining marks": `a${"\u0301".repeat(MEGABYTE)}`,
  "control characters": Array.from({ length: MEGABYTE }, (_, i) => String.fromCharCode(i % 32))
    .join(""),
  "capital sigmas": "Σ".repeat(MEGABYTE),
  "labels, almost": "Paragraph 2".repeat(MEGABYTE / 11),
  delimiters: "[PARAGRAPH_SPLIT]".repeat(MEGABYTE / 17),
  "another language": "мы потеряли ключи в озере ".repeat(MEGABYTE / 26),
};

Deno.test("score of a megabyte of anything is a number, and is soon there", () => {
  const pair = createArxiv({ compat: "reference" });
  const alone = createTldr({ agents: 1 });
  for (const [name, text] of Object.entries(HOSTILE)) {
    // No limit on the time: a quadratic pass over a megabyte would take hours.
    const { rewards } = pair.score({ abstract: "x" }, { agent_1: text, agent_2: text });
    assert.ok(rewards["agent_1"]! >= 0, name);
    assert.ok(alone.score({ post: "x" }, { agent_1: text }).rewards["agent_1"]! >= 0, name);
  }
});
