/** Single rules of the writing rewards at their edges, and how texts are measured. */
import assert from "node:assert/strict";
import { loadFastCheck } from "../../../deps.ts";
import {
  codePointCount,
  codePointIndex,
  countWords,
  isWordAt,
  splitWords,
} from "../../../shared/environments/python_text.ts";
import { measure, scoreWriting } from "../../../shared/environments/writing/reward.ts";
import { close } from "../golden.ts";

/** `count` distinct words in no transition and no text of another letter, `length` in all. */
function words(count: number, length: number, letter: string): string {
  const code = (i: number) => "zxqvkj"[i % 6]!;
  const body = Array.from(
    { length: count },
    (_, i) => letter + code(i) + code(Math.floor(i / 6)) + code(Math.floor(i / 36)),
  ).join(" ");
  assert.ok(body.length <= length, `${count} words take ${body.length} characters`);
  return body + "z".repeat(length - body.length);
}

const tldr = (first: string, second: string) =>
  scoreWriting("tldr", measure(first), measure(second)).reward;
const arxiv = (first: string, second: string) =>
  scoreWriting("arxiv", measure(first), measure(second)).reward;

Deno.test("scoreWriting of tldr stops after five times the length and pays by distance before", () => {
  const first = words(10, 100, "b");
  close(tldr(first, words(24, 500, "d")), 1, "ratio 5");
  close(tldr(first, words(24, 501, "d")), 0.5, "ratio 5.01");
  close(tldr(first, words(12, 111, "d")), 0.52, "ratio 1.11");
  close(tldr(first, words(12, 110, "d")), 0.5, "ratio 1.10");
});

Deno.test("scoreWriting of tldr wants 8 to 256 words in each text", () => {
  const text = (count: number) => Array.from({ length: count }, (_, i) => `z${i}`).join(" ");
  const shorter = (count: number) => Array<string>(count).fill("q").join("\u00a0");
  assert.ok(tldr(shorter(8), "vx ".repeat(9)) > 0);
  assert.equal(tldr(shorter(7), "vx ".repeat(9)), 0);
  assert.equal(tldr(shorter(8), text(257)), 0);
  assert.equal(tldr(Array(8).fill("q").join("\ufeff"), "vx ".repeat(9)), 0);
});

Deno.test("scoreWriting of arxiv reads both texts as one, tldr the second alone", () => {
  // "he" at the end and "nce" at the start make "hence".
  const filler = (letter: string, length: number) => words(90, length, letter);
  const body = (text: string) => `${text} ${"qq ".repeat(45)}`;
  const first = `${body(filler("b", 600))}he`;
  const second = `nce ${body(filler("d", 840))}`;
  const { metrics } = scoreWriting("arxiv", measure(first), measure(second));
  assert.deepEqual([metrics.num_transition_categories, metrics.num_transition_words], [1, 1]);
  const alone = scoreWriting("tldr", measure(first), measure(second)).metrics;
  assert.equal(alone.num_transition_categories, 0);
  assert.ok(arxiv(first, second) > arxiv(`${first} `, second));
});

Deno.test("scoreWriting pays 0.38 of 0.4 for all 12 categories and never more", () => {
  const all = "also namely that is so but next indeed in brief equally though if until";
  const { metrics } = scoreWriting("tldr", measure("a"), measure(all));
  assert.equal(metrics.num_transition_categories, 12);
  close(metrics.transition_reward, 0.38, "transition reward");
});

Deno.test("scoreWriting stops where the first text has words but no letters", () => {
  // Nothing to divide by: the ratio of vocabularies is 0, which misses the third level.
  close(tldr("! ! ! ! ! ! ! !", "zq zx zv zk zj zqq zxx zvv zkk"), 1.5, "no letters");
});

const fc = await loadFastCheck();
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({
    unit: fc.constantFrom(" ", "\u0085", "\u001c", "\ufeff", "a", "é", "\u{1d54f}", "\ud800"),
  }),
);

Deno.test("countWords and codePointCount count what splitting counts", () => {
  fc.assert(fc.property(text, (value) => {
    assert.equal(countWords(value), splitWords(value).length);
    assert.equal(codePointCount(value), [...value].length);
    for (const count of [0, 1, 2, 5]) {
      assert.equal(
        value.slice(0, codePointIndex(value, count)),
        [...value].slice(0, count).join(""),
      );
    }
  }));
});

Deno.test("isWordAt tells letters, digits and underscores of every script, also in two units", () => {
  fc.assert(fc.property(text, (value) => {
    let index = 0;
    for (const character of value) {
      const expected = /[\p{L}\p{N}_]/u.test(character);
      for (let unit = 0; unit < character.length; unit++) {
        assert.equal(isWordAt(value, index + unit), expected, JSON.stringify(character));
      }
      index += character.length;
    }
  }));
});
