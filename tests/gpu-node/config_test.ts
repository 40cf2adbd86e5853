/** config.json of Llama and Qwen checkpoints, the parameters it implies, and value heads. */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCheckpointTensors } from "../../gpu-node/model/checkpoint.ts";
import {
  parseModelConfig,
  readModelConfig,
  toHuggingFaceConfig,
} from "../../gpu-node/model/config.ts";
import {
  checkTensors,
  modelTensorShapes,
  readValueHead,
  valueHeadShapes,
} from "../../gpu-node/model/parameters.ts";
import {
  readSafetensors,
  type Tensor,
  writeSafetensors,
} from "../../gpu-node/model/safetensors.ts";
import { CollmError } from "../../shared/errors.ts";
import { dataTest } from "../support/data.ts";
import { FAMILIES, GOLDEN as TORCH } from "./golden.ts";

const LLAMA = join(TORCH, "llama-tiny");
const LLAMA3 = {
  rope_type: "llama3",
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
};
const json = JSON.parse(Deno.readTextFileSync(join(LLAMA, "config.json")));
const qwen = (type: "qwen2" | "qwen3") => ({
  model_type: type,
  architectures: [`Q${type.slice(1)}ForCausalLM`],
});
const parse = (change: Record<string, unknown>) =>
  parseModelConfig({ ...json, ...change }, "m/config.json");
const folder = () => mkdtempSync(join(tmpdir(), "collm-config-"));

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof CollmError, `${error}`);
    return error.message;
  }
  throw new assert.AssertionError({ message: "it was accepted" });
}

Deno.test("readModelConfig reads the golden Llama", () => {
  assert.deepEqual(readModelConfig(LLAMA), {
    architecture: "llama",
    vocabSize: 97,
    hiddenSize: 32,
    intermediateSize: 64,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headDim: 8,
    normEps: 1e-5,
    ropeTheta: 10000,
    tied: true,
    maxPositions: 256,
    bosId: 1,
    eosIds: [2],
    padId: 0,
  });
});

Deno.test("parseModelConfig takes the defaults of absent keys", () => {
  const config = parseModelConfig({
    model_type: "llama",
    hidden_size: 64,
    intermediate_size: 172,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    vocab_size: 300,
  }, "config.json");
  const { kvHeads, headDim, normEps, ropeTheta, tied, maxPositions, eosIds } = config;
  assert.deepEqual([kvHeads, headDim, normEps, ropeTheta, tied, maxPositions, eosIds], [
    4,
    16,
    1e-6,
    10000,
    false,
    2048,
    [],
  ]);
  assert.ok(!("bosId" in config) && !("padId" in config));
});

Deno.test("parseModelConfig reads nested rope parameters, several eos ids and null values", () => {
  assert.equal(
    parse({ rope_theta: undefined, rope_parameters: { rope_theta: 5e5, rope_type: "default" } })
      .ropeTheta,
    5e5,
  );
  assert.deepEqual(parse({ eos_token_id: [2, 5] }).eosIds, [2, 5]);
  assert.deepEqual(parse({ eos_token_id: null }).eosIds, []);
  assert.equal(parse({ pad_token_id: -1 }).padId, undefined);
  assert.equal(parse({ rope_scaling: null, head_dim: null }).headDim, 8);
});

Deno.test("parseModelConfig names file, key and value of what it cannot use", () => {
  const refused: [Record<string, unknown>, RegExp][] = [
    [{ model_type: "lama" }, /model_type is "lama", did you mean 'llama'\?/],
    [{ model_type: undefined }, /model_type is undefined, known: llama, qwen2, qwen3/],
    [{ architectures: ["LlamaForSequenceClassification"] }, /architectures is .*LlamaForCausalLM$/],
    [
      { model_type: "qwen2" },
      /architectures is \["LlamaForCausalLM"\], expected Qwen2ForCausalLM$/,
    ],
    [
      { rope_scaling: { factor: 8, rope_type: "llama3" } },
      /rope_scaling\.low_freq_factor is missing/,
    ],
    [{ rope_scaling: { ...LLAMA3, low_freq_factor: 4 } }, /high_freq_factor is 4, not above .* 4$/],
    [
      { rope_scaling: { type: "linear", factor: -1 } },
      /rope_scaling\.factor is -1, not a positive/,
    ],
    [{ rope_scaling: { type: "dynamic", factor: 2 } }, /rope_type is "dynamic", known: default/],
    [{ rope_scaling: "linear" }, /rope_scaling is "linear", not an object/],
    [{ rope_parameters: { rope_type: "yarn" } }, /rope_parameters\.rope_type is "yarn"/],
    [{ rope_parameters: { factor: 2 } }, /rope_parameters\.factor is 2, not supported/],
    [{ attention_bias: 1 }, /attention_bias is 1, not true or false/],
    [{ mlp_bias: "no" }, /mlp_bias is "no"/],
    [{ hidden_act: "gelu" }, /hidden_act is "gelu", supported: "silu"/],
    [{ quantization_config: { bits: 4 } }, /quantization_config is/],
    [{ hidden_size: undefined }, /hidden_size is missing/],
    [{ hidden_size: 32.5 }, /hidden_size is 32\.5, not a positive whole number/],
    [{ vocab_size: "97" }, /vocab_size is "97"/],
    [{ num_hidden_layers: 0 }, /num_hidden_layers is 0/],
    [{ num_key_value_heads: 3 }, /num_key_value_heads is 3, not a divisor of the 4 heads/],
    [{ head_dim: 7 }, /head_dim is 7/],
    [{ rms_norm_eps: 0 }, /rms_norm_eps is 0/],
    [{ rope_theta: "big" }, /rope_theta is "big"/],
    [{ tie_word_embeddings: 1 }, /tie_word_embeddings is 1/],
    [{ eos_token_id: [2, "x"] }, /eos_token_id is "x", not a token id/],
    [{ bos_token_id: -2 }, /bos_token_id is -2/],
  ];
  for (const [change, expected] of refused) {
    const message = refusal(() => parse(change));
    assert.match(message, expected);
    assert.match(message, /^Cannot use model configuration 'm\/config\.json': /);
  }
});

Deno.test("parseModelConfig reads rope scaling in each spelling", () => {
  const scaling = {
    type: "llama3",
    factor: 8,
    lowFrequency: 1,
    highFrequency: 4,
    originalPositions: 64,
  };
  assert.deepEqual(parse({ rope_scaling: LLAMA3 }).ropeScaling, scaling);
  const { rope_type: type, ...rest } = LLAMA3;
  assert.deepEqual(parse({ rope_scaling: { type, ...rest } }).ropeScaling, scaling);
  const newer = parse({ rope_theta: undefined, rope_parameters: { ...LLAMA3, rope_theta: 5e5 } });
  assert.deepEqual([newer.ropeScaling, newer.ropeTheta], [scaling, 5e5]);
  const linear = { type: "linear", factor: 2.5 };
  assert.deepEqual(parse({ rope_scaling: linear }).ropeScaling, linear);
  for (const plain of [null, { type: "default" }, { rope_type: "default", rope_theta: 10000 }]) {
    assert.deepEqual(parse({ rope_scaling: plain }), parse({}));
  }
});

Deno.test("parseModelConfig reads biases where the family can have them", () => {
  const shapes = (change: Record<string, unknown>) =>
    [...modelTensorShapes(parse({ num_hidden_layers: 1, ...change })).keys()]
      .filter((name) => name.endsWith(".bias") || name.includes("_norm."))
      .map((name) => name.split(".").slice(-2).join("."));
  const [q, k, v, o] = ["q", "k", "v", "o"].map((x) => `${x}_proj.bias`);
  const mlp = ["gate", "up", "down"].map((x) => `${x}_proj.bias`);
  const norms = ["q_norm.weight", "k_norm.weight"];
  assert.deepEqual(shapes({}), []);
  assert.deepEqual(shapes({ attention_bias: true }), [q, k, v, o]);
  assert.deepEqual(shapes({ mlp_bias: true }), mlp);
  // Qwen2's class has its own biases, whatever these keys say.
  assert.deepEqual(shapes({ ...qwen("qwen2"), attention_bias: false, mlp_bias: true }), [q, k, v]);
  assert.deepEqual(shapes(qwen("qwen3")), norms);
  assert.deepEqual(shapes({ ...qwen("qwen3"), attention_bias: true }), [q, k, v, o, ...norms]);
});

Deno.test("parseModelConfig takes Qwen's defaults of absent keys", () => {
  const absent = { head_dim: undefined, max_position_embeddings: undefined };
  const { headDim, maxPositions } = parse({ ...qwen("qwen3"), ...absent });
  assert.deepEqual([headDim, maxPositions], [128, 32768]);
  assert.equal(parse({ ...qwen("qwen2"), ...absent }).headDim, 8);
});

Deno.test("parseModelConfig refuses a sliding window only where a layer would use it", () => {
  const window = { sliding_window: 4096, max_window_layers: 1 };
  const model = qwen("qwen2");
  for (
    const harmless of [
      window,
      { ...window, use_sliding_window: false },
      { ...window, use_sliding_window: true, sliding_window: null },
      { ...window, use_sliding_window: true, max_window_layers: 2 },
      { ...window, layer_types: ["full_attention", "full_attention"] },
    ]
  ) assert.deepEqual(parse({ ...model, ...harmless }), parse(model));
  for (const acts of [{ use_sliding_window: true }, { layer_types: ["sliding_attention"] }]) {
    const message = refusal(() => parse({ ...model, ...window, ...acts }));
    assert.match(message, /: sliding_window is 4096, supported: none$/);
  }
});

Deno.test("readModelConfig names a folder without config.json and a file that is no JSON", () => {
  const path = folder();
  assert.match(refusal(() => readModelConfig(path)), /config\.json': no such file/);
  writeFileSync(join(path, "config.json"), "{");
  assert.match(refusal(() => readModelConfig(path)), /config\.json': it is not valid JSON/);
  writeFileSync(join(path, "config.json"), "[]");
  assert.match(refusal(() => readModelConfig(path)), /config\.json': it holds no JSON object/);
});

Deno.test("toHuggingFaceConfig is read back to the same configuration", () => {
  const changes = [
    {},
    { eos_token_id: [2, 3] },
    { pad_token_id: null, bos_token_id: null },
    { attention_bias: true, mlp_bias: true },
    { rope_scaling: LLAMA3 },
    { rope_scaling: { type: "linear", factor: 4 } },
    { ...qwen("qwen2"), tie_word_embeddings: false },
    { ...qwen("qwen3"), attention_bias: true },
  ];
  for (const change of changes) {
    const config = parse(change);
    assert.deepEqual(parseModelConfig(toHuggingFaceConfig(config), "x"), config);
  }
});

for (const family of FAMILIES) {
  Deno.test(`modelTensorShapes names every tensor of the golden ${family} with its shape`, () => {
    const { tensors } = readSafetensors(join(TORCH, family, "model.safetensors"));
    const shapes = modelTensorShapes(readModelConfig(join(TORCH, family)));
    assert.deepEqual([...shapes.keys()].sort(), [...tensors.keys()].sort());
    for (const [name, shape] of shapes) assert.deepEqual(tensors.get(name)!.shape, shape);
  });
}

Deno.test("modelTensorShapes adds an output layer of its own when embeddings are not tied", () => {
  const shapes = modelTensorShapes(parse({ tie_word_embeddings: false }));
  assert.deepEqual(shapes.get("lm_head.weight"), [97, 32]);
});

dataTest("checkTensors accepts a real checkpoint", "models/tinystories-260k", (path) => {
  const config = readModelConfig(path);
  const chosen = checkTensors(config, readCheckpointTensors(path), path);
  assert.deepEqual([...chosen.keys()], [...modelTensorShapes(config).keys()]);
});

Deno.test("checkTensors drops derived tables and a tied output layer, and nothing else", () => {
  const config = readModelConfig(LLAMA);
  const { tensors } = readSafetensors(join(LLAMA, "model.safetensors"));
  const table: Tensor = { dtype: "F32", shape: [4], data: new Float32Array(4) };
  const embedding = tensors.get("model.embed_tokens.weight")!;
  const more = new Map(tensors)
    .set("model.layers.1.self_attn.rotary_emb.inv_freq", table)
    .set("lm_head.weight", embedding);
  assert.deepEqual([...checkTensors(config, more).keys()], [...modelTensorShapes(config).keys()]);

  const other = { ...embedding, data: embedding.data.map((x) => x + 1) };
  assert.match(
    refusal(() => checkTensors(config, new Map(tensors).set("lm_head.weight", other), "'m'")),
    /^Cannot use 'm': tensor 'lm_head\.weight' is no parameter of a tied llama model of 2 layers$/,
  );
  const third = new Map(tensors).set("model.layers.2.input_layernorm.weight", table);
  assert.match(refusal(() => checkTensors(config, third)), /'model\.layers\.2\.input_layernorm/);
});

Deno.test("checkTensors names a missing and a misshaped tensor", () => {
  const config = readModelConfig(LLAMA);
  const { tensors } = readSafetensors(join(LLAMA, "model.safetensors"));
  const missing = new Map(tensors);
  missing.delete("model.norm.weight");
  assert.match(refusal(() => checkTensors(config, missing)), /'model\.norm\.weight' is missing/);
  assert.match(
    refusal(() => checkTensors({ ...config, vocabSize: 98 }, tensors)),
    /tensor 'model\.embed_tokens\.weight' has shape \[97, 32\], expected \[98, 32\]/,
  );
});

Deno.test("readValueHead reads the golden critic's head under both spellings", () => {
  const config = readModelConfig(LLAMA);
  const golden = readValueHead(LLAMA, config)!;
  assert.deepEqual([...golden.keys()], [...valueHeadShapes(config).keys()]);
  const path = folder();
  assert.equal(readValueHead(path, config), undefined);
  const renamed = [...golden].map(([name, tensor]) =>
    [name.replace(".0.", ".dense.").replace(".2.", ".out."), tensor] as const
  );
  writeSafetensors(join(path, "value_head.safetensors"), new Map(renamed));
  assert.deepEqual(readValueHead(path, config), golden);
});

Deno.test("readValueHead names a tensor that no value head of this width has", () => {
  const config = { ...readModelConfig(LLAMA), hiddenSize: 64 };
  assert.match(
    refusal(() => readValueHead(LLAMA, config)),
    /value_head\.safetensors': tensor 'value_head\.0\.weight' has shape \[32, 32\]/,
  );
  const path = folder();
  cpSync(join(LLAMA, "lora.safetensors"), join(path, "value_head.safetensors"));
  assert.match(
    refusal(() => readValueHead(path, config)),
    /tensor 'model\.layers\.0\.self_attn\.q_proj\.lora_A' is no parameter of a value head/,
  );
});

Deno.test("parseModelConfig takes the rope that scales where a file has both spellings", () => {
  const scaled = parse({ rope_scaling: { rope_type: "linear", factor: 4 } });
  for (const rope_parameters of [{}, { rope_type: "default", rope_theta: 10000 }]) {
    const both = parse({ rope_scaling: { rope_type: "linear", factor: 4 }, rope_parameters });
    assert.deepEqual(both.ropeScaling, scaled.ropeScaling);
  }
  const same = { rope_type: "linear", factor: 4 };
  assert.deepEqual(
    parse({ rope_scaling: { type: "linear", factor: 4 }, rope_parameters: same }).ropeScaling,
    scaled.ropeScaling,
  );
  assert.throws(
    () => parse({ rope_scaling: same, rope_parameters: { ...same, factor: 2 } }),
    /rope_scaling is not what rope_parameters is/,
  );
});
