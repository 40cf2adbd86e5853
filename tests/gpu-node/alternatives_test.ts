/**
 * The most likely tokens in the place of each scored one: against the whole distribution, which
 * scoring every token of the vocabulary tells; of models that learn, adapters and frozen ones; as
 * OpenAI's clients get them, through OpenAI's own.
 */
import assert from "node:assert/strict";
import { loadOpenAi } from "../../deps.ts";
import { openHttpNode } from "../../gpu-node/client/http.ts";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { loadPolicy } from "../../gpu-node/load.ts";
import { loadTokenizer } from "../../gpu-node/model/tokenizer.ts";
import { ProgramLibrary } from "../../gpu-node/program/library.ts";
import { readAlternatives, readLogprobs } from "../../gpu-node/run_forward.ts";
import { listAlternatives } from "../../gpu-node/server/alternatives.ts";
import type { ServedPolicies } from "../../gpu-node/server/policies.ts";
import type { Alternatives, LoadRequest, PolicyInfo } from "../../gpu-node/verbs.ts";
import { listen } from "../../shared/wire/listen.ts";
import { sequences, type Served, TINY, withServer } from "./served.ts";

const MODEL = "models/collm-tiny";
const near = (actual: number, expected: number, within = 1e-4) =>
  assert.ok(Math.abs(actual - expected) < within, `${actual} is not ${expected}`);

/** Log-probabilities of all tokens at every position after `prompt`, at a temperature. */
async function distributions(
  node: Kernel,
  policy: string,
  tokens: number[],
  prompt: number,
  temperature: number,
): Promise<number[][]> {
  const [{ vocab_size }] = await node.list() as [PolicyInfo];
  const rows: number[][] = [];
  for (let at = prompt; at < tokens.length; at++) {
    const { logprobs } = await node.score(
      policy,
      Array.from({ length: vocab_size }, (_, id) => ({
        tokens: [...tokens.slice(0, at), id],
        prompt_length: at,
      })),
    );
    const scaled = logprobs.map(([x]) => x! / temperature);
    const mass = Math.log(scaled.reduce((sum, x) => sum + Math.exp(x), 0));
    rows.push(scaled.map((x) => x - mass));
  }
  return rows;
}

/** What is listed is the head of the distribution, in order. */
function checkListed(listed: Alternatives[], expected: number[][], given: number[], count: number) {
  assert.equal(listed.length, expected.length);
  listed.forEach(({ tokens, logprobs, given: own }, k) => {
    const all = expected[k]!;
    assert.equal(tokens.length, Math.min(count, all.length));
    const sorted = all.toSorted((a, b) => b - a);
    tokens.forEach((token, i) => {
      near(logprobs[i]!, all[token]!);
      near(logprobs[i]!, sorted[i]!);
    });
    assert.deepEqual(logprobs, logprobs.toSorted((a, b) => b - a));
    near(own, all[given[k]!]!);
  });
}

const KINDS: [string, Partial<LoadRequest>][] = [
  ["a model that learns", { source: TINY }],
  ["an adapter", { source: TINY, lora: { rank: 2, alpha: 4 } }],
  ["a frozen model", { source: MODEL, frozen: true }],
];

for (const [what, request] of KINDS) {
  Deno.test(`score lists the alternatives of ${what} at any temperature`, async () => {
    const node = new Kernel(await cpuDevice());
    await node.load({ policy: "p", source: TINY, ...request });
    const tokens = [5, 9, 2, 7, 11];
    const plain = await node.score("p", [{ tokens, prompt_length: 3 }]);
    assert.ok(!("alternatives" in plain));
    for (const [count, temperature] of [[1, 1], [4, 0.5], [20, 2], [5, 0]] as const) {
      const alternatives = { count, temperature };
      const scored = await node.score("p", [{ tokens, prompt_length: 3 }], { alternatives });
      scored.logprobs[0]!.forEach((x, k) => near(x, plain.logprobs[0]![k]!, 1e-5));
      const expected = await distributions(node, "p", tokens, 3, temperature || 1);
      checkListed(scored.alternatives![0]!, expected, tokens.slice(3), count);
    }
  });
}

Deno.test("readAlternatives gives the same in pieces, as a large vocabulary needs them", async () => {
  const library = new ProgramLibrary(await cpuDevice());
  const policy = await loadPolicy(library.device, { policy: "p", source: TINY }, new Map());
  const asked = { count: 3, temperature: 0.8 };
  const whole = await readAlternatives(library, policy, sequences, asked);
  assert.deepEqual(whole.logprobs, await readLogprobs(library, policy, sequences));
  const { vocabSize } = policy.spec.config;
  const pieces = await readAlternatives(library, policy, sequences, asked, 3 * vocabSize);
  sequences.forEach((s, i) => {
    assert.equal(whole.alternatives[i]!.length, s.tokens.length - s.prompt_length);
    whole.alternatives[i]!.forEach((a, k) => {
      const b = pieces.alternatives[i]![k]!;
      assert.deepEqual(b.tokens, a.tokens);
      [...b.logprobs, b.given].forEach((x, j) => near(x, [...a.logprobs, a.given][j]!));
      near(pieces.logprobs[i]![k]!, whole.logprobs[i]![k]!);
    });
  });
});

Deno.test("score refuses alternatives that are no number of tokens, or far too many", async () => {
  const node = new Kernel(await cpuDevice());
  await node.load({ policy: "p", source: TINY });
  const refuse = (alternatives: { count: number; temperature: number }, message: RegExp, n = 1) =>
    assert.rejects(
      node.score("p", Array(n).fill({ tokens: Array(50).fill(1), prompt_length: 1 }), {
        alternatives,
      }),
      { code: "invalid_request", message },
    );
  await refuse(
    { count: 0, temperature: 1 },
    /'p': count is 0, expected a whole number from 1 to 20$/,
  );
  await refuse({ count: 21, temperature: 1 }, /count is 21/);
  await refuse({ count: 1, temperature: -1 }, /temperature is -1/);
  await refuse({ count: 20, temperature: 1 }, /20 at 98000 tokens exceed 1048576$/, 2000);
});

Deno.test("POST /v1/score lists alternatives; openHttpNode asks for them", () =>
  withServer(async ({ app, call }) => {
    const alternatives = { count: 2 };
    const { body } = await call("POST", "/v1/score", { policy: "tiny", sequences, alternatives });
    assert.equal(body.alternatives.length, sequences.length);
    assert.equal(body.alternatives[0][0].tokens.length, 2);
    const server = listen({ host: "127.0.0.1", port: 0, token: undefined }, app.fetch);
    const there = await openHttpNode(server.url).score("tiny", sequences, {
      alternatives: { count: 2, temperature: 1 },
    });
    assert.deepEqual(there, body);
    await server.drain();
    const wrong = { policy: "tiny", sequences, alternatives: { count: 21 } };
    assert.equal((await call("POST", "/v1/score", wrong)).status, 400);
  }));

/** OpenAI's client on a server of the embedded model, once learning and once frozen. */
async function withOpenAi(
  test: (
    client: InstanceType<Awaited<ReturnType<typeof loadOpenAi>>["default"]>,
    served: Served,
  ) => Promise<void>,
): Promise<void> {
  const { default: OpenAI } = await loadOpenAi();
  const token = "secret";
  await withServer(async (served) => {
    await served.call("POST", "/v1/policies", { policy: "ice", source: "tiny", frozen: true });
    const server = listen({ host: "127.0.0.1", port: 0, token }, served.app.fetch);
    await test(new OpenAI({ baseURL: `${server.url}/v1`, apiKey: token, maxRetries: 0 }), served);
    await server.drain();
  }, { models: { tiny: MODEL }, token });
}

const tokenizer = await loadTokenizer(MODEL);
const said = (id: number) => tokenizer.decode([id], { continuation: true });
const messages = [{ role: "user" as const, content: "ICML" }];

for (const model of ["tiny", "ice"]) {
  Deno.test(`openai lists alternatives to each token of '${model}', the drawn one's own among them`, () =>
    withOpenAi(async (client) => {
      const settings = [{ temperature: 0 }, { temperature: 0.7 }, { temperature: 1, top_p: 0.6 }];
      for (const [i, setting] of settings.entries()) {
        const answer = await client.completions.create({
          ...{ model, prompt: "INT", max_tokens: 24, seed: i, n: 2, logprobs: 5 },
          ...setting,
        });
        for (const choice of answer.choices) {
          const { tokens, token_logprobs, top_logprobs } = choice.logprobs!;
          assert.equal(top_logprobs!.length, tokens!.length);
          const ids = (choice as unknown as { token_ids: number[] }).token_ids;
          top_logprobs!.forEach((top, k) => {
            assert.equal(tokens![k], said(ids[k]!));
            assert.equal(top[tokens![k]!], token_logprobs![k]);
            const values = Object.values(top);
            assert.ok(values.length >= 1 && values.length <= 6);
            const mass = values.reduce((sum, x) => sum + Math.exp(x), 0);
            assert.ok(mass < 1 + 1e-4, `${mass}`);
            // A nucleus that ends within the list is all that could be drawn.
            if (setting.top_p && values.length < 5) near(mass, 1, 1e-3);
            if (setting.temperature === 0) assert.equal(Math.max(...values), token_logprobs![k]);
          });
        }
      }
      const chat = await client.chat.completions.create({
        ...{ model, messages, max_completion_tokens: 12, seed: 3 },
        ...{ logprobs: true, top_logprobs: 20, temperature: 0.8 },
      });
      for (const { token, logprob, top_logprobs } of chat.choices[0]!.logprobs!.content!) {
        assert.equal(top_logprobs.length, 20);
        const values = top_logprobs.map((top) => top.logprob);
        assert.deepEqual(values, values.toSorted((a, b) => b - a));
        const own = top_logprobs.filter((top) => top.token === token);
        assert.ok(own.some((top) => top.logprob === logprob) || logprob <= values.at(-1)!);
        assert.deepEqual(top_logprobs[0]!.bytes, [
          ...new TextEncoder().encode(top_logprobs[0]!.token),
        ]);
      }
    }));
}

Deno.test("openai is refused alternatives by name: without logprobs, too many", () =>
  withOpenAi(async (client) => {
    const ask = { model: "tiny", prompt: "INT", max_tokens: 4 };
    const complete = (more: object) => client.completions.create({ ...ask, ...more });
    const chat = (more: object) =>
      client.chat.completions.create({ model: "tiny", messages, ...more });
    await assert.rejects(complete({ logprobs: 6 }), /'logprobs' is 6/);
    await assert.rejects(chat({ logprobs: true, top_logprobs: 21 }), /'top_logprobs' is 21/);
    await assert.rejects(chat({ top_logprobs: 2 }), /'top_logprobs'.*none without logprobs/);
    const many = { n: 4096, max_tokens: 500, logprobs: 5 };
    await assert.rejects(complete(many), /5 at 2048000 tokens exceed 1048576/);
    const stream = true as const;
    await assert.rejects(complete({ ...many, stream }), /5 at 2048000 tokens exceed 1048576/);
  }));

Deno.test("openai streams the alternatives that it lists in one piece", () =>
  withOpenAi(async (client) => {
    const ask = { model: "tiny", prompt: "INT", max_tokens: 24, seed: 5, n: 2, logprobs: 3 };
    // Cut in the middle by a stop text, so that pieces wait and tokens after it go.
    const { text } = (await client.completions.create(ask)).choices[0]!;
    assert.ok(text.length >= 4, text);
    for (const stop of [[], [text.slice(2, 4)]]) {
      const whole = await client.completions.create({ ...ask, stop });
      const parts = whole.choices.map(() => ({
        ...{ text: "", finish_reason: null as string | null },
        ...{ tokens: [] as string[], token_logprobs: [] as number[], top_logprobs: [] as object[] },
        text_offset: [] as number[],
      }));
      const stream = await client.completions.create({ ...ask, stop, stream: true });
      for await (const { choices } of stream) {
        for (const { index, text, finish_reason, logprobs } of choices) {
          const part = parts[index]!;
          part.text += text;
          part.finish_reason = finish_reason;
          part.tokens.push(...logprobs?.tokens ?? []);
          part.token_logprobs.push(...logprobs?.token_logprobs ?? []);
          part.top_logprobs.push(...logprobs?.top_logprobs ?? []);
          part.text_offset.push(...logprobs?.text_offset ?? []);
        }
      }
      assert.deepEqual(
        parts,
        whole.choices.map(({ text, finish_reason, logprobs }) => (
          { text, finish_reason, ...logprobs }
        )),
      );
    }
    const talk = { model: "tiny", messages, max_completion_tokens: 12, seed: 3 };
    const listing = { logprobs: true, top_logprobs: 20 };
    const whole = await client.chat.completions.create({ ...talk, ...listing });
    const final = await client.chat.completions.stream({ ...talk, ...listing })
      .finalChatCompletion();
    assert.deepEqual(
      final.choices[0]!.logprobs!.content,
      whole.choices[0]!.logprobs!.content,
    );
    assert.equal(final.choices[0]!.message.content, whole.choices[0]!.message.content);
  }));

Deno.test("listAlternatives refuses a list of another version than the one that drew", async () => {
  const node = {
    score: () => Promise.resolve({ logprobs: [], alternatives: [], policy_version: "2-b" }),
  };
  const request = { policy: "p", prompts: [[1]], n: 1, max_tokens: 4, temperature: 1 };
  await assert.rejects(
    listAlternatives(
      { node } as unknown as ServedPolicies,
      request,
      [[1]],
      { completions: [], policy_version: "1-a" },
      3,
      new AbortController().signal,
    ),
    {
      code: "conflict",
      message: "Cannot list alternatives of policy 'p': it was updated while its completions " +
        "were drawn",
    },
  );
});
