/**
 * Text that goes out while its tokens come, on the embedded model's tokenizer: however the tokens
 * are cut, the pieces are the text, hold no half character, and end where a stop text begins.
 */
import assert from "node:assert/strict";
import { loadTokenizer } from "../../gpu-node/model/tokenizer.ts";
import { rowText } from "../../gpu-node/server/row_text.ts";
import { uniforms } from "../../shared/random.ts";

const tokenizer = await loadTokenizer("models/collm-tiny");
const TEXT = "One zebra, two 🦓🦓 zebras — drei Größen; наконец 終わり. END of it";
const ids = tokenizer.encode(TEXT);

/** Pieces of these tokens when they come in parts of random sizes. */
function pieces(tokens: readonly number[], stops: readonly string[], seed: number) {
  const random = uniforms(seed);
  const row = rowText(tokenizer, stops);
  const out = [];
  for (let at = 0; at < tokens.length;) {
    const more = tokens.slice(at, at += 1 + Math.floor(random() * 5));
    out.push(row.push(more, more.map((id) => -id)));
  }
  if (!row.stopped) out.push(row.flush());
  const all = {
    text: out.map((piece) => piece.text).join(""),
    tokens: out.flatMap((piece) => piece.tokens),
    logprobs: out.flatMap((piece) => piece.logprobs),
    stopped: row.stopped,
  };
  return { all, texts: out.map((piece) => piece.text!) };
}

Deno.test("rowText gives the whole text in pieces without half characters", () => {
  assert.ok(ids.length > TEXT.length / 2, "characters are split over tokens");
  for (let seed = 0; seed < 50; seed++) {
    const { all, texts } = pieces(ids, [], seed);
    assert.equal(all.text, TEXT);
    assert.deepEqual(all.tokens, ids);
    assert.deepEqual(all.logprobs, ids.map((id) => -id));
    for (const text of texts) assert.ok(!text.includes("\ufffd"), JSON.stringify(text));
  }
});

const STOPS: [string[], number][] = [
  [[" zebras"], TEXT.indexOf(" zebras")],
  [["END of the", "END of i"], TEXT.indexOf("END of i")],
  [["🦓🦓"], TEXT.indexOf("🦓")],
  [["nothing", "like this"], TEXT.length],
  [["ßen", "One zebras"], TEXT.indexOf("ßen")],
  [["O"], 0],
];

for (const [stops, end] of STOPS) {
  Deno.test(`rowText ends at ${JSON.stringify(stops)} however the tokens are cut`, () => {
    const expected = ids.findIndex((_, count) =>
      stops.some((stop) => tokenizer.decode(ids.slice(0, count + 1)).includes(stop))
    );
    for (let seed = 0; seed < 50; seed++) {
      const { all } = pieces(ids, stops, seed);
      assert.equal(all.text, TEXT.slice(0, end));
      assert.equal(all.stopped, end < TEXT.length);
      // The tokens up to the one that completes the stop text.
      assert.deepEqual(all.tokens, expected < 0 ? ids : ids.slice(0, expected + 1));
      assert.deepEqual(all.logprobs, all.tokens.map((id) => -id));
    }
  });
}

Deno.test("rowText holds back only what could still change", () => {
  const row = rowText(tokenizer, ["abc"]);
  const push = (text: string) => {
    const tokens = tokenizer.encode(text);
    return row.push(tokens, tokens.map(() => 0)).text;
  };
  assert.equal(push("xa"), "x");
  assert.equal(push("b"), "");
  assert.equal(push("x"), "abx");
  assert.equal(push("ab"), "");
  assert.equal(row.flush().text, "ab");
});

Deno.test("rowText without a tokenizer passes tokens on", () => {
  const row = rowText(null, []);
  assert.deepEqual(row.push([1, 2], [-1, -2]), { tokens: [1, 2], logprobs: [-1, -2], text: null });
  assert.deepEqual(row.flush(), { tokens: [], logprobs: [], text: null });
});

Deno.test("rowText lets out bytes that never become a character", () => {
  const [zebra] = [tokenizer.encode("🦓")];
  const row = rowText(tokenizer, []);
  const first = row.push(zebra!.slice(0, 2), [0, 0]);
  assert.equal(first.text, "");
  assert.match(row.push(tokenizer.encode("then this"), []).text!, /^\ufffd+then this$/);
});
