/**
 * Texts through the GPU server: prompts, stop texts, and the OpenAI-compatible routes, on a small
 * real model with a tokenizer, against its golden file.
 */
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer } from "../../gpu-node/model/tokenizer.ts";
import { dataTest } from "../support/data.ts";
import { type Served, TINY, withServer } from "./served.ts";

interface Case {
  prompt: string;
  ids: number[];
  greedy_ids: number[];
  greedy_text: string;
}

interface Choice {
  index: number;
  text: string;
  finish_reason: string;
  token_ids: number[];
  seed: number;
  logprobs: { tokens: string[]; token_logprobs: number[]; text_offset: number[] } | null;
}

/** A test on the server of tinystories-260k, with its golden cases. */
function storiesTest(name: string, body: (served: Served, cases: Case[]) => Promise<void>): void {
  dataTest(name, "models/tinystories-260k", (folder) => {
    const { cases } = JSON.parse(Deno.readTextFileSync(`${folder}.golden.json`));
    return withServer((served) => body(served, cases), {
      models: { stories: folder, tiny: TINY },
    });
  });
}

storiesTest("POST /v1/sample continues texts with the golden tokens", async ({ call }, cases) => {
  assert.ok(cases.length > 0);
  const max_tokens = Math.min(...cases.map((c) => c.greedy_ids.length));
  const { body } = await call("POST", "/v1/sample", {
    policy: "stories",
    prompts: cases.map((c) => c.prompt),
    max_tokens,
    temperature: 0,
  });
  cases.forEach((c, i) => {
    assert.deepEqual(body.completions[i].tokens, c.greedy_ids.slice(0, max_tokens));
    if (max_tokens === c.greedy_ids.length) {
      assert.equal(body.completions[i].text.trimStart(), c.greedy_text.trimStart());
    }
  });
});

storiesTest("POST /v1/sample ends text and tokens at a stop text", async ({ call }, [first]) => {
  const request = {
    policy: "stories",
    prompts: [first!.ids],
    max_tokens: 24,
    temperature: 0,
  };
  const whole = (await call("POST", "/v1/sample", request)).body.completions[0];
  // A stop in the middle of a token ends the text there and the tokens after that token.
  const stop = whole.text.slice(9, 12);
  const { body } = await call("POST", "/v1/sample", { ...request, stop: ["\u0000never", stop] });
  const [cut] = body.completions;
  assert.equal(cut.text, whole.text.slice(0, whole.text.indexOf(stop)));
  assert.equal(cut.finish_reason, "stop");
  assert.deepEqual(cut.tokens, whole.tokens.slice(0, cut.tokens.length));
  assert.deepEqual(cut.logprobs, whole.logprobs.slice(0, cut.tokens.length));
  const again = await call("POST", "/v1/sample", {
    ...request,
    max_tokens: cut.tokens.length - 1,
  });
  assert.ok(!again.body.completions[0].text.includes(stop), "one token less holds no stop");
});

storiesTest("POST /v1/completions answers as OpenAI's interface", async ({ call }, cases) => {
  const [c] = cases as [Case];
  const { status, body } = await call("POST", "/v1/completions", {
    model: "stories",
    prompt: c.prompt,
    max_tokens: 8,
    temperature: 0,
    logprobs: 0,
    user: "someone",
  });
  assert.equal(status, 200);
  assert.equal(body.object, "text_completion");
  assert.deepEqual(body.usage, {
    prompt_tokens: c.ids.length,
    completion_tokens: 8,
    total_tokens: c.ids.length + 8,
  });
  const [choice] = body.choices as [Choice];
  assert.deepEqual(choice.token_ids, c.greedy_ids.slice(0, 8));
  assert.equal(choice.logprobs!.tokens.join(""), choice.text);
  assert.equal(choice.logprobs!.token_logprobs.length, 8);
  choice.logprobs!.text_offset.forEach((at, k) =>
    assert.ok(choice.text.startsWith(choice.logprobs!.tokens[k]!, at))
  );
  const scored = await call("POST", "/v1/score", {
    policy: "stories",
    sequences: [{ tokens: [...c.ids, ...choice.token_ids], prompt_length: c.ids.length }],
  });
  assert.equal(body.policy_version, scored.body.policy_version);
});

storiesTest("POST /v1/completions takes several prompts of any form", async ({ call }, cases) => {
  const [a, b] = cases as [Case, Case];
  const ask = async (prompt: unknown, n = 1) =>
    (await call("POST", "/v1/completions", {
      model: "stories",
      prompt,
      n,
      max_tokens: 4,
      temperature: 0,
    })).body.choices as Choice[];
  const [first] = await ask(a.prompt);
  assert.deepEqual((await ask(a.ids))[0]!.text, first!.text);
  const several = await ask([a.prompt, b.ids], 2);
  assert.deepEqual(several.map((choice) => choice.index), [0, 1, 2, 3]);
  assert.deepEqual(several[0]!.text, first!.text);
  assert.deepEqual(several[2]!.token_ids, b.greedy_ids.slice(0, 4));
});

storiesTest("GET /v1/models lists the policies", async ({ call }) => {
  const { body } = await call("GET", "/v1/models");
  assert.equal(body.object, "list");
  assert.deepEqual(body.data.map((m: { id: string }) => m.id), ["stories", "tiny"]);
  assert.equal((await call("GET", "/v1/models/tiny")).body.object, "model");
  const missing = await call("GET", "/v1/models/storys");
  assert.equal(missing.status, 404);
  assert.equal(missing.body.error.message, "Cannot find policy 'storys': did you mean 'stories'?");
});

dataTest(
  "POST /v1/chat/completions applies the chat template",
  "models/tinystories-260k",
  async (folder) => {
    const copy = await Deno.makeTempDir();
    try {
      cpSync(folder, copy, { recursive: true });
      const path = join(copy, "tokenizer_config.json");
      const config = JSON.parse(await Deno.readTextFile(path));
      config.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}";
      await Deno.writeTextFile(path, JSON.stringify(config));
      await withServer(async ({ call }) => {
        const options = { model: "chatty", temperature: 0, max_tokens: 6, logprobs: true };
        const { status, body } = await call("POST", "/v1/chat/completions", {
          ...options,
          messages: [
            { role: "system", content: "Once upon " },
            { role: "user", content: [{ type: "text", text: "a time" }] },
          ],
        });
        assert.equal(status, 200);
        assert.equal(body.object, "chat.completion");
        const [choice] = body.choices;
        assert.equal(choice.message.role, "assistant");
        assert.ok(choice.message.content.length > 0);
        const { content } = choice.logprobs as { content: { token: string; logprob: number }[] };
        assert.equal(content.map((t) => t.token).join(""), choice.message.content);
        assert.ok(content.every((t) => t.logprob <= 0));
        const tokenizer = await loadTokenizer(copy);
        const prompt = tokenizer.applyChat([{ role: "user", content: "Once upon a time" }]);
        assert.equal(body.usage.prompt_tokens, prompt.length);
        const plain = await call("POST", "/v1/completions", { ...options, prompt, logprobs: 0 });
        assert.deepEqual(choice.token_ids, plain.body.choices[0].token_ids);
      }, { models: { chatty: copy } });
    } finally {
      await Deno.remove(copy, { recursive: true });
    }
  },
);

const prompt = { model: "stories", prompt: "Once" };
const messages = [{ role: "user", content: "Hello" }];
const REFUSED: [string, string, unknown, number, RegExp][] = [
  [
    "usage of no stream",
    "completions",
    { ...prompt, stream_options: { include_usage: true } },
    400,
    /'stream_options' is an object, expected none without stream/,
  ],
  [
    "alternatives",
    "completions",
    { ...prompt, logprobs: 6 },
    400,
    /'logprobs' is 6, expected at most 5/,
  ],
  ["top_p", "completions", { ...prompt, top_p: 2 }, 400, /'top_p' is 2, expected at most 1/],
  [
    "best_of",
    "completions",
    { ...prompt, best_of: 2 },
    400,
    /'best_of' is 2, expected the same as n/,
  ],
  ["an unknown model", "completions", { ...prompt, model: "gpt" }, 404, /Cannot find policy 'gpt'/],
  ["no tokenizer", "completions", { ...prompt, model: "tiny" }, 400, /has no tokenizer/],
  ["no chat template", "chat/completions", { model: "stories", messages }, 400, /no chat template/],
  [
    "tools",
    "chat/completions",
    { model: "stories", messages, tools: [{ type: "function" }] },
    400,
    /'tools' is a list of 1, expected at most 0 entries/,
  ],
  [
    "a picture",
    "chat/completions",
    {
      model: "stories",
      messages: [{ role: "user", content: [{ type: "image_url" }] }],
    },
    400,
    /content\[0\].type' is "image_url", expected "text"/,
  ],
];

storiesTest("POST refuses in OpenAI's form what would change the answer", async ({ call }) => {
  for (const [what, path, request, status, message] of REFUSED) {
    const { status: got, body } = await call("POST", `/v1/${path}`, request);
    assert.equal(got, status, `${what}: ${JSON.stringify(body)}`);
    assert.match(body.error.message, message, `${what}: ${body.detail}`);
    assert.equal(body.detail, body.error.message);
  }
});

Deno.test("POST takes what OpenAI's clients send and what is so anyway, and room for an answer", () =>
  withServer(async ({ call }) => {
    const said = {
      ...{ store: false, service_tier: "auto", user: "u", safety_identifier: "s" },
      ...{ prompt_cache_key: "k", seed: -(2 ** 40) },
    };
    const chat = {
      ...{ model: "tiny", messages: [{ role: "user", content: "x ".repeat(150) }] },
      ...{ response_format: { type: "text" }, modalities: ["text"], tools: [] },
      ...{ tool_choice: "none", parallel_tool_calls: true },
    };
    const ids = Array.from({ length: 500 }, () => 5);
    const requests = [
      ["/v1/chat/completions", { ...said, ...chat }],
      [
        "/v1/completions",
        { ...said, model: "tiny", prompt: ids, suffix: null, n: 2, best_of: 2 },
      ],
      ["/v1/sample", { policy: "tiny", prompts: [ids] }],
    ] as const;
    for (const [path, request] of requests) {
      const { status, body } = await call("POST", path, request);
      assert.equal(status, 200, JSON.stringify(body));
    }
    // 12 of the 512 positions are left; what is asked for by number is refused where it does not fit.
    const asked = { policy: "tiny", prompts: [ids], stop_tokens: [], seed: 1 };
    const { body } = await call("POST", "/v1/sample", asked);
    assert.equal(body.completions[0].tokens.length, 12);
    const refused = await call("POST", "/v1/sample", { ...asked, max_tokens: 13 });
    assert.match(refused.body.detail, /513 tokens exceed its 512 positions$/);
    const { policies } = (await call("GET", "/v1/policies")).body;
    assert.equal(policies[0].max_positions, 512);
  }, { models: { tiny: "models/collm-tiny" } }));
