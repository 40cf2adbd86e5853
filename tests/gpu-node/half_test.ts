/**
 * An adapter on a base held as float16: every verb gives what it gives on the same base rounded to
 * float16 and held as float32; what is held is half; what cannot be held is refused.
 */
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { loadOnnxProto } from "../../deps.ts";
import { cpuDevice } from "../../gpu-node/device.ts";
import { fromHalf, toHalf } from "../../gpu-node/device/half.ts";
import { encodeModel } from "../../gpu-node/graph/encode.ts";
import { gradients } from "../../gpu-node/graph/gradient.ts";
import { Graph } from "../../gpu-node/graph/graph.ts";
import { mul } from "../../gpu-node/graph/ops/elementwise.ts";
import { linear } from "../../gpu-node/graph/ops/linear.ts";
import { reduceSum } from "../../gpu-node/graph/ops/shape.ts";
import type { Tensor } from "../../gpu-node/graph/tensor.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { type Bases, loadPolicy } from "../../gpu-node/load.ts";
import { readModelConfig } from "../../gpu-node/model/config.ts";
import { writeFreshCheckpoint } from "../../gpu-node/model/initialize.ts";
import { readSafetensors, writeSafetensors } from "../../gpu-node/model/safetensors.ts";
import type { LoadRequest, UpdateRequest } from "../../gpu-node/verbs.ts";
import { close, FAMILIES, golden } from "./golden.ts";
import { sequences, TINY, withServer } from "./served.ts";

const lora = { rank: 2, alpha: 4, seed: 5 };

async function inTemp(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A copy of a checkpoint with its matrices rounded to float16, kept as float32. */
function rounded(source: string, folder: string): string {
  cpSync(source, folder, { recursive: true });
  const path = join(folder, "model.safetensors");
  const { tensors } = readSafetensors(path);
  writeSafetensors(
    path,
    new Map([...tensors].map(([name, { shape, data }]) => [name, {
      shape,
      data: shape.length === 2 ? fromHalf(toHalf(data)) : data,
    }])),
  );
  return folder;
}

for (const family of FAMILIES) {
  Deno.test(`an adapter on ${family} as float16 scores, draws, learns and merges as on the rounded base`, () =>
    inTemp(async (temp) => {
      const { folder, sequences, policyGradient } = golden(family);
      const plain = rounded(folder, join(temp, "rounded"));
      const node = new Kernel(await cpuDevice());
      const value_head = { seed: 1 };
      const half: LoadRequest = { policy: "half", source: folder, lora, value_head, dtype: "fp16" };
      const info = await node.load(half);
      assert.equal(info.dtype, "fp16");
      await node.load({ policy: "plain", source: plain, lora, value_head });
      const both = async <T>(deed: (policy: string) => Promise<T>): Promise<[T, T]> => [
        await deed("half"),
        await deed("plain"),
      ];
      const same = (a: number[], b: number[], what: string) =>
        b.forEach((x, i) => close(a[i]!, x, 1e-5, `${what} ${i}`));
      const prompts = sequences.map((s) => s.tokens.slice(0, s.prompt_length));
      for (const seq of [1, 2]) {
        const updates = await both((policy) =>
          node.update({
            ...policyGradient({ policy, seq }),
            recompute: seq === 2,
            optimizer: { name: "adamw", learning_rate: 0.01 },
          })
        );
        close(updates[0].grad_norm, updates[1].grad_norm, 1e-4, "norm");
        const scores = await both((policy) => node.score(policy, sequences));
        scores[1].logprobs.forEach((row, i) => same(scores[0].logprobs[i]!, row, "logprob"));
      }
      const reads = sequences.map(({ tokens }) => ({ tokens, read_at: "last" as const }));
      const values = await both((policy) => node.values(policy, reads));
      same(values[0].values, values[1].values, "value");
      const drawn = await both((policy) =>
        node.sample({
          ...{ policy, prompts, seeds: prompts.map((_, i) => i), max_tokens: 12 },
          ...{ temperature: 1, stop_tokens: [] },
        })
      );
      const tokens = drawn.map(({ completions }) => completions.map((c) => c.tokens));
      assert.deepEqual(tokens[0], tokens[1]);

      // Merged, it is a model of float32 that says the same.
      await node.save("half", join(temp, "merged"), { form: "merged" });
      await node.load({ policy: "merged", source: join(temp, "merged") });
      const [{ logprobs: own }, { logprobs: merged }] = [
        await node.score("half", sequences),
        await node.score("merged", sequences),
      ];
      own.forEach((row, i) => row.forEach((x, k) => close(merged[i]![k]!, x, 1e-4, "merged")));
      // Saved and loaded the same way it is the same; its base as float32 is another.
      await node.save("half", join(temp, "adapter"), { state: true });
      const source = join(temp, "adapter");
      const again = await node.load({ policy: "again", source, dtype: "fp16" });
      const listed = (await node.list()).find(({ policy }) => policy === "half")!;
      assert.equal(again.policy_version, listed.policy_version);
      const wide = await node.load({ policy: "wide", source, dtype: "fp32" });
      assert.notEqual(wide.policy_version, again.policy_version);
      assert.notEqual(wide.base, again.base);
    }));
}

Deno.test("a base as float16 takes half the memory, and policies on it share it", async () => {
  const device = await cpuDevice();
  const bases: Bases = new Map();
  const request: LoadRequest = { policy: "p", source: TINY, lora, dtype: "fp16" };
  const [one, two] = [
    await loadPolicy(device, request, bases),
    await loadPolicy(device, { ...request, lora: { ...lora, seed: 6 } }, bases),
  ];
  assert.equal(one.base, two.base);
  const wide = await loadPolicy(device, { ...request, dtype: "fp32" }, bases);
  assert.equal(bases.size, 2);
  for (const [name, tensor] of wide.base!.parameters) {
    const { data } = one.base!.parameters.get(name)!;
    const bytes = (data as Float32Array).byteLength;
    const matrix = tensor.dims.length === 2;
    assert.equal(bytes, tensor.size * (matrix ? 2 : 4), name);
  }
  for (const { data } of one.parameters.values()) assert.ok(data instanceof Float32Array);
});

Deno.test("float16 is refused for weights that learn, for numbers beyond it, and q8 for a base", () =>
  inTemp(async (temp) => {
    const node = new Kernel(await cpuDevice());
    const refuse = (request: Partial<LoadRequest>, message: RegExp) =>
      assert.rejects(node.load({ policy: "p", source: TINY, ...request }), {
        code: "invalid_request",
        message,
      });
    await refuse(
      { dtype: "fp16" },
      /dtype is 'fp16' but all weights would learn, in float32; with/,
    );
    await refuse({ dtype: "q8", lora }, /dtype is 'q8' but '.*' would learn/);
    const source = join(temp, "large");
    cpSync(TINY, source, { recursive: true });
    const path = join(source, "model.safetensors");
    const { tensors } = readSafetensors(path);
    const name = "model.layers.0.mlp.up_proj.weight";
    const { shape, data } = tensors.get(name)!;
    const large = new Float32Array(data);
    large[3] = -70000;
    writeSafetensors(path, new Map(tensors).set(name, { shape, data: large } as never));
    await refuse(
      { source, lora, dtype: "fp16" },
      /^Cannot hold '.*' as float16: tensor 'model\.layers\.0\.mlp\.up_proj\.weight' holds -70000, which/,
    );
    assert.deepEqual(await node.list(), []);
    await node.load({ policy: "p", source, lora });
  }));

Deno.test("a base as float16 that is packed for decoding draws as the rounded one does", () =>
  inTemp(async (temp) => {
    const config = readModelConfig(TINY);
    const large = { ...config, hiddenSize: 256, headDim: 256 / config.heads, layers: 7 };
    const source = join(temp, "large");
    writeFreshCheckpoint(source, { ...large, intermediateSize: 700 }, 1);
    const node = new Kernel(await cpuDevice());
    const info = await node.load({ policy: "half", source, lora, dtype: "fp16" });
    assert.ok(info.parameters > 1 << 22, "smaller ones are not packed");
    await node.load({ policy: "plain", source: rounded(source, join(temp, "rounded")), lora });
    const draw = async (policy: string) => {
      const prompts = [[5, 6, 7], [8, 9]];
      const more = { seeds: [1, 2], max_tokens: 12, temperature: 1, stop_tokens: [] };
      return (await node.sample({ policy, prompts, ...more })).completions;
    };
    const [half, plain] = [await draw("half"), await draw("plain")];
    assert.deepEqual(half.map((c) => c.tokens), plain.map((c) => c.tokens));
  }));

Deno.test("POST /v1/policies holds a base as float16 beside the same one as float32", () =>
  withServer(async ({ call }) => {
    const load = { source: "tiny", lora: { rank: 2, alpha: 4 } };
    const half = await call("POST", "/v1/policies", { ...load, policy: "half", dtype: "fp16" });
    assert.equal(half.status, 201, JSON.stringify(half.body));
    assert.equal(half.body.dtype, "fp16");
    const wide = await call("POST", "/v1/policies", { ...load, policy: "wide" });
    assert.ok(!("dtype" in wide.body));
    const score = async (policy: string): Promise<number[]> =>
      (await call("POST", "/v1/score", { policy, sequences })).body.logprobs.flat();
    const [a, b] = [await score("half"), await score("wide")];
    assert.notDeepEqual(a, b);
    a.forEach((x, i) => close(x, b[i]!, 0.05, "logprob"));
    const whole = await call("POST", "/v1/policies", {
      policy: "x",
      source: "tiny",
      dtype: "fp16",
    });
    assert.equal(whole.status, 400);
  }));

Deno.test("encodeModel widens a weight held as float16 where it is used: late, and again on the way back", async () => {
  const g = new Graph();
  const x = g.input("x", "float32", ["n", 3]);
  const [a, b] = ["a", "b"].map((name) => g.input(name, "float16", [3, 3])) as [Tensor, Tensor];
  const y = linear(g, linear(g, x, a), b);
  const [dx] = gradients(g, reduceSum(g, mul(g, y, y), [0, 1]), [x]) as [Tensor];
  g.output("dx", dx);
  const { onnx } = (await loadOnnxProto()).default;
  const { node } = onnx.ModelProto.decode(await encodeModel(g)).graph!;
  const casts = node!.filter(({ opType }) => opType === "Cast");
  assert.deepEqual(casts.map(({ input }) => input![0]).sort(), ["a", "a", "b", "b"]);
  // First in the file is last in the run.
  assert.deepEqual(node!.slice(0, 4).map(({ opType }) => opType), Array(4).fill("Cast"));
});

Deno.test("an adapter on a base as float16 replays to the same version", async () => {
  const node = new Kernel(await cpuDevice());
  const load: LoadRequest = { policy: "p", source: TINY, lora, dtype: "fp16" };
  const { policyGradient } = golden("llama-tiny");
  const versions = [];
  for (let i = 0; i < 2; i++) {
    await node.load(load);
    const request: UpdateRequest = policyGradient({ policy: "p", seq: 1 });
    versions.push((await node.update(request)).policy_version);
  }
  assert.equal(versions[0], versions[1]);
});
