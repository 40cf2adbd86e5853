/**
 * Lanes: threads beside the kernel's own that sample parts of a batch. They change no bit of what
 * one thread samples, and on one thread a completion's bits do not depend on the rest of the batch.
 */
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { llama } from "../../bench/shapes.ts";
import type { OnnxTensor } from "../../deps.ts";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { Lane, lanesOf } from "../../gpu-node/lane/lane.ts";
import { loadPolicy } from "../../gpu-node/load.ts";
import type { ModelConfig } from "../../gpu-node/model/config.ts";
import { writeFreshCheckpoint } from "../../gpu-node/model/initialize.ts";
import type { Weights } from "../../gpu-node/policy.ts";
import { rowsOf } from "../../gpu-node/sample/rows.ts";
import type { LoadRequest, SampleRequest, SampleResult } from "../../gpu-node/verbs.ts";
import { CollmError } from "../../shared/errors.ts";

/** A product with more than 128 terms and 128 columns: the runtime's threads cut its sums apart. */
const WIDE = llama({ hiddenSize: 128, intermediateSize: 384, layers: 2, heads: 4, kvHeads: 2 });
/** Large enough that its decoder is packed, and read in two pieces. */
const PACKED = llama({ layers: 5 });

/** Sizes that are no multiple of what the runtime takes at a time. */
const ODD = llama({
  ...{ hiddenSize: 136, intermediateSize: 385, layers: 2, heads: 4, kvHeads: 1, vocabSize: 517 },
});

type Nodes = { laned: Kernel; single: Kernel; load(request: LoadRequest): Promise<void> };

/** The same model in a kernel with two lanes beside its thread, and in one with a single thread. */
async function withNodes(
  config: ModelConfig,
  test: (nodes: Nodes, folder: string) => Promise<void>,
  lanes = 2,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "collm-lane-" });
  const model = join(folder, "model");
  const device = await cpuDevice(1);
  const laned = new Kernel(device, Array.from({ length: lanes }, () => new Lane()));
  const single = new Kernel(device);
  const load = async (request: LoadRequest) => {
    for (const node of [laned, single]) await node.load(request);
  };
  try {
    writeFreshCheckpoint(model, config, 1);
    await load({ policy: "p", source: model });
    await test({ laned, single, load }, model);
  } finally {
    await laned.close();
    await Deno.remove(folder, { recursive: true });
  }
}

const prompt = (seed: number, length: number) =>
  Array.from({ length }, (_, k) => 3 + (seed * 7 + k * 13) % 400);

const LENGTHS = [1, 2, 5, 15, 16, 17, 40, 130];

const request = (rows: number[], extra: Partial<SampleRequest> = {}): SampleRequest => ({
  policy: "p",
  prompts: rows.map((row) => prompt(row, LENGTHS[row % LENGTHS.length]!)),
  seeds: rows,
  max_tokens: 36,
  temperature: 1,
  stop_tokens: [],
  ...extra,
});

const upTo = (count: number, start = 0) => Array.from({ length: count }, (_, i) => i + start);

for (const [name, config] of Object.entries({ WIDE, PACKED, ODD })) {
  Deno.test(`sample in lanes gives every row the same bits in any batch (${name})`, () =>
    withNodes(config, async ({ laned, single }) => {
      for (const extra of [{}, { temperature: 0.9, top_p: 0.8, top_k: 40 }]) {
        const all = await laned.sample(request(upTo(128), extra));
        for (const rows of [[0], [7], [3, 3], upTo(3, 40), upTo(13, 7), upTo(64, 30), upTo(127)]) {
          const some = await laned.sample(request(rows, extra));
          assert.deepEqual(some.completions, rows.map((row) => all.completions[row]));
        }
        assert.deepEqual(await single.sample(request(upTo(128), extra)), all);
      }
    }));
}

Deno.test("sampleTogether in lanes gives each request what one thread gives it alone", () =>
  withNodes(WIDE, async ({ laned, single }) => {
    const requests = [
      request([1, 2, 3], { temperature: 0 }),
      request([4], { top_k: 5, max_tokens: 70 }),
      request([5, 6], { top_p: 0.6, max_tokens: 3 }),
      request([7, 8, 9, 10], { temperature: 4, stop_tokens: upTo(200) }),
      request([1], { policy: "none" }),
    ];
    const results = await laned.sampleTogether(requests);
    for (const [i, own] of requests.slice(0, 4).entries()) {
      assert.deepEqual(results[i], await single.sample(own), `request ${i}`);
    }
    assert.match(String(results[4]), /Cannot find policy 'none'/);
  }));

Deno.test("sample in lanes draws from the weights of the last update", () =>
  withNodes(WIDE, async ({ laned, single }) => {
    const batch = [{ tokens: prompt(1, 12), prompt_length: 4, advantage: 1 }];
    for (const seq of [0, 1, 2]) {
      for (const node of [laned, single]) {
        const optimizer = { name: "adamw" as const, learning_rate: 1e-2 };
        await node.update({ policy: "p", seq, loss: "policy_gradient", batch, optimizer });
      }
      const drawn = await laned.sample(request(upTo(6)));
      assert.deepEqual(drawn, await single.sample(request(upTo(6))), `after update ${seq}`);
    }
  }));

Deno.test("sample in lanes follows a policy that is loaded anew, and its adapters", () =>
  withNodes(PACKED, async ({ laned, single, load }, source) => {
    const same = async (...policies: string[]) => {
      const requests = policies.map((policy, i) => request(upTo(3, 3 * i), { policy }));
      const drawn = await laned.sampleTogether(requests);
      assert.deepEqual(drawn, await single.sampleTogether(requests), policies.join());
      return drawn as SampleResult[];
    };
    const lora = { rank: 2, alpha: 4, seed: 1 };
    await same("p");
    for (const policy of ["a", "b", "c"]) await load({ policy, source, lora });
    const train = { loss: "policy_gradient" as const, seq: 0 };
    for (const node of [laned, single]) {
      await node.update({
        ...{ policy: "b", ...train, optimizer: { name: "adamw", learning_rate: 1e-2 } },
        batch: [{ tokens: prompt(1, 12), prompt_length: 4, advantage: 1 }],
      });
    }
    const [before] = await same("a", "b", "c", "p");
    for (const node of [laned, single]) for (const policy of ["a", "p"]) await node.unload(policy);
    await load({ policy: "p", source, lora: { ...lora, rank: 4 } });
    await load({ policy: "a", source });
    const [after] = await same("a", "b", "c", "p");
    assert.deepEqual(after!.completions[0]!.tokens, before!.completions[0]!.tokens);
  }));

Deno.test("sample in lanes shares a long prompt within each lane", () =>
  withNodes(PACKED, async ({ laned, single }) => {
    const long = { prompts: Array(16).fill(prompt(1, 70)), seeds: upTo(16) };
    const drawn = await laned.sample(request([], long));
    const alone = await single.sample(request([], long));
    for (const [i, { tokens, logprobs }] of drawn.completions.entries()) {
      assert.deepEqual(tokens, alone.completions[i]!.tokens);
      logprobs.forEach((x, t) =>
        assert.ok(Math.abs(x - alone.completions[i]!.logprobs[t]!) < 1e-5, `${i}.${t}`)
      );
    }
    // Two prompts with eight completions each, and one that has none to share with.
    const others = request([9], { max_tokens: 20 });
    const [again] = await laned.sampleTogether([request([], long), others]);
    assert.deepEqual(again, drawn);
  }, 1));

Deno.test("sampleTogether in lanes streams the tokens that it returns", () =>
  withNodes(WIDE, async ({ laned }) => {
    const heard = new Map<string, { tokens: number[]; logprobs: number[] }>();
    const requests = [request(upTo(5)), request(upTo(4, 9), { max_tokens: 50 })];
    const results = await laned.sampleTogether(requests, {
      onTokens(request, row, tokens, logprobs) {
        const so = heard.get(`${request}.${row}`) ?? { tokens: [], logprobs: [] };
        so.tokens.push(...tokens);
        so.logprobs.push(...logprobs);
        heard.set(`${request}.${row}`, so);
      },
    });
    for (const [i, result] of (results as SampleResult[]).entries()) {
      for (const [row, { tokens, logprobs }] of result.completions.entries()) {
        assert.deepEqual(heard.get(`${i}.${row}`), { tokens, logprobs });
      }
    }
  }));

Deno.test("sampleTogether in lanes ends a cancelled request and no other", () =>
  withNodes(WIDE, async ({ laned, single }) => {
    const requests = upTo(6).map((row) => request([row], { max_tokens: 300 }));
    for (const gone of [0, 5]) {
      let heard = 0;
      const results = await laned.sampleTogether(requests, {
        onTokens: (request, _, tokens) => heard += request === gone ? tokens.length : 0,
        cancelled: (request) => request === gone && heard > 0,
      });
      assert.match(String(results[gone]), /Cannot sample policy 'p': cancelled/);
      assert.ok(heard < 300, `it had ${heard} tokens`);
      const other = 5 - gone;
      assert.deepEqual(results[other], await single.sample(requests[other]!));
    }
  }));

Deno.test("sample in lanes names weights that give no finite values", () =>
  withNodes(WIDE, async ({ laned }) => {
    const optimizer = { name: "adamw" as const, learning_rate: 1e15 };
    const batch = [{ tokens: prompt(1, 12), prompt_length: 4, advantage: 1 }];
    await laned.update({ policy: "p", seq: 0, loss: "policy_gradient", batch, optimizer });
    await assert.rejects(laned.sample(request(upTo(4))), {
      name: CollmError.name,
      message: "Cannot sample policy 'p': its weights give values that are not finite",
    });
  }));

Deno.test("a lane says what it cannot do, and goes on", () =>
  withNodes(WIDE, async (_, source) => {
    const policy = await loadPolicy(await cpuDevice(1), { policy: "p", source }, new Map());
    const [norm] = [...policy.parameters.keys()].slice(-1);
    const broken = { ...policy, parameters: new Map(policy.parameters), version: "0-broken" };
    broken.parameters.delete(norm!);
    const lane = new Lane();
    try {
      const rows = (weights: Weights) => rowsOf(weights, request([1, 2], { max_tokens: 4 }), 0);
      await assert.rejects(lane.generate(rows(broken), {}, 2), new RegExp(`'${norm}' is missing`));
      // Such a tensor cannot be made: the lane's thread ends of it.
      const impossible = { data: new Float32Array(3), dims: [1] } as unknown as OnnxTensor;
      const parameters = new Map(policy.parameters).set(norm!, impossible);
      const fatal = { ...policy, parameters, version: "0-fatal" };
      await assert.rejects(lane.generate(rows(fatal), {}, 2), /a lane of sampling ended: .*size/);
      const whole = rows(policy);
      await lane.generate(whole, {}, 2);
      assert.deepEqual(whole.map(({ tokens, finish }) => [tokens.length, finish]), [
        [4, "length"],
        [4, "length"],
      ]);
      lane.close();
      const begun = lane.generate(rows(policy), {}, 2);
      lane.close();
      await assert.rejects(begun, { message: "a lane of sampling was closed" });
      await lane.generate(rows(policy), {}, 2);
    } finally {
      lane.close();
    }
  }));

Deno.test("lanesOf gives a CPU a lane for each thread but the kernel's own", async () => {
  const device = await cpuDevice(3);
  assert.equal(lanesOf(device).length, 2);
  assert.equal(lanesOf({ ...device, threads: 1 }).length, 0);
  assert.equal(lanesOf({ ...device, name: "webgpu" }).length, 0);
});

Deno.test("lanes sample with a policy of equal weights but another form", () =>
  withNodes(WIDE, async ({ laned, single, load }, model) => {
    const same = async () => {
      const [ours, theirs] = [
        await laned.sample(request(upTo(12))),
        await single.sample(request(upTo(12))),
      ];
      assert.deepEqual(ours, theirs);
      return ours.completions;
    };
    const first = await same();
    const other = `${model}-other`;
    cpSync(model, other, { recursive: true });
    const file = join(other, "config.json");
    const config = JSON.parse(Deno.readTextFileSync(file));
    Deno.writeTextFileSync(file, JSON.stringify({ ...config, rope_theta: 100 }));
    await load({ policy: "p", source: other });
    assert.notDeepEqual(await same(), first);

    await load({ policy: "p", source: model, lora: { rank: 2, alpha: 4, seed: 3 } });
    const update = {
      ...{ policy: "p", seq: 1, loss: "cross_entropy" as const },
      batch: [{ tokens: prompt(1, 20), prompt_length: 2 }],
      optimizer: { name: "adamw" as const, learning_rate: 0.05 },
    };
    for (const node of [laned, single]) await node.update(update);
    const trained = await same();
    const saved = `${model}-adapter`;
    await single.save("p", saved);
    const adapter = join(saved, "adapter_config.json");
    const described = JSON.parse(Deno.readTextFileSync(adapter));
    Deno.writeTextFileSync(adapter, JSON.stringify({ ...described, lora_alpha: 64 }));
    await load({ policy: "p", source: saved, base: model });
    assert.notDeepEqual(await same(), trained);
  }));

Deno.test("a kernel releases the programs of forms that are gone, but a few", async () => {
  const device = await cpuDevice(1);
  let kept = 0;
  const counting = {
    ...device,
    async compile(...args: Parameters<typeof device.compile>) {
      const program = await device.compile(...args);
      kept++;
      return { ...program, release: () => (kept--, program.release()) };
    },
  };
  const folder = await Deno.makeTempDir({ prefix: "collm-forms-" });
  const node = new Kernel(counting);
  try {
    writeFreshCheckpoint(folder, ODD, 1);
    const sequences = [{ tokens: prompt(1, 9), prompt_length: 1 }];
    const round = async (alpha: number) => {
      await node.load({ policy: "p", source: folder, lora: { rank: 2, alpha } });
      await node.score("p", sequences);
      await node.unload("p");
      return kept;
    };
    const counts: number[] = [];
    for (let alpha = 1; alpha <= 9; alpha++) counts.push(await round(alpha));
    assert.ok(counts[0]! > 0 && counts[8] === counts[5], counts.join());
    assert.equal(await round(9), counts[8], "one that was used last is still there");
    await node.load({ policy: "q", source: folder });
    await node.score("q", sequences);
    for (let alpha = 11; alpha <= 16; alpha++) await round(alpha);
    const before = kept;
    await node.score("q", sequences);
    assert.equal(kept, before, "a loaded policy's program was released");
  } finally {
    await node.close();
    await Deno.remove(folder, { recursive: true });
  }
});
