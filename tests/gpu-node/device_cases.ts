/**
 * The whole node on the device COLLM_TEST_DEVICE against the CPU's numbers. Run by device_test.ts
 * in a process of its own: a wrong use of a graphics driver ends the process instead of throwing.
 * By hand: COLLM_TEST_DEVICE=webgpu deno test -A tests/gpu-node/device_cases.ts
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { cpuDevice, openDevice } from "../../gpu-node/device.ts";
import { gradients } from "../../gpu-node/graph/gradient.ts";
import { Graph } from "../../gpu-node/graph/graph.ts";
import { cutOf, headLogprobs } from "../../gpu-node/graph/ops/head.ts";
import { reduceSum } from "../../gpu-node/graph/ops/shape.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { readCheckpointTensors } from "../../gpu-node/model/checkpoint.ts";
import type { DeviceName, LoadRequest, SampleResult, UpdateRequest } from "../../gpu-node/verbs.ts";
import { CollmError } from "../../shared/errors.ts";
import { uniforms } from "../../shared/random.ts";
import { REPOSITORY } from "../support/data.ts";
import { close, compareGradients, FAMILIES, golden, relative } from "./golden.ts";

const name = (Deno.env.get("COLLM_TEST_DEVICE") ?? "webgpu") as DeviceName;
const device = await openDevice(name);
const cpu = await cpuDevice();
// Programs are compiled once for all cases: on a software adapter they take seconds each.
const kernels = [new Kernel(cpu), new Kernel(device)] as const;
Deno.test.afterAll(async () => {
  for (const kernel of kernels) await kernel.close();
});

let policies = 0;

/** The same policy on the CPU and on the device, and its request defaults. */
async function both(family = "llama-tiny", more: Partial<LoadRequest> = {}) {
  const { folder, sequences, policyGradient } = golden(family);
  const policy = `p${policies++}`;
  for (const kernel of kernels) await kernel.load({ policy, source: folder, ...more });
  const each = async <T>(deed: (kernel: Kernel) => Promise<T>): Promise<[T, T]> => [
    await deed(kernels[0]),
    await deed(kernels[1]),
  ];
  const update = (request: Partial<UpdateRequest>) =>
    each((kernel) => kernel.update({ ...policyGradient({ policy }), ...request }));
  return { policy, folder, sequences, each, update };
}

const closeRows = (expected: number[][], actual: number[][], what: string) =>
  expected.forEach((row, i) => {
    assert.equal(actual[i]!.length, row.length);
    row.forEach((x, k) => close(actual[i]![k]!, x, 1e-4, `${what} ${i},${k}`));
  });

const tokensOf = (result: SampleResult | CollmError): number[] => {
  if (result instanceof CollmError) throw result;
  return result.completions[0]!.tokens;
};

for (const family of FAMILIES) {
  Deno.test(`score, gradients and sampled tokens of ${family} are the CPU's`, async () => {
    const { policy, sequences, each, update } = await both(family);
    const [expected, actual] = await each((kernel) => kernel.score(policy, sequences));
    closeRows(expected.logprobs, actual.logprobs, "logprob");
    assert.equal(actual.policy_version, expected.policy_version);
    const [a, b] = await update({ apply: false, report: "gradients" });
    relative(b.loss, a.loss, 1e-4, "loss");
    compareGradients(b.gradients!, a.gradients!, 1e-3);
    const prompts = sequences.map((s) => s.tokens.slice(0, s.prompt_length));
    const more = { max_tokens: 4, temperature: 1, stop_tokens: [] };
    const drawn = await each((kernel) =>
      kernel.sample({ policy, prompts, seeds: prompts.map((_, i) => i), ...more })
    );
    assert.deepEqual(
      drawn[1].completions.map((c) => c.tokens),
      drawn[0].completions.map((c) => c.tokens),
    );
  });
}

for (const family of FAMILIES) {
  Deno.test(`values of ${family} and gradients of the value loss are the CPU's`, async () => {
    const { policy, sequences, each, update } = await both(family);
    const reads = sequences.map((s) => ({ tokens: s.tokens, read_at: s.prompt_length - 1 }));
    const [expected, actual] = await each((kernel) => kernel.values(policy, reads));
    closeRows([expected.values], [actual.values], "value");
    const batch = sequences.map((s, i) => ({ ...s, target: i - 1, old_value: 0 }));
    const request = {
      loss: "value_mse",
      clip: 0.1,
      batch,
      apply: false,
      report: "gradients",
    } as const;
    const [a, b] = await update(request);
    relative(b.loss, a.loss, 1e-4, "loss");
    compareGradients(b.gradients!, a.gradients!, 1e-3);
  });
}

const LONG = Array.from({ length: 140 }, (_, i) => (7 * i + 3) % 97);

for (
  const [what, settings] of Object.entries({
    "at temperature 0.9": { temperature: 0.9 },
    "greedily": { temperature: 0 },
    "from the most likely tokens": { temperature: 1, top_p: 0.8, top_k: 20 },
    // More than one chunk, so that the cache is put behind and finished rows leave.
    "for 40 tokens": { temperature: 1, max_tokens: 40 },
    // Several blocks of a prompt, of which the first is common.
    "after long prompts": {
      temperature: 1,
      prompts: [[...LONG, 4], [...LONG, 9], LONG],
      max_tokens: 6,
    },
  })
) {
  Deno.test(`sample ${what} draws the CPU's tokens`, async () => {
    const { policy, each } = await both();
    const [expected, actual] = await each((kernel) =>
      kernel.sample({
        policy,
        prompts: [[5, 6, 7], [8, 9, 10, 11], [3, 3]],
        seeds: [1, 2, 3],
        max_tokens: 12,
        stop_tokens: [2],
        ...settings,
      })
    );
    actual.completions.forEach(({ tokens }, i) =>
      assert.deepEqual(tokens, expected.completions[i]!.tokens)
    );
    const logprobs = (of: typeof actual) => of.completions.map((c) => c.logprobs);
    closeRows(logprobs(expected), logprobs(actual), "logprob");
  });
}

for (const family of FAMILIES) {
  Deno.test(`three AdamW steps leave the CPU's parameters of ${family}, saved and loaded again`, async () => {
    const { policy, sequences, each, update } = await both(family);
    for (const seq of [1, 2, 3]) {
      const [a, b] = await update({ seq });
      relative(b.loss, a.loss, 1e-4, `loss of step ${seq}`);
    }
    const temp = await Deno.makeTempDir();
    const [a, b] = await each(async (kernel) => {
      const folder = join(temp, String(kernels.indexOf(kernel)));
      await kernel.save(policy, folder, { state: true });
      return { folder, tensors: readCheckpointTensors(folder) };
    });
    for (const [parameter, { data }] of a.tensors) {
      // Keys' biases have next to no gradient; Adam makes steps of whatever rounding leaves of it.
      if (parameter.endsWith("k_proj.bias")) continue;
      const actual = b.tensors.get(parameter)!.data;
      data.forEach((x, i) => close(actual[i]!, x, 1e-4, `${parameter} ${i}`));
    }

    // What the device saved goes on under the same version there, on the CPU under its content's.
    const version = (await kernels[1].list()).find((p) => p.policy === policy)!.policy_version;
    const source = b.folder;
    const loaded = await each((kernel) => kernel.load({ policy: "resumed", source }));
    assert.match(loaded[0].policy_version, /^3-[0-9a-f]{24}$/);
    assert.equal(loaded[1].policy_version, version);
    const [c, d] = await update({ policy: "resumed", seq: 4 });
    relative(d.loss, c.loss, 1e-4, "loss after loading");
    const scores = await each((kernel) => kernel.score("resumed", sequences));
    closeRows(scores[0].logprobs, scores[1].logprobs, "logprob after loading");
    await Deno.remove(temp, { recursive: true });
  });
}

Deno.test("update in several runs sums gradients to the CPU's step", async () => {
  const { policy, sequences, each, update } = await both();
  for (const seq of [1, 2]) {
    const [a, b] = await update({ seq, tokens_per_run: 24, max_grad_norm: 1 });
    relative(b.loss, a.loss, 1e-4, `loss of step ${seq}`);
    relative(b.grad_norm, a.grad_norm, 1e-4, `norm of step ${seq}`);
  }
  const scores = await each((kernel) => kernel.score(policy, sequences));
  closeRows(scores[0].logprobs, scores[1].logprobs, "logprob");
});

for (const family of FAMILIES) {
  Deno.test(`an adapter on ${family} learns and samples as on the CPU`, async () => {
    const { policy, sequences, each, update } = await both(family, {
      lora: { rank: 3, alpha: 6, seed: 1 },
    });
    for (const seq of [1, 2]) {
      const [a, b] = await update({ seq });
      relative(b.loss, a.loss, 1e-4, `loss of step ${seq}`);
      relative(b.grad_norm, a.grad_norm, 1e-4, `norm of step ${seq}`);
    }
    // A batch of both adapters.
    const other = await both(family, { lora: { rank: 2, alpha: 4, seed: 2 } });
    await other.update({ seq: 1 });
    const [expected, actual] = await each((kernel) =>
      kernel.sampleTogether([policy, other.policy].map((policy) => ({
        policy,
        prompts: [[5, 6, 7]],
        seeds: [1],
        max_tokens: 8,
        temperature: 1,
        stop_tokens: [],
      })))
    );
    assert.deepEqual(actual.map(tokensOf), expected.map(tokensOf));
    const scores = await each((kernel) => kernel.score(policy, sequences));
    closeRows(scores[0].logprobs, scores[1].logprobs, "logprob");
  });
}

Deno.test("the alternatives to scored tokens are the CPU's", async () => {
  const { policy, sequences, each } = await both();
  const alternatives = { count: 4, temperature: 0.7 };
  const [expected, actual] = await each((kernel) =>
    kernel.score(policy, sequences, { alternatives })
  );
  expected.alternatives!.forEach((listed, i) => {
    const found = actual.alternatives![i]!;
    assert.deepEqual(found.map((a) => a.tokens), listed.map((a) => a.tokens));
    closeRows(listed.map((a) => a.logprobs), found.map((a) => a.logprobs), "alternative");
  });
});

Deno.test("an adapter on a base as float16 gives the CPU's numbers, or the device lacks it by name", async () => {
  const { folder, sequences, policyGradient } = golden("llama-tiny");
  const policy = `p${policies++}`;
  const lora = { rank: 2, alpha: 4 };
  const load = { policy, source: folder, lora, dtype: "fp16" } as const;
  await kernels[0].load(load);
  try {
    await kernels[1].load(load);
  } catch (error) {
    assert.ok(error instanceof CollmError && name === "webgpu", String(error));
    const why = "its adapter lacks the feature shader-f16";
    assert.equal(error.message, `Cannot hold weights as float16 on device 'webgpu': ${why}`);
    await assert.rejects(kernels[1].score(policy, sequences), { code: "not_found" });
    return;
  }
  const request = policyGradient({ policy });
  const [a, b] = [await kernels[0].update(request), await kernels[1].update(request)];
  relative(b.grad_norm, a.grad_norm, 1e-3, "norm");
  const scores = [
    await kernels[0].score(policy, sequences),
    await kernels[1].score(policy, sequences),
  ];
  closeRows(scores[0]!.logprobs, scores[1]!.logprobs, "logprob");
  const draw = { policy, prompts: [[5, 6, 7]], seeds: [1], temperature: 1, stop_tokens: [] };
  const drawn = await Promise.all(kernels.map((k) => k.sample({ ...draw, max_tokens: 6 })));
  assert.deepEqual(tokensOf(drawn[1]!), tokensOf(drawn[0]!));
  const saved = await Deno.makeTempDir();
  await kernels[1].save(policy, saved, { form: "merged" });
  await Deno.remove(saved, { recursive: true });
});

Deno.test("a frozen policy scores and draws as on the CPU", async () => {
  const source = join(REPOSITORY, "models", "collm-tiny");
  const { policy, each } = await both("llama-tiny", { source, frozen: true });
  const request = { policy, prompts: [[5, 6, 7]], seeds: [1], temperature: 1, stop_tokens: [] };
  const [expected, actual] = await each((kernel) => kernel.sample({ ...request, max_tokens: 6 }));
  assert.deepEqual(tokensOf(actual), tokensOf(expected));
  const sequence = { tokens: [5, 6, 7, ...tokensOf(expected)], prompt_length: 3 };
  const scores = await each((kernel) => kernel.score(policy, [sequence]));
  closeRows(scores[0].logprobs, scores[1].logprobs, "logprob");
});

Deno.test("ppo_clip with a reference gives the CPU's gradients", async () => {
  const { policy, sequences, each, update } = await both();
  const [{ logprobs }] = await each((kernel) => kernel.score(policy, sequences));
  const batch = sequences.map((s, i) => ({
    ...s,
    advantage: i % 2 ? 1 : -0.5,
    old_logprobs: logprobs[i]!.map((x, k) => x + (k % 3 - 1) * 0.3),
    ref_logprobs: logprobs[i]!.map((x) => x - 0.1),
  }));
  for (const ratio of ["token", "sequence"] as const) {
    const [a, b] = await update({
      loss: "ppo_clip",
      ratio,
      batch,
      kl_coef: 0.1,
      apply: false,
      report: "gradients",
    });
    relative(b.loss, a.loss, 1e-4, `loss by ${ratio}`);
    compareGradients(b.gradients!, a.gradients!, 1e-3);
    assert.equal(b.clip_fraction, a.clip_fraction);
  }
});

Deno.test("update with recomputed blocks gives the CPU's gradients", async () => {
  const { update } = await both();
  const [a, b] = await update({ recompute: true, apply: false, report: "gradients" });
  compareGradients(b.gradients!, a.gradients!, 1e-3);
});

Deno.test("a vocabulary in pieces has the CPU's log-probabilities and gradients", async () => {
  const [rows, width, vocab] = [5, 8, 50];
  const g = new Graph();
  const hidden = g.input("hidden", "float32", ["rows", width]);
  const w = g.input("w", "float32", [vocab, width]);
  const targets = g.input("targets", "int32", ["rows"]);
  const y = headLogprobs(g, hidden, w, targets, { ...cutOf(vocab), count: 3, width: 17, last: 16 });
  const [dHidden, dW] = gradients(g, reduceSum(g, y, [0]), [hidden, w]);
  Object.entries({ y, dHidden: dHidden!, dW: dW! }).forEach(([key, t]) => g.output(key, t));
  const random = uniforms(7);
  const matrix = (n: number) => Float32Array.from({ length: n * width }, () => random() - 0.5);
  const feeds = {
    hidden: { data: matrix(rows), dims: [rows, width] },
    w: { data: matrix(vocab), dims: [vocab, width] },
    targets: { data: Int32Array.of(0, 16, 17, 49, 16), dims: [rows] },
  };
  const [a, b] = [
    await (await cpu.compile(g)).run(feeds),
    await (await device.compile(g)).run(feeds),
  ];
  for (const key of ["y", "dHidden", "dW"]) {
    const actual = b[key]!.data as Float32Array;
    (a[key]!.data as Float32Array).forEach((x, i) => close(actual[i]!, x, 1e-5, `${key} ${i}`));
  }
});

Deno.test("upload and read give a tensor's values back, whatever its rank", async () => {
  for (const dims of [[], [5], [2, 3], [2, 1, 4]]) {
    const size = dims.reduce((a, b) => a * b, 1);
    const data = Float32Array.from({ length: size }, (_, i) => i - 1.5);
    const tensor = await device.upload({ data, dims });
    assert.deepEqual([...tensor.dims], dims);
    assert.deepEqual(await device.read(tensor), data);
  }
});

Deno.test("run refuses a tensor of another device and one that was freed", async () => {
  const g = new Graph();
  const x = g.input("x", "float32", [2]);
  g.output("y", g.emit1("Add", [x, x], [2]));
  const away = await device.upload({ data: Float32Array.of(1, 2), dims: [2] });
  const [here, there] = [await cpu.compile(g), await device.compile(g)];
  if (away.location === "cpu") {
    assert.equal(name, "cuda", "only CUDA has no device memory of its own here");
    return;
  }
  await assert.rejects(here.run({ x: away }), {
    message: "Cannot run on device 'cpu': input 'x' is in the memory 'gpu-buffer'",
  });
  assert.deepEqual((await there.run({ x: away }))["y"]!.data, Float32Array.of(2, 4));
  away.dispose();
  await assert.rejects(there.run({ x: away }), {
    message: `Cannot run on device '${name}': input 'x' was freed`,
  });
  await Promise.all([here.release(), there.release()]);
});

Deno.test("health names the device; what fell back to the CPU is shapes and masks", async () => {
  const { policy, sequences } = await both();
  await kernels[1].score(policy, sequences);
  const { device: found, cpu_nodes, memory_bytes } = await kernels[1].health();
  assert.equal(found, name);
  assert.ok(memory_bytes > 2 ** 20);
  const heavy = /MatMul|Gemm|Softmax|Normalization|Rotary|Exp$|Tanh|Sigmoid|Gelu|Div|Sqrt|Scatter/;
  assert.deepEqual(Object.keys(cpu_nodes).filter((op) => heavy.test(op)), []);
  assert.deepEqual((await kernels[0].health()).cpu_nodes, {});
});
