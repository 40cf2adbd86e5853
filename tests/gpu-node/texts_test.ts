/** Chat templates of a server: run beside it, for a bounded time, each for its own policy. */
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer } from "../../gpu-node/model/tokenizer.ts";
import { tokenizerTrust } from "../../gpu-node/server/foreign_tokenizer.ts";
import { openTexts, SHORT } from "../../gpu-node/server/texts.ts";
import { uploadId } from "../../gpu-node/server/upload_id.ts";
import { CollmError } from "../../shared/errors.ts";
import { withServer } from "./served.ts";

const GOOD = "models/collm-tiny";
const tokenizer = await loadTokenizer(GOOD);
const messages = [{ role: "user", content: "ICML" }];
/** Some 10^12 turns. */
const ENDLESS =
  "{% for a in range(10000) %}{% for b in range(10000) %}{% for c in range(10000) %}" +
  "{% endfor %}{% endfor %}{% endfor %}";

async function withEndless(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    cpSync(GOOD, folder, { recursive: true });
    Deno.writeTextFileSync(join(folder, "chat_template.jinja"), ENDLESS);
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Number of processes that have the text among their arguments. */
const runningWith = (argument: string): number =>
  [...Deno.readDirSync("/proc")].filter(({ name }) => {
    if (!/^[0-9]+$/.test(name)) return false;
    try {
      return Deno.readTextFileSync(`/proc/${name}/cmdline`).split("\0").includes(argument);
    } catch {
      return false; // it ended just now
    }
  }).length;

const refused = (code: string, why: RegExp) => (error: unknown) =>
  error instanceof CollmError && error.code === code && why.test(error.message);

Deno.test("a chat template that does not end is refused, and holds up nobody else", () =>
  withEndless((bad) =>
    withServer(async ({ call }) => {
      const ended: string[] = [];
      const chat = async (model: string) => {
        const answer = await call("POST", "/v1/chat/completions", {
          model,
          messages,
          max_tokens: 4,
        });
        ended.push(model);
        return answer;
      };
      // Its thread and its programs are there before the two seconds begin.
      await chat("good");
      ended.pop();
      const [refused, answered] = await Promise.all([chat("bad"), chat("good")]);
      assert.equal(refused.status, 400);
      assert.equal(
        refused.body.detail,
        "Cannot apply the chat template of policy 'bad': it ran for more than 2000 ms",
      );
      assert.equal(answered.status, 200, JSON.stringify(answered.body));
      assert.deepEqual(ended, ["good", "bad"]);
    }, { models: { bad, good: GOOD } })
  ));

Deno.test("openTexts gives the tokens of applyChat, one conversation after another", async () => {
  const { applyChat } = tokenizer;
  const texts = openTexts("p", GOOD, tokenizer);
  const other = [...messages, { role: "assistant", content: "1" }, ...messages];
  assert.deepEqual(
    await Promise.all([texts.chat(messages), texts.chat(other)]),
    [applyChat(messages), applyChat(other)],
  );
  await assert.rejects(texts.chat([null] as unknown as typeof messages), CollmError);
  assert.deepEqual(await texts.chat(messages), applyChat(messages));
  texts.close();
  await assert.rejects(texts.chat(messages), refused("not_found", /it was unloaded$/));
});

Deno.test("openTexts starts again after a template that does not end, and refuses when closed", () =>
  withEndless(async (bad) => {
    const texts = openTexts("p", bad, tokenizer, { longest: 50 });
    for (const _ of "ab") {
      await assert.rejects(texts.chat(messages), refused("invalid_request", /more than 50 ms$/));
    }
    texts.close();
    const long = openTexts("p", bad, tokenizer, { longest: 1e6 });
    const waiting = [long.chat(messages), long.chat(messages)];
    const checks = waiting.map((w) => assert.rejects(w, refused("not_found", /unloaded$/)));
    await new Promise((resolve) => setTimeout(resolve));
    long.close();
    await Promise.all(checks);
    // A thread would go on for ever; processes are gone once they were killed.
    while (Deno.build.os === "linux" && runningWith(bad) > 0) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const gone = AbortSignal.abort(new CollmError("deadline", "Cannot wait"));
    await assert.rejects(
      openTexts("p", bad, tokenizer).chat(messages, { signal: gone }),
      /Cannot wait/,
    );
  }));

Deno.test("openTexts takes a long text beside the caller's work, other texts in between", async () => {
  const texts = openTexts("p", GOOD, tokenizer);
  const [long, short] = ["the ICML deadline. ".repeat(5e3), "x".repeat(SHORT)];
  const ends: string[] = [];
  let ticks = 0;
  const timer = setInterval(() => ticks++);
  const encodeLong = (all: string[]) => Promise.resolve(texts.encode(all));
  const both = encodeLong([long, short]).finally(() => ends.push("both"));
  const other = encodeLong([`${short}y`]).finally(() => ends.push("other"));
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: true });
  const encoded = await both;
  clearInterval(timer);
  assert.ok(ticks > 1, `${ticks} ticks`);
  assert.deepEqual([...encoded, ...await other], [long, short, `${short}y`].map(encode));
  assert.deepEqual(ends, ["other", "both"]);
  // Short ones are no work for a thread.
  assert.deepEqual(openTexts("p", "nowhere", tokenizer).encode([short]), [encode(short)]);

  const gone = new AbortController();
  const dropped = Promise.resolve(texts.encode([long, long], { signal: gone.signal }));
  gone.abort(new CollmError("deadline", "Cannot wait"));
  await assert.rejects(dropped, /Cannot wait/);
  texts.close();
  await assert.rejects(
    encodeLong([long]),
    refused("not_found", /^Cannot take a text as prompt of policy 'p': it was unloaded$/),
  );
});

/** Puts the embedded model among the uploads of `root` with another tokenizer file; its id. */
async function uploaded(
  root: string,
  change: (tokenizer: Record<string, unknown>) => void,
): Promise<string> {
  const folder = join(root, "..", crypto.randomUUID());
  const files = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
  for (const name of files) cpSync(join(GOOD, name), join(folder, name));
  const file = join(folder, "tokenizer.json");
  const json = JSON.parse(Deno.readTextFileSync(file));
  change(json);
  Deno.writeTextFileSync(file, JSON.stringify(json));
  const id = await uploadId(folder, files);
  Deno.mkdirSync(root, { recursive: true });
  Deno.renameSync(folder, join(root, id));
  return id;
}

Deno.test("an uploaded tokenizer that takes for ever on a short text holds up nobody else", () =>
  withServer(async ({ call, root }) => {
    const source = await uploaded(root, (json) => {
      const pattern = { Regex: "(?:x+x+)+y|." };
      json.pre_tokenizer = {
        type: "Sequence",
        pretokenizers: [
          { type: "Split", pattern, behavior: "Isolated", invert: false },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
        ],
      };
    });
    const loaded = await call("POST", "/v1/policies", { policy: "bad", source });
    assert.equal(loaded.status, 201, JSON.stringify(loaded.body));
    const ended: string[] = [];
    const ask = async (policy: string, prompt: string) => {
      const answer = await call("POST", "/v1/sample", { policy, prompts: [prompt], max_tokens: 2 });
      ended.push(policy);
      return answer;
    };
    const [slow, other] = await Promise.all([ask("bad", "x".repeat(40)), ask("good", "INT")]);
    assert.equal(
      slow.body.detail,
      "Cannot take a text as prompt of policy 'bad': it ran for more than 2004 ms",
    );
    assert.equal(other.status, 200);
    assert.deepEqual(ended, ["good", "bad"]);
    assert.equal((await ask("bad", "INT")).status, 200, "its other texts are served");
  }, { models: { good: GOOD } }));

Deno.test("an uploaded tokenizer's decoder is no regular expression; one that a model has may be", async () => {
  const change = (json: Record<string, unknown>) => {
    const pattern = { Regex: "(?:x+x+)+y" };
    json.decoder = {
      type: "Sequence",
      decoders: [json.decoder, { type: "Replace", pattern, content: "" }],
    };
  };
  await withServer(async ({ call, root }) => {
    const source = await uploaded(root, change);
    const { status, body } = await call("POST", "/v1/policies", { policy: "bad", source });
    assert.equal(status, 400);
    assert.equal(
      body.detail,
      `Cannot use the tokenizer of checkpoint '${source}': its decoder is a regular expression`,
    );
    const mine = join(root, "..", "mine");
    cpSync(join(root, source), mine, { recursive: true });
    await withServer(async (other) => {
      const id = await uploaded(other.root, change);
      const { status, body } = await other.call("POST", "/v1/policies", {
        policy: "b",
        source: id,
      });
      assert.equal(status, 201, JSON.stringify(body));
    }, { models: { mine } });
  }, { models: { good: GOOD } });
});

Deno.test("POST /v1/sample and completions take long texts: refused for their tokens, not for time", () =>
  withServer(async ({ call }) => {
    const prompt = "the ICML deadline. ".repeat(1e4);
    const tokens = tokenizer.encode(prompt, { addSpecialTokens: true }).length;
    const refusal = new RegExp(`${tokens + 4} tokens exceed its 512 positions`);
    const more = { max_tokens: 4 };
    const sampled = await call("POST", "/v1/sample", { policy: "p", prompts: [prompt], ...more });
    assert.equal(sampled.status, 400);
    assert.match(sampled.body.detail, refusal);
    const completed = await call("POST", "/v1/completions", { model: "p", prompt, ...more });
    assert.match(completed.body.error.message, refusal);
    const messages = [{ role: "user", content: prompt }];
    const chat = await call("POST", "/v1/chat/completions", { model: "p", messages, ...more });
    assert.match(chat.body.error.message, /tokens exceed its 512 positions/);
  }, { models: { p: GOOD } }));

Deno.test("texts and templates with characters that end lines elsewhere are texts like others", async () => {
  const lines = "a\u2028b\u2029c\u0085d\r\ne";
  const template = `{{ raise_exception('no${lines.slice(0, 4)}') }}`;
  const bad = await Deno.makeTempDir();
  cpSync(GOOD, bad, { recursive: true });
  Deno.writeTextFileSync(join(bad, "chat_template.jinja"), template);
  try {
    await withServer(async ({ call }) => {
      const chat = (model: string, content: string) =>
        call("POST", "/v1/chat/completions", {
          model,
          messages: [{ role: "user", content }],
          max_tokens: 2,
        });
      const refused = await chat("bad", "x");
      assert.deepEqual([refused.status, refused.body.detail], [
        400,
        "Cannot apply the chat template of policy 'bad': noa\u2028b\u2029",
      ]);
      assert.equal((await chat("good", lines)).status, 200);
      const long = lines.repeat(SHORT);
      const texts = openTexts("p", GOOD, tokenizer);
      const [ids] = await texts.encode([long]);
      assert.deepEqual(ids, tokenizer.encode(long, { addSpecialTokens: true }));
      texts.close();
    }, { models: { bad, good: GOOD } });
  } finally {
    await Deno.remove(bad, { recursive: true });
  }
});

Deno.test("an uploaded tokenizer that takes for ever to load is refused, and holds up nobody else", () =>
  withServer(async ({ root }) => {
    const source = await uploaded(root, (json) => {
      // Loading normalizes added tokens.
      json.normalizer = {
        type: "Replace",
        pattern: { Regex: "(?:x+x+)+y" },
        content: "",
      };
      (json.added_tokens as unknown[]).push({
        ...{ id: 5000, content: "x".repeat(44), normalized: true, special: false },
        ...{ single_word: false, lstrip: false, rstrip: false },
      });
    });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 10);
    await assert.rejects(
      tokenizerTrust(5000).admit(join(root, source), source),
      refused(
        "invalid_request",
        /^Cannot use .* 'upload\.\w+': loading it takes more than 5000 ms$/,
      ),
    );
    clearInterval(timer);
    assert.ok(ticks > 50, `${ticks} ticks`);
  }, { models: { good: GOOD } }));

Deno.test("openTexts answers what was asked before it retires", async () => {
  const texts = openTexts("p", GOOD, tokenizer);
  const asked = [texts.chat(messages), texts.chat(messages)];
  texts.retire();
  const ids = tokenizer.applyChat(messages);
  assert.deepEqual(await Promise.all(asked), [ids, ids]);
  await assert.rejects(texts.chat(messages), refused("not_found", /it was unloaded$/));
});
