/** What the embedded policy's tokenizer promises: fixed token counts whatever it was trained on. */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadTransformers } from "../../deps.ts";
import { loadTokenizer, type Tokenizer } from "../../gpu-node/model/tokenizer.ts";
import { LETTERS } from "../../shared/environments/minecraft/font.ts";
import { HOUSE_BLOCKS } from "../../shared/environments/minecraft/house_build/paper_houses.ts";
import { compactPrompt } from "../../shared/environments/minecraft/str_build/compact.ts";
import { integerBelow, uniforms } from "../../shared/random.ts";
import { writeTokenizerFolder } from "../../train/pretrain/tokenizer_folder.ts";
import {
  BOS,
  buildTokenizer,
  CHAT_TEMPLATE,
  EOS,
  PAD,
  PATTERN,
  REQUIRED_PIECES,
  VOCAB_SIZE,
} from "../../train/pretrain/tokenizer_recipe.ts";

const BLOCKS = ["oak_planks", "stone", "white_concrete", "obsidian"];
const PROSE = `The quick brown fox said: "It's 12 o'clock, isn't it?"
{"name": "value", "list": [1, 2, 2024], "nested": {"ok": true}}
def area(width, height):
    """Return the area."""
    return width * height  # naïve café 東京 🙂
`;

/** Documents of the policy: a compact prompt and random actions, mostly for narrow words. */
function documents(seed: number, count: number): string[] {
  const random = uniforms(seed);
  const below = (n: number) => integerBelow(random, n);
  return Array.from({ length: count }, () => {
    const word = Array.from({ length: 1 + below(3) }, () => LETTERS[below(26)]).join("");
    const prompt = compactPrompt({ word }, below(2), 1 + below(4), below(51) / 10 - 3);
    const action = () => `/setblock ${below(19)} ${below(5)} 0 ${BLOCKS[below(4)]}\n`;
    return prompt + Array.from({ length: 12 }, action).join("");
  });
}

const cells = (bits: number) => [0, 1, 2, 3, 4].map((i) => (bits >> i) & 1 ? "#" : ".").join("");

function write(texts: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "collm-recipe-"));
  const roles = { bos: BOS, eos: EOS, pad: PAD };
  const rest = { chatTemplate: CHAT_TEMPLATE, modelMaxLength: 512 };
  writeTokenizerFolder(folder, buildTokenizer(texts), { ...roles, ...rest });
  return folder;
}

const texts = (tokenizer: Tokenizer, text: string) =>
  tokenizer.encode(text).map((id) => tokenizer.decode([id]));

for (
  const [name, corpus] of [
    ["the policy's documents", documents(1, 300)],
    ["documents and prose", [...documents(2, 50), PROSE.repeat(100)]],
    ["prose alone", [PROSE]],
  ] as const
) {
  Deno.test(`buildTokenizer on ${name}: an action is 2 tokens, a prompt column 2`, async () => {
    const tokenizer = await loadTokenizer(write([...corpus]));
    assert.equal(tokenizer.vocabSize, VOCAB_SIZE);
    for (let x = 0; x <= 25; x++) {
      for (let y = 0; y < 5; y++) {
        for (const block of BLOCKS) {
          const [place, cell] = [`/setblock ${x}`, ` ${y} 0 ${block}\n`];
          assert.deepEqual(texts(tokenizer, place + cell), [place, cell]);
        }
      }
      for (let bits = 0; bits < 32; bits++) {
        assert.deepEqual(texts(tokenizer, ` ${x}=${cells(bits)}`), [` ${x}=`, cells(bits)]);
      }
    }
    for (const reward of [null, -3, -0.5, 0, 0.5, 2]) {
      const prompt = compactPrompt({ word: "ABCD" }, 1, 2, reward);
      const header = reward === null ? ["t2", " a2"] : ["t2", ` r${reward.toFixed(1)}`, " a2"];
      const tokens = texts(tokenizer, prompt);
      assert.deepEqual(tokens.slice(0, header.length), header);
      assert.equal(tokens.at(-1), "\n");
      assert.equal(tokens.length, header.length + 2 * (prompt.split("=").length - 1) + 1);
    }
  });
}

Deno.test("buildTokenizer gives a command of HouseBuild a token for each word, as in its prompt", async () => {
  const tokenizer = await loadTokenizer(write([PROSE]));
  for (const block of HOUSE_BLOCKS) {
    // z = 0 before the block must not make it an action of StrBuild.
    for (const z of [0, 2]) {
      const words = [" 0", " 1", " 0", " 4", " 1", ` ${z}`, ` ${block}\n`];
      assert.deepEqual(texts(tokenizer, `/fill${words.join("")}`), ["/fill", ...words]);
      assert.deepEqual(texts(tokenizer, words.join("").trimStart()), ["0", ...words.slice(1)]);
    }
  }
  assert.deepEqual(texts(tokenizer, "/kill\n"), ["/kill\n"]);
});

Deno.test("buildTokenizer reaches the vocabulary of the recipe, a multiple of 64", () => {
  const { model } = buildTokenizer(documents(3, 20).concat(PROSE));
  assert.equal(Object.keys(model.vocab).length, VOCAB_SIZE);
  assert.equal(VOCAB_SIZE % 64, 0);
  assert.ok(VOCAB_SIZE <= 576);
  assert.equal(new Set(REQUIRED_PIECES).size, REQUIRED_PIECES.length);
});

Deno.test("PATTERN cuts prose, JSON and code into words, numbers, marks and line breaks", () => {
  const cut = (text: string) => text.match(new RegExp(PATTERN, "gu"));
  assert.deepEqual(cut("The fox, part1 at2"), ["The", " fox", ",", " part", "1", " at", "2"]);
  assert.deepEqual(cut('{"a": [12, 2024]}'), ['{"', "a", '":', " [", "12", ",", " 20", "24", "]}"]);
  assert.deepEqual(cut("def f(x):\n    return x\n\n"), [
    ...["def", " f", "(", "x", "):", "\n", "   ", " return", " x", "\n", "\n"],
  ]);
  assert.deepEqual(cut("/setblock 123 4"), ["/", "setblock", " 12", "3", " 4"]);
  assert.deepEqual(cut("###### ....."), ["######", " ....."]);
});

Deno.test("PATTERN takes time linear in texts made to defeat it", () => {
  const regex = new RegExp(PATTERN, "gu");
  for (const unit of [" 0 a", " 0 " + "a".repeat(1000), " ", "\t", "#", ".", " r-", "/setblock "]) {
    const text = unit.repeat(Math.ceil(1_000_000 / unit.length));
    let length = 0;
    for (const match of text.matchAll(regex)) length += match[0].length;
    assert.equal(length, text.length);
  }
});

Deno.test("CHAT_TEMPLATE joins messages as plain text from BOS to the answer's line", async () => {
  const folder = write(documents(4, 50).concat(PROSE));
  const tokenizer = await loadTokenizer(folder);
  const prompt = "t1 a1 0=#...# 1=#...#";
  const ids = tokenizer.encode(`${prompt}\n`, { addSpecialTokens: true });
  assert.equal(ids[0], tokenizer.bosId);
  assert.deepEqual(tokenizer.applyChat([{ role: "user", content: prompt }]), ids);
  assert.deepEqual(tokenizer.applyChat([{ role: "user", content: `${prompt}\n` }]), ids);

  const { AutoTokenizer } = await loadTransformers();
  const library = await AutoTokenizer.from_pretrained(folder, { local_files_only: true });
  const messages = ["system", "user", "assistant"].map((role) => ({ role, content: `<${role}>` }));
  const render = (add_generation_prompt: boolean) =>
    library.apply_chat_template(messages, { add_generation_prompt, tokenize: false });
  assert.equal(render(true), `${BOS}<system>\n<user>\n<assistant>\n`);
  assert.equal(render(false), `${BOS}<system>\n<user>\n<assistant>`);
});

Deno.test("buildTokenizer numbers PAD, BOS and EOS from 0, and they decode to nothing", async () => {
  const tokenizer = await loadTokenizer(write(documents(5, 50).concat(PROSE)));
  assert.deepEqual([tokenizer.padId, tokenizer.bosId, tokenizer.eosIds], [0, 1, [2]]);
  assert.deepEqual(tokenizer.encode(`${BOS}${EOS}${PAD}`), [1, 2, 0]);
  const ids = tokenizer.encode("/setblock 3 4 0 stone\n");
  assert.equal(tokenizer.decode([1, ...ids, 2, 0]), "/setblock 3 4 0 stone\n");
});
