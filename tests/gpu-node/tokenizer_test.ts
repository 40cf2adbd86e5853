/** Tokenizers from local folders: golden ids and texts, exact decoding, chat templates, errors. */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { loadTokenizer } from "../../gpu-node/model/tokenizer.ts";
import { CollmError } from "../../shared/errors.ts";
import { dataTest } from "../support/data.ts";

const MODEL = "models/tinystories-260k";
const folder = () => mkdtempSync(join(tmpdir(), "collm-tokenizer-"));

interface Golden {
  greedy_from_bos: { ids: number[]; text: string };
  cases: { prompt: string; ids: number[]; greedy_ids: number[]; greedy_text: string }[];
}

/** A copy of `path` whose tokenizer_config.json has `change` in it. */
function changed(path: string, change: Record<string, unknown>): string {
  const copy = folder();
  for (const name of ["tokenizer.json", "generation_config.json"]) {
    cpSync(join(path, name), join(copy, name));
  }
  const config = JSON.parse(readFileSync(join(path, "tokenizer_config.json"), "utf8"));
  writeFileSync(join(copy, "tokenizer_config.json"), JSON.stringify({ ...config, ...change }));
  return copy;
}

dataTest(
  "loadTokenizer gives the golden ids and texts of a real checkpoint",
  MODEL,
  async (path) => {
    const golden: Golden = JSON.parse(readFileSync(`${path}.golden.json`, "utf8"));
    const tokenizer = await loadTokenizer(path);
    for (const { prompt, ids, greedy_ids, greedy_text } of golden.cases) {
      assert.deepEqual(tokenizer.encode(prompt, { addSpecialTokens: true }), ids);
      assert.deepEqual(tokenizer.encode(prompt), ids.slice(1));
      assert.equal(tokenizer.decode(ids), prompt);
      assert.equal(tokenizer.decode(greedy_ids, { continuation: true }), greedy_text);
      assert.equal(tokenizer.decode(greedy_ids), greedy_text.replace(/^ /, ""));
    }
    const { ids, text } = golden.greedy_from_bos;
    assert.equal(tokenizer.decode(ids, { continuation: true }), text);
    assert.deepEqual([tokenizer.bosId, tokenizer.eosIds, tokenizer.vocabSize], [1, [2], 512]);
  },
);

dataTest(
  "loadTokenizer takes a path relative to the working directory",
  MODEL,
  async (path) => {
    const tokenizer = await loadTokenizer(relative(Deno.cwd(), path));
    assert.equal(tokenizer.bosId, 1);
  },
);

dataTest(
  "decode keeps spaces before punctuation whatever the configuration says",
  MODEL,
  async (path) => {
    const tokenizer = await loadTokenizer(changed(path, { clean_up_tokenization_spaces: true }));
    const text = "a . b ! c 's n't";
    assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
  },
);

dataTest(
  "decode joins the bytes of a character over tokens, and marks a cut one",
  MODEL,
  async (path) => {
    const tokenizer = await loadTokenizer(path);
    const text = "é 語 🙂";
    const ids = tokenizer.encode(text);
    assert.equal(tokenizer.decode(ids), text);
    assert.equal(tokenizer.decode(ids.slice(0, -1)), "é 語 \ufffd");
    assert.equal(tokenizer.decode([]), "");
    assert.equal(tokenizer.decode([], { continuation: true }), "");
  },
);

dataTest("decode leaves out special tokens and ids beyond the vocabulary", MODEL, async (path) => {
  const tokenizer = await loadTokenizer(path);
  const ids = tokenizer.encode("The dog");
  assert.equal(tokenizer.decode([1, ...ids, 2, 5000, 2]), "The dog");
  assert.throws(() => tokenizer.decode([3, -1]), /Cannot decode tokens: -1 is no token id/);
  assert.throws(() => tokenizer.decode([1.5]), /1\.5 is no token id/);
});

dataTest("applyChat renders the template with its generation prompt", MODEL, async (path) => {
  const chat_template = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n" +
    "{% endfor %}{% if add_generation_prompt %}bot:{% endif %}";
  const tokenizer = await loadTokenizer(changed(path, { chat_template }));
  const ids = tokenizer.applyChat([{ role: "user", content: "Hello" }]);
  assert.deepEqual(ids, [1, ...tokenizer.encode("user: Hello\nbot:")]);
});

dataTest(
  "applyChat reads chat_template.jinja, and says so when there is no template",
  MODEL,
  async (path) => {
    const copy = changed(path, {});
    const plain = await loadTokenizer(copy);
    assert.throws(
      () => plain.applyChat([{ role: "user", content: "x" }]),
      (error) => error instanceof CollmError && /it has no chat template$/.test(error.message),
    );
    writeFileSync(join(copy, "chat_template.jinja"), "{{ messages[0].content }} and");
    const tokenizer = await loadTokenizer(copy);
    const ids = tokenizer.applyChat([{ role: "user", content: "Tom" }]);
    assert.deepEqual(ids, tokenizer.encode("Tom and"));
  },
);

dataTest("eosIds holds the ids of tokenizer and generation_config.json", MODEL, async (path) => {
  const copy = changed(path, {});
  writeFileSync(join(copy, "generation_config.json"), JSON.stringify({ eos_token_id: [13, 2] }));
  assert.deepEqual((await loadTokenizer(copy)).eosIds, [2, 13]);
});

Deno.test("loadTokenizer names the file that is missing or malformed", async () => {
  const path = folder();
  const refused = (expected: RegExp) =>
    assert.rejects(
      loadTokenizer(path),
      (error) => error instanceof CollmError && expected.test(error.message),
    );
  await refused(/tokenizer\.json': no such file/);
  writeFileSync(join(path, "tokenizer.json"), "{}");
  await refused(/tokenizer_config\.json': no such file/);
  writeFileSync(join(path, "tokenizer_config.json"), "{");
  await refused(/tokenizer_config\.json': it is not valid JSON/);
  writeFileSync(join(path, "tokenizer_config.json"), "{}");
  await refused(/^Cannot load tokenizer '.*': Tokenizer must contain a "model" property/);
});

Deno.test("loadTokenizer takes a vocabulary of 200,000 tokens", async () => {
  const copy = changed("models/collm-tiny", {});
  const file = join(copy, "tokenizer.json");
  const json = JSON.parse(readFileSync(file, "utf8"));
  const { vocab } = json.model as { vocab: Record<string, number> };
  for (let id = Object.keys(vocab).length; id < 200_000; id++) vocab[`token${id}`] = id;
  writeFileSync(file, JSON.stringify(json));
  const { vocabSize, encode } = await loadTokenizer(copy);
  assert.equal(vocabSize, 200_000);
  assert.deepEqual(encode("ICML"), (await loadTokenizer("models/collm-tiny")).encode("ICML"));
});

for (const model of ["models/collm-tiny", MODEL]) {
  const test = (path: string) => async () => {
    const { bytesOf, encode } = await loadTokenizer(path);
    for (const text of ["é→ab", " 😀\n", "日本語 x"]) {
      const bytes = encode(text).flatMap((id) => [...bytesOf(id)]);
      const back = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes));
      assert.equal(back.trimStart(), text.trimStart());
    }
  };
  const title = `bytesOf gives bytes that make up the text again (${model})`;
  if (model === MODEL) dataTest(title, model, (path) => test(path)());
  else Deno.test(title, test(model));
}
