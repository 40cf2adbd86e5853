/**
 * Sampling as its callers see it: settings per request in one batch, streaming, cancelling, groups
 * of one prompt, long completions; for a model that reads its cache in one piece (llama-tiny) and
 * one that reads what lies behind (qwen3-tiny).
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { llama } from "../../bench/shapes.ts";
import { cpuDevice } from "../../gpu-node/device.ts";
import { drawToken } from "../../gpu-node/frozen/draw.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { writeFreshCheckpoint } from "../../gpu-node/model/initialize.ts";
import { uniformMatrix } from "../../gpu-node/program/batch.ts";
import type { Completion, SampleRequest, SampleResult } from "../../gpu-node/verbs.ts";
import { CollmError } from "../../shared/errors.ts";
import { close, golden } from "./golden.ts";

const request = (extra: Partial<SampleRequest> = {}): SampleRequest => ({
  policy: "tiny",
  prompts: [[5, 6, 7]],
  seeds: [1],
  max_tokens: 20,
  temperature: 1,
  stop_tokens: [],
  ...extra,
});

async function loaded(source: string): Promise<Kernel> {
  const node = new Kernel(await cpuDevice());
  await node.load({ policy: "tiny", source });
  return node;
}

const completionsOf = (result: SampleResult | CollmError | undefined): Completion[] => {
  if (!result || result instanceof CollmError) throw result ?? new Error("no result");
  return result.completions;
};

const STOPS = [3, 13, 23, 33, 43, 53, 63, 73, 83, 93];

/** Requests that differ in everything. */
const MIXED = [
  request({ temperature: 0, prompts: [[1, 2, 3], [4]], seeds: [1, 2] }),
  request({ temperature: 0.7, max_tokens: 3, seeds: [7] }),
  request({ temperature: 1, top_k: 5, seeds: [8], max_tokens: 75 }),
  request({ temperature: 1.3, top_p: 0.6, seeds: [9], max_tokens: 41 }),
  request({ temperature: 4, seeds: [10], max_tokens: 90, stop_tokens: STOPS }),
  request({ prompts: [Array.from({ length: 33 }, (_, i) => 2 * i)], seeds: [11], max_tokens: 40 }),
  request({ seeds: [8], max_tokens: 75 }),
];

for (const family of ["llama-tiny", "qwen3-tiny"]) {
  const { folder } = golden(family);

  Deno.test(`sampleTogether of ${family} gives each request what it gets alone`, async () => {
    const node = await loaded(folder);
    const together = await node.sampleTogether(MIXED);
    for (const [i, alone] of MIXED.entries()) {
      assert.deepEqual(together[i], await node.sample(alone), `request ${i}`);
    }
    const [, short, , , stopped] = together.map((result) => completionsOf(result)[0]!);
    assert.equal(short!.tokens.length, 3);
    assert.equal(stopped!.finish_reason, "stop");
    assert.ok(STOPS.includes(stopped!.tokens.at(-1)!));
  });

  Deno.test(`sample of ${family} gives copies of a prompt what separate requests get`, async () => {
    const node = await loaded(folder);
    const prompt = Array.from({ length: 30 }, (_, i) => (7 * i) % 97);
    const seeds = Array.from({ length: 16 }, (_, i) => 100 + i);
    const { completions } = await node.sample(
      request({ prompts: seeds.map(() => prompt), seeds, max_tokens: 40 }),
    );
    for (const i of [0, 7, 15]) {
      const alone = await node.sample(
        request({ prompts: [prompt], seeds: [seeds[i]!], max_tokens: 40 }),
      );
      assert.deepEqual(alone.completions[0], completions[i]);
    }
    assert.equal(new Set(completions.map(({ tokens }) => tokens.join())).size, 16);
  });

  Deno.test(`sample of ${family} goes on with the same bits once most rows have ended`, async () => {
    const node = await loaded(folder);
    const seeds = Array.from({ length: 60 }, (_, i) => i);
    const brief = request({ prompts: seeds.map((i) => [i, 7]), seeds, max_tokens: 5 });
    const long = request({ prompts: [[5, 6, 7], [8]], seeds: [1, 2], max_tokens: 120 });
    const together = await node.sampleTogether([brief, long]);
    assert.deepEqual(together[1], await node.sample(long));
    assert.deepEqual(together[0], await node.sample(brief));
  });

  Deno.test(`sample of ${family} gives groups that share long prompts the tokens of copies`, async () => {
    const node = await loaded(folder);
    const long = [70, 61].map((n) => Array.from({ length: n }, (_, i) => (7 * i + n) % 97));
    const seeds = Array.from({ length: 10 }, (_, i) => 100 + i);
    const prompts = seeds.map((_, i) => long[i % 2]!);
    const both = await node.sampleTogether([
      request({ prompts, seeds, max_tokens: 70 }),
      request({ prompts: prompts.slice(0, 4), seeds: seeds.slice(0, 4), max_tokens: 9 }),
    ]);
    const completions = completionsOf(both[0]);
    for (const [i, { tokens, logprobs }] of completions.entries()) {
      const alone = completionsOf(
        await node.sample(request({ prompts: [prompts[i]!], seeds: [seeds[i]!], max_tokens: 70 })),
      )[0]!;
      assert.deepEqual(tokens, alone.tokens);
      logprobs.forEach((x, t) => close(x, alone.logprobs[t]!, 1e-4, `${i}, ${t}`));
    }
    completionsOf(both[1]).forEach(({ tokens }, i) =>
      assert.deepEqual(tokens, completions[i]!.tokens.slice(0, 9))
    );
    // The same request gives the same bits whatever runs beside it.
    assert.deepEqual(await node.sample(request({ prompts, seeds, max_tokens: 70 })), both[0]);
  });

  Deno.test(`sample of ${family} reports score's log-probabilities over long completions`, async () => {
    const node = await loaded(folder);
    const prompts = [[5, 6, 7], Array.from({ length: 40 }, (_, i) => i)];
    const { completions } = await node.sample(
      request({ prompts, seeds: [3, 4], max_tokens: 150 }),
    );
    const sequences = completions.map(({ tokens }, i) => ({
      tokens: [...prompts[i]!, ...tokens],
      prompt_length: prompts[i]!.length,
    }));
    const { logprobs } = await node.score("tiny", sequences);
    completions.forEach((completion, i) => {
      assert.equal(completion.tokens.length, 150);
      completion.logprobs.forEach((x, t) => close(x, logprobs[i]![t]!, 1e-4, `${i}, ${t}`));
    });
  });

  Deno.test(`sample of ${family} draws from the tempered and truncated distribution`, async () => {
    const node = await loaded(folder);
    const settings = { temperature: 0.8, top_p: 0.7, top_k: 30, max_tokens: 6 };
    const prompts = [[5, 6, 7], [9, 4]];
    const { completions } = await node.sample(request({ ...settings, prompts, seeds: [3, 4] }));
    for (const [i, { tokens, logprobs }] of completions.entries()) {
      const uniforms = uniformMatrix([3 + i], 6).data as Float32Array;
      for (const [t, token] of tokens.entries()) {
        const before = [...prompts[i]!, ...tokens.slice(0, t)];
        const everything = Array.from({ length: 97 }, (_, next) => ({
          tokens: [...before, next],
          prompt_length: before.length,
        }));
        const logits = (await node.score("tiny", everything)).logprobs.map(([x]) => x!);
        const host = drawToken(Float32Array.from(logits), uniforms[t]!, settings);
        assert.equal(token, host.token, `prompt ${i}, token ${t}`);
        close(logprobs[t]!, host.logprob, 1e-4, `prompt ${i}, token ${t}`);
      }
    }
  });

  Deno.test(`sampleTogether of ${family} streams the tokens that it returns`, async () => {
    const node = await loaded(folder);
    const unseen = await node.sampleTogether(MIXED);
    const heard = new Map<string, { tokens: number[]; logprobs: number[]; calls: number }>();
    const seen = await node.sampleTogether(MIXED, {
      onTokens(request, row, tokens, logprobs) {
        const key = `${request}.${row}`;
        const so = heard.get(key) ?? { tokens: [], logprobs: [], calls: 0 };
        so.tokens.push(...tokens);
        so.logprobs.push(...logprobs);
        heard.set(key, { ...so, calls: so.calls + 1 });
      },
    });
    assert.deepEqual(seen, unseen);
    seen.forEach((result, request) =>
      completionsOf(result).forEach(({ tokens, logprobs }, row) => {
        const { calls, ...rest } = heard.get(`${request}.${row}`)!;
        assert.deepEqual(rest, { tokens, logprobs });
        assert.ok(tokens.length <= 8 || calls > 1, `${calls} calls`);
      })
    );
  });

  Deno.test(`sampleTogether of ${family} ends a cancelled request and no other`, async () => {
    const node = await loaded(folder);
    const whole = await node.sampleTogether(MIXED);
    let heard = 0;
    const results = await node.sampleTogether(MIXED, {
      onTokens: (request, _, tokens) => heard += request === 2 ? tokens.length : 0,
      cancelled: (request) => request === 2 && heard > 10,
    });
    assert.ok(heard > 10 && heard < 75, `${heard} tokens`);
    assert.ok(results[2] instanceof CollmError);
    assert.equal(results[2].message, "Cannot sample policy 'tiny': cancelled");
    results.forEach((result, i) => i === 2 || assert.deepEqual(result, whole[i]));
  });
}

Deno.test("sampleTogether fails bad requests by themselves, across policies", async () => {
  const node = await loaded(golden("llama-tiny").folder);
  await node.load({ policy: "other", source: golden("qwen2-tiny").folder });
  const bad: [Partial<SampleRequest>, string][] = [
    [{ policy: "none" }, "Cannot find policy 'none': loaded policies are tiny, other"],
    [{ top_p: 0 }, "Cannot sample policy 'tiny': top_p is 0, expected a number in (0, 1]"],
    [{ top_k: -1 }, "Cannot sample policy 'tiny': top_k is -1, expected a whole number"],
    [{ max_tokens: 1.5 }, "Cannot sample policy 'tiny': max_tokens is 1.5"],
    [
      { prompts: [[5, 6, 7]], max_tokens: 254 },
      "Cannot sample policy 'tiny': 257 tokens exceed its 256 positions",
    ],
    [{ prompts: [[97]] }, "Cannot sample policy 'tiny': token 97 is outside its vocabulary of 97"],
  ];
  const good = [request(), request({ policy: "other" })];
  const results = await node.sampleTogether([
    good[0]!,
    ...bad.map(([extra]) => request(extra)),
    good[1]!,
  ]);
  bad.forEach(([, message], i) => {
    const error = results[i + 1];
    assert.ok(error instanceof CollmError);
    assert.equal(error.message, message);
  });
  assert.deepEqual(results[0], await node.sample(good[0]!));
  assert.deepEqual(results.at(-1), await node.sample(good[1]!));
});

Deno.test("sample takes whatever fits the model's positions", async () => {
  const node = await loaded(golden("llama-tiny").folder);
  for (const length of [3, 241, 250, 255]) {
    const prompt = Array.from({ length }, (_, i) => (7 * i + 3) % 97);
    const max_tokens = 256 - length;
    const { completions: [drawn] } = await node.sample(request({ prompts: [prompt], max_tokens }));
    assert.equal(drawn!.tokens.length, max_tokens);
    const sequence = { tokens: [...prompt, ...drawn!.tokens], prompt_length: length };
    const { logprobs } = await node.score("tiny", [sequence]);
    drawn!.logprobs.forEach((x, i) =>
      assert.ok(Math.abs(x - logprobs[0]![i]!) < 1e-4, `${length}: ${x} and ${logprobs[0]![i]}`)
    );
  }
});

Deno.test("sample with packed weights follows every update", async () => {
  const temp = await Deno.makeTempDir();
  // Large enough to be packed (sample/packed.ts).
  writeFreshCheckpoint(join(temp, "model"), llama({ layers: 3, intermediateSize: 1408 }), 1);
  const node = await loaded(join(temp, "model"));
  const check = async () => {
    const { completions: [completion] } = await node.sample(request({ max_tokens: 40 }));
    const tokens = [5, 6, 7, ...completion!.tokens];
    const { logprobs } = await node.score("tiny", [{ tokens, prompt_length: 3 }]);
    completion!.logprobs.forEach((x, t) => close(x, logprobs[0]![t]!, 1e-4, `token ${t}`));
    return completion!.logprobs;
  };
  const before = await check();
  await node.update({
    policy: "tiny",
    seq: 1,
    loss: "cross_entropy",
    batch: [{ tokens: [5, 6, 7, 8, 9], prompt_length: 3 }],
    optimizer: { name: "adamw", learning_rate: 1e-3 },
  });
  assert.notDeepEqual(await check(), before);
  await node.close();
  await Deno.remove(temp, { recursive: true });
});

Deno.test("sampleTogether begins no batch, and no block of a prompt, for a request that was given up", async () => {
  const device = await cpuDevice();
  let runs = 0;
  const counting = {
    ...device,
    async compile(...args: Parameters<typeof device.compile>) {
      const program = await device.compile(...args);
      return {
        ...program,
        run: (...feeds: Parameters<typeof program.run>) => {
          runs++;
          return program.run(...feeds);
        },
      };
    },
  };
  const node = new Kernel(counting);
  await node.load({ policy: "tiny", source: golden("llama-tiny").folder });
  const many = request({
    prompts: Array.from({ length: 600 }, (_, i) => [1 + i % 90, 2, 3]),
    seeds: Array.from({ length: 600 }, (_, i) => i),
    max_tokens: 2,
  });
  const asked = async (cancelled: () => boolean) => {
    runs = 0;
    const [result] = await node.sampleTogether([many], { cancelled });
    return { runs, why: result instanceof CollmError ? result.message : null };
  };
  const whole = await asked(() => false);
  assert.deepEqual([whole.why, whole.runs >= 10], [null, true], `${whole.runs} runs`);
  const cancelled = "Cannot sample policy 'tiny': cancelled";
  assert.deepEqual(await asked(() => true), { runs: 0, why: cancelled });
  // Given up when the first prompts are read: they are put in place, and nothing is drawn.
  const later = await asked(() => runs > 0);
  assert.deepEqual([later.why, later.runs <= 2], [cancelled, true], `${later.runs} runs`);
  await node.close();
});

Deno.test("sample reports no log-probability above 0, however few tokens are left to draw from", async () => {
  const node = await loaded(golden("llama-tiny").folder);
  const { completions } = await node.sample(request({
    prompts: Array.from({ length: 40 }, (_, i) => [1 + i]),
    seeds: Array.from({ length: 40 }, (_, i) => i),
    ...{ max_tokens: 30, temperature: 0.3, top_p: 0.6 },
  }));
  assert.ok(completions.every(({ logprobs }) => logprobs.every((x) => x <= 0)));
  await node.close();
});
