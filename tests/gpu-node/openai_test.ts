/**
 * The OpenAI-compatible routes through OpenAI's own client on a real socket, over the embedded
 * model: completions, chat, streams, log-probabilities, models, errors, a reader that goes away.
 */
import assert from "node:assert/strict";
import { loadOpenAi } from "../../deps.ts";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { openScheduler } from "../../gpu-node/scheduler.ts";
import type { GpuNode, SampleRequest } from "../../gpu-node/verbs.ts";
import { MESSAGE_LIMIT } from "../../shared/wire/gpu_socket.ts";
import { listenNode } from "../../shared/wire/listen_node.ts";
import { type GatedNode, gatedNode } from "./gated_node.ts";
import { withServer } from "./served.ts";

type OpenAi = InstanceType<Awaited<ReturnType<typeof loadOpenAi>>["default"]>;

/** Fields beyond OpenAI's. */
interface Extras {
  token_ids: number[];
  seed: number;
}

/** The kernel's tokens, three at a time. */
async function dripping(): Promise<GpuNode> {
  const kernel = new Kernel(await cpuDevice());
  return Object.assign(Object.create(kernel), {
    load: kernel.load.bind(kernel),
    async sample(request: SampleRequest, options: Parameters<GpuNode["sample"]>[1] = {}) {
      const result = await kernel.sample(request);
      for (let at = 0; at < request.max_tokens; at += 3) {
        result.completions.forEach(({ tokens, logprobs }, row) => {
          const part = tokens.slice(at, at + 3);
          if (part.length) options.onTokens?.(row, part, logprobs.slice(at, at + 3));
        });
        await new Promise((resolve) => setTimeout(resolve));
        options.signal?.throwIfAborted();
      }
      return result;
    },
  });
}

async function withOpenAi(
  test: (client: OpenAi) => Promise<void>,
  node?: GpuNode,
): Promise<void> {
  const { default: OpenAI } = await loadOpenAi();
  const token = "secret";
  await withServer(async (served) => {
    const { drain } = served.app;
    const server = await listenNode(
      { host: "127.0.0.1", port: 0, token, drain, mostMessage: 2 * MESSAGE_LIMIT },
      served.app.fetch,
    );
    await test(new OpenAI({ baseURL: `${server.url}/v1`, apiKey: token, maxRetries: 0 }));
    await server.drain();
  }, { node: node ?? await dripping(), models: { tiny: "models/collm-tiny" }, token });
}

const ask = { model: "tiny", prompt: "INT", max_tokens: 30, seed: 7, temperature: 1 };
// A prompt that the policy was made for: it answers any other with a few tokens.
const messages = [{ role: "user" as const, content: "t1 a1 0=#...# 1=#####" }];

Deno.test("openai lists the models, and says of an unknown one that it is not there", () =>
  withOpenAi(async (client) => {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.deepEqual(ids, ["tiny"]);
    assert.equal((await client.models.retrieve("tiny")).owned_by, "collm");
    await assert.rejects(client.models.retrieve("tny"), { status: 404, code: "not_found" });
  }));

Deno.test("openai completes: n, seed, stop, logprobs, usage", () =>
  withOpenAi(async (client) => {
    const answer = await client.completions.create({ ...ask, n: 2, logprobs: 0 });
    assert.equal(answer.choices.length, 2);
    const [choice] = answer.choices as (typeof answer.choices[number] & Extras)[];
    const { tokens, token_logprobs, text_offset } = choice!.logprobs!;
    assert.equal(tokens!.length, choice!.token_ids.length);
    assert.ok(token_logprobs!.every((x) => x <= 0));
    assert.equal(text_offset!.at(-1), tokens!.slice(0, -1).join("").length);
    const counted = answer.choices as unknown as Extras[];
    const drawn = counted.reduce((sum, c) => sum + c.token_ids.length, 0);
    assert.equal(answer.usage!.completion_tokens, drawn);

    const again = await client.completions.create(ask);
    assert.equal(again.choices[0]!.text, choice!.text);
    const letter = choice!.text[5]!;
    const stopped = await client.completions.create({ ...ask, stop: [letter] });
    assert.equal(stopped.choices[0]!.text, choice!.text.slice(0, choice!.text.indexOf(letter)));
    assert.equal(stopped.choices[0]!.finish_reason, "stop");
  }));

Deno.test("openai streams the completion that it gets in one piece", () =>
  withOpenAi(async (client) => {
    const request = { ...ask, n: 2, logprobs: 0 };
    const whole = await client.completions.create(request);
    const stream = await client.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    const texts = ["", ""];
    const tokens: string[][] = [[], []];
    const offsets: number[][] = [[], []];
    const reasons: (string | null)[] = [null, null];
    let usage;
    let pieces = 0;
    for await (const chunk of stream) {
      assert.equal(chunk.object, "text_completion");
      if (chunk.usage) usage = chunk.usage;
      for (const choice of chunk.choices) {
        pieces++;
        texts[choice.index] += choice.text;
        tokens[choice.index]!.push(...choice.logprobs?.tokens ?? []);
        offsets[choice.index]!.push(...choice.logprobs?.text_offset ?? []);
        reasons[choice.index] = choice.finish_reason;
      }
    }
    assert.ok(pieces > 10);
    assert.deepEqual(texts, whole.choices.map((choice) => choice.text));
    assert.deepEqual(tokens, whole.choices.map((choice) => choice.logprobs!.tokens));
    assert.deepEqual(offsets, whole.choices.map((choice) => choice.logprobs!.text_offset));
    assert.deepEqual(reasons, whole.choices.map((choice) => choice.finish_reason));
    assert.deepEqual(usage, whole.usage);
  }));

Deno.test("openai chats, in one piece and streamed, with log-probabilities", () =>
  withOpenAi(async (client) => {
    const request = { model: "tiny", messages, max_completion_tokens: 24, seed: 3, logprobs: true };
    const whole = await client.chat.completions.create(request);
    const { message, logprobs, finish_reason } = whole.choices[0]!;
    assert.equal(message.role, "assistant");
    assert.ok(logprobs!.content!.every((token) => token.logprob <= 0));

    const stream = client.chat.completions.stream(request);
    let contents = 0;
    stream.on("content", () => contents++);
    const final = (await stream.finalChatCompletion()).choices[0]!;
    assert.ok(contents > 3);
    assert.equal(final.message.content, message.content);
    assert.equal(final.finish_reason, finish_reason);
    assert.deepEqual(final.logprobs!.content, logprobs!.content);
  }));

Deno.test("openai streams up to a stop text that tokens cut in two, and no further", () =>
  withOpenAi(async (client) => {
    const { choices: [whole] } = await client.completions.create(ask);
    for (let at = 2; at + 4 < whole!.text.length; at += 11) {
      const stop = whole!.text.slice(at, at + 4);
      const stream = await client.completions.create({ ...ask, stop, stream: true });
      let text = "";
      let reason: string | null = null;
      for await (const { choices: [choice] } of stream) {
        text += choice!.text;
        reason = choice!.finish_reason;
      }
      assert.equal(text, whole!.text.slice(0, whole!.text.indexOf(stop)));
      assert.equal(reason, "stop");
    }
  }));

Deno.test("openai throws its own errors for ours", () =>
  withOpenAi(async (client) => {
    const { default: OpenAI } = await loadOpenAi();
    const wrong: [Record<string, unknown>, number, string, RegExp][] = [
      [{ model: "gpt" }, 404, "not_found", /Cannot find policy 'gpt'/],
      [{ model: "gpt", stream: true }, 404, "not_found", /Cannot find policy 'gpt'/],
      [{ max_tokens: 1000, stream: true }, 400, "invalid_request", /exceed its 512 positions/],
      [{ temperature: -1 }, 400, "invalid_request", /'temperature' is -1/],
      [{ logprobs: 6 }, 400, "invalid_request", /'logprobs' is 6/],
    ];
    for (const [more, status, code, message] of wrong) {
      await assert.rejects(client.completions.create({ ...ask, ...more }), (error) => {
        assert.ok(error instanceof OpenAI.APIError, String(error));
        assert.equal(error.status, status);
        assert.equal(error.code, code);
        assert.match(error.message, message);
        return true;
      });
    }
    const stranger = new OpenAI({ baseURL: client.baseURL, apiKey: "guess", maxRetries: 0 });
    await assert.rejects(stranger.completions.create(ask), OpenAI.AuthenticationError);
  }));

Deno.test("openai gives up a stream, and the device stops drawing it", async () => {
  const node = await dripping();
  const draw = node.sample.bind(node);
  const ends: unknown[] = [];
  node.sample = (request, options) => {
    const drawn = draw(request, options);
    drawn.then(() => ends.push("drawn"), (error) => ends.push(error.code));
    return drawn;
  };
  await withOpenAi(async (client) => {
    const request = { ...ask, max_tokens: 300 };
    const stream = await client.completions.create({ ...request, stream: true });
    for await (const _ of stream) break;
    while (ends.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.deepEqual(ends, ["unavailable"]);
    await client.completions.create(ask);
  }, node);
});

Deno.test("openai gives up a request that waits, and it never reaches the device", async () => {
  const gate: GatedNode = await gatedNode();
  const scheduler = openScheduler(gate);
  await withOpenAi(async (client) => {
    gate.shut();
    const running = client.completions.create(ask);
    while (!gate.calls.includes("sample tiny")) await new Promise((r) => setTimeout(r, 2));
    // Short bodies come with the head of the request, long ones after it.
    for (const prompt of ["INT", "INT ".repeat(100), "INT ".repeat(1000), [5, 6, 7, 8]]) {
      const gone = new AbortController();
      const request = { ...ask, prompt, seed: 8 };
      const dropped = client.completions.create(request, { signal: gone.signal });
      while (scheduler.waiting === 0) await new Promise((r) => setTimeout(r, 2));
      gone.abort();
      await assert.rejects(dropped, /aborted/);
      while (scheduler.waiting > 0) await new Promise((r) => setTimeout(r, 2));
    }
    gate.open();
    await running;
    assert.equal(gate.calls.filter((call) => call === "sample tiny").length, 1);
  }, scheduler);
});
