/** The BPE trainer against a plain second implementation, and exactness on any text. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadFastCheck } from "../../deps.ts";
import { loadTokenizer } from "../../gpu-node/model/tokenizer.ts";
import {
  BYTE_CHARACTERS,
  byteSpelling,
  type TokenizerJson,
  trainByteLevelBpe,
} from "../../train/pretrain/bpe.ts";
import { writeTokenizerFolder } from "../../train/pretrain/tokenizer_folder.ts";
import { CollmError } from "../../shared/errors.ts";

const WORDS = String.raw` ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+`;
const SPECIAL = ["<pad>", "<bos>", "<eos>"];
const TEXTS = [
  "the cat sat on the mat; the bat ate the rat\n".repeat(5),
  "ababab abab aaaa aaaaaaa banana bananas\n",
  "naïve façade, 東京 京都 🙂🙂🙃 <eos>the end\n",
];
const options = { vocabSize: 320, pattern: WORDS, specialTokens: SPECIAL };

async function load(tokenizer: TokenizerJson) {
  const folder = mkdtempSync(join(tmpdir(), "collm-bpe-"));
  const roles = { bos: "<bos>", eos: "<eos>", pad: "<pad>" };
  const rest = { chatTemplate: "{{ messages[0].content }}", modelMaxLength: 64 };
  writeTokenizerFolder(folder, tokenizer, { ...roles, ...rest });
  return { folder, tokenizer: await loadTokenizer(folder) };
}

/** BPE by the book: of all adjacent pairs of a piece the first one listed in merges, each time. */
function encodeSlowly({ model }: TokenizerJson, pattern: string, text: string): number[] {
  const ids: number[] = [];
  for (const piece of text.match(new RegExp(pattern, "gu")) ?? []) {
    let parts = [...byteSpelling(piece)];
    for (;;) {
      const ranks = parts.slice(1).map((part, i) => model.merges.indexOf(`${parts[i]} ${part}`));
      const best = Math.min(...ranks.filter((rank) => rank >= 0));
      if (best === Infinity) break;
      const at = ranks.indexOf(best);
      parts = [...parts.slice(0, at), parts[at]! + parts[at + 1]!, ...parts.slice(at + 2)];
    }
    ids.push(...parts.map((part) => model.vocab[part]!));
  }
  return ids;
}

/** The trainer by the book: counts all pairs anew before each merge. */
function mergesSlowly(texts: string[], vocabSize: number): string[] {
  const pieces = texts.flatMap((text) => text.split("<eos>"))
    .flatMap((text) => text.match(new RegExp(WORDS, "gu")) ?? [])
    .map((piece) => [...byteSpelling(piece)]);
  const tokens = [...SPECIAL, ...BYTE_CHARACTERS];
  const merges: string[] = [];
  while (tokens.length < vocabSize) {
    const counts = new Map<string, number>();
    for (const parts of pieces) {
      for (let i = 1; i < parts.length; i++) {
        const pair = `${parts[i - 1]} ${parts[i]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    const order = (pair: string) => pair.split(" ").map((token) => tokens.indexOf(token));
    const [best] = [...counts].sort(([p, m], [q, n]) => {
      const [[a, b], [c, d]] = [order(p), order(q)];
      return n - m || a! - c! || b! - d!;
    })[0]!;
    merges.push(best);
    const [left, right] = best.split(" ") as [string, string];
    if (!tokens.includes(left + right)) tokens.push(left + right);
    for (const parts of pieces) {
      for (let i = 1; i < parts.length; i++) {
        if (parts[i - 1] === left && parts[i] === right) parts.splice(i - 1, 2, left + right);
      }
    }
  }
  return merges;
}

Deno.test("trainByteLevelBpe learns the merges of a plain implementation", () => {
  const { model } = trainByteLevelBpe(TEXTS, options);
  assert.deepEqual(model.merges, mergesSlowly(TEXTS, 320));
  assert.equal(Object.keys(model.vocab).length, 320);
  assert.deepEqual(
    Object.values(model.vocab).sort((a, b) => a - b),
    [...Array(320).keys()],
  );
});

Deno.test("trainByteLevelBpe depends on how often pieces occur, not on their order", () => {
  const reversed = TEXTS.join("\n").split("\n").reverse();
  const forward = TEXTS.join("\n").split("\n");
  assert.deepEqual(trainByteLevelBpe(reversed, options), trainByteLevelBpe(forward, options));
});

Deno.test("trainByteLevelBpe writes what Transformers.js encodes as a plain implementation does", async () => {
  const json = trainByteLevelBpe(TEXTS, options);
  const { tokenizer } = await load(json);
  const fc = await loadFastCheck();
  const alphabet = fc.constantFrom(..."abntse thecr\n0.,é東🙂");
  fc.assert(
    fc.property(fc.array(alphabet, { maxLength: 60 }), (letters) => {
      const text = letters.join("");
      assert.deepEqual(tokenizer.encode(text), encodeSlowly(json, WORDS, text));
    }),
    { numRuns: 300, seed: 1 },
  );
});

Deno.test("trainByteLevelBpe gives a tokenizer that restores any text exactly", async () => {
  const { tokenizer } = await load(trainByteLevelBpe(TEXTS, options));
  const fc = await loadFastCheck();
  // A lone surrogate is no text: UTF-8 has no form for it.
  const unicode = fc.string({ unit: "binary", maxLength: 80 }).filter((text) =>
    text.isWellFormed()
  );
  const bytes = fc.uint8Array({ maxLength: 80 })
    .map((array) => Array.from(array, (byte) => String.fromCharCode(byte)).join(""));
  fc.assert(
    fc.property(fc.oneof(unicode, bytes), (text) => {
      const ids = tokenizer.encode(text);
      assert.ok(ids.every((id) => id >= SPECIAL.length && id < 320));
      assert.equal(tokenizer.decode(ids), text);
      assert.equal(tokenizer.decode(ids, { continuation: true }), text);
    }),
    { numRuns: 500, seed: 2 },
  );
});

Deno.test("trainByteLevelBpe gives a tokenizer that decodes any ids to their bytes", async () => {
  const json = trainByteLevelBpe(TEXTS, options);
  const { tokenizer } = await load(json);
  const spelling = new Map(Object.entries(json.model.vocab).map(([token, id]) => [id, token]));
  const fc = await loadFastCheck();
  fc.assert(
    fc.property(fc.array(fc.integer({ min: SPECIAL.length, max: 319 })), (ids) => {
      const characters = ids.map((id) => spelling.get(id)!).join("");
      const bytes = Uint8Array.from(characters, (c) => BYTE_CHARACTERS.indexOf(c));
      const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
      assert.equal(tokenizer.decode(ids), decoder.decode(bytes));
    }),
    { numRuns: 300, seed: 3 },
  );
});

Deno.test("trainByteLevelBpe gives each required piece one token, before the texts", async () => {
  const required = [" xylophone", "qq42"];
  const pattern = `qq[0-9]+|${WORDS}`;
  const { tokenizer } = await load(trainByteLevelBpe(TEXTS, { ...options, pattern, required }));
  for (const piece of required) assert.equal(tokenizer.encode(piece).length, 1);
  assert.equal(tokenizer.encode("a xylophone:qq42").length, 4);
});

Deno.test("trainByteLevelBpe keeps special tokens apart from texts that spell them", async () => {
  const texts = ["<eos><eos> x<eos>y".repeat(50), ...TEXTS];
  const json = trainByteLevelBpe(texts, {
    ...options,
    vocabSize: 300,
    pattern: String.raw`\S+|\s+`,
  });
  const { tokenizer } = await load(json);
  assert.deepEqual(json.added_tokens.map(({ id, content }) => [id, content]), [
    [0, "<pad>"],
    [1, "<bos>"],
    [2, "<eos>"],
  ]);
  const [first, ...rest] = tokenizer.encode("<bos>x");
  assert.equal(first, 1);
  assert.equal(tokenizer.decode([1, ...rest, 2, 0]), "x");
});

Deno.test("trainByteLevelBpe copes with megabytes of text and with a piece of a million letters", () => {
  const line = "some words of ordinary length, again and again 12345\n";
  const texts = [...Array(40_000).keys()].map((i) => `${line}${i} ${i * 7919}\n`);
  const long = "ab".repeat(500_000);
  const { model } = trainByteLevelBpe([...texts, long], { ...options, vocabSize: 512 });
  assert.equal(Object.keys(model.vocab).length, 512);
  assert.equal(model.merges[0], "a b");
});

Deno.test("trainByteLevelBpe names the option it cannot use", () => {
  const refused = (change: Partial<typeof options> & { required?: string[] }, expected: RegExp) =>
    assert.throws(
      () => trainByteLevelBpe(TEXTS, { ...options, ...change }),
      (error) => error instanceof CollmError && expected.test(error.message),
    );
  refused({ vocabSize: 258 }, /vocabSize is 258, special tokens and bytes alone need 259$/);
  refused({ vocabSize: 300.5 }, /vocabSize is 300\.5/);
  refused({ vocabSize: 4096 }, /the texts give \d+ tokens, vocabSize is 4096$/);
  refused({ specialTokens: ["<s>", "<s>"] }, /specialTokens has a token twice/);
  refused({ specialTokens: ["a"] }, /special token "a" is shorter than 2 characters/);
  refused({ required: ["two words"] }, /pattern does not leave required piece "two words" whole/);
  refused({ vocabSize: 260, required: ["xyz"] }, /required piece "xyz" takes 2 tokens/);
});

Deno.test("writeTokenizerFolder refuses roles without a special token before it writes", () => {
  const json = trainByteLevelBpe(TEXTS, options);
  const parent = mkdtempSync(join(tmpdir(), "collm-bpe-"));
  const good = { chatTemplate: "", bos: "<bos>", eos: "<eos>", pad: "<pad>", modelMaxLength: 64 };
  const write = (change: Partial<typeof good>) => () =>
    writeTokenizerFolder(join(parent, "t"), json, { ...good, ...change });
  assert.throws(write({ eos: "</s>" }), /eos '<\/s>' is no special token of it$/);
  assert.throws(write({ modelMaxLength: 0 }), /modelMaxLength is 0$/);
  assert.deepEqual([...Deno.readDirSync(parent)], []);
});

Deno.test("writeTokenizerFolder writes the same bytes for the same texts", async () => {
  const [a, b] = [
    await load(trainByteLevelBpe(TEXTS, options)),
    await load(trainByteLevelBpe(TEXTS, options)),
  ];
  const names = [...Deno.readDirSync(a.folder)].map(({ name }) => name).sort();
  assert.deepEqual(names, [
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
  ]);
  for (const name of names) {
    assert.deepEqual(readFileSync(join(a.folder, name)), readFileSync(join(b.folder, name)));
  }
});
