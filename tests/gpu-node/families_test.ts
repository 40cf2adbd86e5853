/**
 * Forms of the model families that no golden file has (biases, rope scaling, untied heads, other
 * groupings) against a plain float64 decoder; exports of all of them in Transformers.js.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { loadTransformers } from "../../deps.ts";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { readCheckpointTensors } from "../../gpu-node/model/checkpoint.ts";
import { parseModelConfig, readModelConfig } from "../../gpu-node/model/config.ts";
import { writeModel } from "../../gpu-node/model/export.ts";
import { modelTensorShapes } from "../../gpu-node/model/parameters.ts";
import { ropeFrequencies } from "../../gpu-node/model/rope.ts";
import { writeSafetensors } from "../../gpu-node/model/safetensors.ts";
import { seedOf, uniforms } from "../../shared/random.ts";
import { close, FAMILIES, golden } from "./golden.ts";
import { frequencies, referenceLogprobs } from "./reference_model.ts";

const LLAMA = golden("llama-tiny").folder;
const base = JSON.parse(Deno.readTextFileSync(join(LLAMA, "config.json")));
const qwen = (type: "qwen2" | "qwen3") => ({
  model_type: type,
  architectures: [`Q${type.slice(1)}ForCausalLM`],
});
const LLAMA3 = {
  rope_type: "llama3",
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
};

const FORMS: Record<string, Record<string, unknown>> = {
  "llama with all biases and a key head per head": {
    attention_bias: true,
    mlp_bias: true,
    num_key_value_heads: 4,
  },
  "llama with an output layer of its own": { tie_word_embeddings: false },
  "llama with llama3 rope scaling": { rope_scaling: LLAMA3, head_dim: 16 },
  "llama with linear rope scaling": { rope_scaling: { rope_type: "linear", factor: 4 } },
  "llama with one key head": { num_key_value_heads: 1 },
  "qwen2 with grouped heads and linear rope scaling": {
    ...qwen("qwen2"),
    tie_word_embeddings: false,
    rope_scaling: { rope_type: "linear", factor: 2 },
  },
  "qwen3 with biases and llama3 rope scaling": {
    ...qwen("qwen3"),
    attention_bias: true,
    tie_word_embeddings: false,
    rope_scaling: LLAMA3,
  },
  "qwen2 with llama3 rope scaling": { ...qwen("qwen2"), rope_scaling: LLAMA3 },
  "qwen3 with linear rope scaling": {
    ...qwen("qwen3"),
    rope_scaling: { rope_type: "linear", factor: 4 },
  },
  "qwen3 with a key head per head": { ...qwen("qwen3"), num_key_value_heads: 4, head_dim: 12 },
};

/** A folder with random weights in which every parameter matters: biases and norms too. */
function randomFolder(form: Record<string, unknown>): string {
  const folder = Deno.makeTempDirSync();
  const json = { ...base, ...form };
  const tensors = [...modelTensorShapes(parseModelConfig(json, "config.json"))].map(
    ([name, shape]) => {
      const random = uniforms(seedOf("families", name));
      const spread = shape.length === 1 ? 0.5 : 2 / Math.sqrt(shape[1]!);
      const centre = name.endsWith("norm.weight") ? 1 : 0;
      const size = shape.reduce((a, b) => a * b, 1);
      const data = Float32Array.from({ length: size }, () => centre + spread * (2 * random() - 1));
      return [name, { shape, data }] as const;
    },
  );
  Deno.writeTextFileSync(join(folder, "config.json"), JSON.stringify(json));
  writeSafetensors(join(folder, "model.safetensors"), new Map(tensors));
  return folder;
}

async function kernel(source: string): Promise<Kernel> {
  const node = new Kernel(await cpuDevice());
  await node.load({ policy: "p", source });
  return node;
}

const TOKENS = Array.from({ length: 150 }, (_, i) => (i * 37 + i * i) % 97);
const PROMPT = TOKENS.slice(0, 9);

async function greedy(node: Kernel): Promise<{ tokens: number[]; logprobs: number[] }> {
  const { completions } = await node.sample({
    policy: "p",
    prompts: [PROMPT],
    seeds: [0],
    max_tokens: 24,
    temperature: 0,
    stop_tokens: [],
  });
  return completions[0]!;
}

/** What Transformers.js generates after PROMPT from the folder, without a tokenizer. */
async function generated(folder: string, count: number, prompt = PROMPT): Promise<number[]> {
  const { AutoModelForCausalLM, Tensor } = await loadTransformers();
  const model = await AutoModelForCausalLM.from_pretrained(folder, {
    local_files_only: true,
    dtype: "fp32",
    device: "cpu",
  });
  const row = (values: number[]) =>
    new Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
  const output = await model.generate({
    input_ids: row(prompt),
    attention_mask: row(prompt.map(() => 1)),
    max_new_tokens: count,
    do_sample: false,
    // deno-lint-ignore no-explicit-any -- the option's type wants a configuration object
    eos_token_id: -1 as any,
  });
  await model.dispose();
  // deno-lint-ignore no-explicit-any -- the library's return type is a union without tolist
  return (output as any).tolist()[0].map(Number).slice(prompt.length);
}

for (const family of FAMILIES) {
  const { folder, expected, sequences } = golden(family);
  Deno.test(`the plain decoder agrees with PyTorch on ${family}`, () => {
    sequences.forEach(({ tokens, prompt_length }, i) => {
      const logprobs = referenceLogprobs(folder, tokens).slice(prompt_length - 1);
      logprobs.forEach((x, t) => close(x, expected.response_logprobs[i][t], 1e-5, `${i},${t}`));
    });
  });

  Deno.test(`save of ${family} gives Transformers.js PyTorch's greedy tokens`, async () => {
    const target = join(await Deno.makeTempDir(), "exported");
    const node = await kernel(folder);
    await node.save("p", target);
    const { prompt, new_tokens } = expected.greedy;
    assert.deepEqual(await generated(target, new_tokens.length, prompt), new_tokens);
    const [before, after] = await Promise.all([node.list(), (await kernel(target)).list()]);
    assert.equal(after[0]!.policy_version, before[0]!.policy_version);
    await Deno.remove(target, { recursive: true });
  });
}

Deno.test("writeModel puts large weights beside the ONNX file where Transformers.js finds them", async () => {
  const { folder, expected } = golden("qwen3-tiny");
  const tensors = readCheckpointTensors(folder);
  const bytes = [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
  const target = await Deno.makeTempDir();
  await writeModel(readModelConfig(folder), tensors, target, { inline: bytes - 1, file: 40_000 });
  const files = [...Deno.readDirSync(join(target, "onnx"))].map((f) => f.name).sort();
  const data = files.filter((name) => name !== "model.onnx");
  assert.ok(data.length > 2, files.join());
  assert.deepEqual(data, [
    "model.onnx_data",
    ...data.slice(1).map((_, i) => `model.onnx_data_${i + 1}`),
  ]);
  const sizes = files.map((name) => Deno.statSync(join(target, "onnx", name)).size);
  assert.ok(sizes.every((size) => size <= 40_000), sizes.join());
  const { prompt, new_tokens } = expected.greedy;
  assert.deepEqual(await generated(target, new_tokens.length, prompt), new_tokens);
  // And it is still the folder that we read.
  const { logprobs } = await (await kernel(target)).score("p", [{
    tokens: TOKENS,
    prompt_length: 1,
  }]);
  const original = await (await kernel(folder)).score("p", [{ tokens: TOKENS, prompt_length: 1 }]);
  assert.deepEqual(logprobs, original.logprobs);
  await Deno.remove(target, { recursive: true });
});

for (const [name, form] of Object.entries(FORMS)) {
  Deno.test(`score, sample and save of ${name} agree with the plain decoder`, async () => {
    const folder = randomFolder(form);
    const node = await kernel(folder);
    const expected = referenceLogprobs(folder, TOKENS);
    const { logprobs } = await node.score("p", [{ tokens: TOKENS, prompt_length: 1 }]);
    logprobs[0]!.forEach((x, t) => close(x, expected[t]!, 1e-4, `position ${t}`));

    const sampled = await greedy(node);
    const after = referenceLogprobs(folder, [...PROMPT, ...sampled.tokens]);
    sampled.logprobs.forEach((x, t) => close(x, after[PROMPT.length - 1 + t]!, 1e-4, `token ${t}`));

    const target = join(folder, "exported");
    await node.save("p", target);
    assert.deepEqual(await generated(target, sampled.tokens.length), sampled.tokens);
    const again = await (await kernel(target)).score("p", [{ tokens: TOKENS, prompt_length: 1 }]);
    assert.deepEqual(again.logprobs, logprobs);
    await Deno.remove(folder, { recursive: true });
  });

  Deno.test(`update of ${name} changes all its parameters`, async () => {
    const folder = randomFolder(form);
    const node = await kernel(folder);
    const { gradients } = await node.update({
      policy: "p",
      seq: 1,
      loss: "cross_entropy",
      batch: [{ tokens: TOKENS.slice(0, 40), prompt_length: 1 }],
      optimizer: { name: "adamw", learning_rate: 0.01 },
      apply: false,
      report: "gradients",
    });
    const shapes = modelTensorShapes(parseModelConfig({ ...base, ...form }, "config.json"));
    assert.deepEqual(Object.keys(gradients!).sort(), [...shapes.keys()].sort());
    for (const [parameter, { norm }] of Object.entries(gradients!)) {
      // A bias of all keys shifts every score of a query alike, unless rotation tells them apart.
      assert.ok(norm > 1e-5, `${parameter} ${norm}`);
    }
    await Deno.remove(folder, { recursive: true });
  });
}

Deno.test("ropeFrequencies are Llama 3.1's by the published formula, in each of its three ranges", () => {
  const json = {
    rope_theta: 500000,
    rope_scaling: { ...LLAMA3, original_max_position_embeddings: 8192 },
  };
  const { ropeTheta, ropeScaling } = parseModelConfig({ ...base, ...json }, "config.json");
  const scaled = ropeFrequencies({ headDim: 128, ropeTheta, ropeScaling: ropeScaling! });
  const expected = frequencies(json, 128);
  scaled.forEach((x, i) => close(x / expected[i]!, 1, 1e-12, `frequency ${i}`));
  const plain = ropeFrequencies({ headDim: 128, ropeTheta });
  const ratios = scaled.map((x, i) => plain[i]! / x);
  // Wavelengths of Llama 3.1: 2048 positions and less stay, 8192 and more stretch eightfold.
  const wave = (i: number) => 2 * Math.PI / plain[i]!;
  ratios.forEach((ratio, i) => {
    if (wave(i) < 2048) assert.equal(ratio, 1);
    else if (wave(i) > 8192) close(ratio, 8, 1e-12, `ratio ${i}`);
    else assert.ok(ratio > 1 && ratio < 8, `ratio ${i}: ${ratio}`);
  });
  assert.deepEqual([1, 8].map((r) => ratios.filter((x) => Math.abs(x - r) < 1e-9).length), [
    29,
    29,
  ]);
});

Deno.test("score refuses a text longer than the rotary tables, though the model takes longer ones", async () => {
  const folder = randomFolder({ max_position_embeddings: 131072 });
  const node = await kernel(folder);
  const tokens = new Array(32769).fill(1);
  await assert.rejects(node.score("p", [{ tokens, prompt_length: 1 }]), {
    message: "Cannot score policy 'p': 32769 tokens exceed its 32768 positions",
  });
  await Deno.remove(folder, { recursive: true });
});

Deno.test("score of a scaled model differs from the unscaled one, more at later positions", async () => {
  const logprobsOf = async (rope_scaling: unknown) => {
    const folder = randomFolder({ head_dim: 16, rope_scaling });
    const { logprobs } = await (await kernel(folder)).score("p", [
      { tokens: TOKENS, prompt_length: 1 },
    ]);
    await Deno.remove(folder, { recursive: true });
    return logprobs[0]!;
  };
  const [plain, scaled] = [await logprobsOf(null), await logprobsOf(LLAMA3)];
  const distance = (from: number, to: number) =>
    plain.slice(from, to).reduce((sum, x, i) => sum + Math.abs(x - scaled[from + i]!), 0);
  assert.equal(distance(0, 1), 0);
  assert.ok(distance(129, 149) > 2 * distance(1, 21), `${distance(129, 149)} ${distance(1, 21)}`);
});
