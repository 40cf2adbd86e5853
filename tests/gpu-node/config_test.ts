/** config.json of Llama checkpoints, the parameters it implies, and value heads. */
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
import { dataTest, GOLDEN } from "../support/data.ts";

const LLAMA = join(GOLDEN, "torch", "llama-tiny");
const json = JSON.parse(Deno.readTextFileSync(join(LLAMA, "config.json")));
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
    [{ model_type: undefined }, /model_type is undefined, known: llama/],
    [{ architectures: ["LlamaForSequenceClassification"] }, /architectures is .*LlamaForCausalLM$/],
    [{ rope_scaling: { factor: 8, rope_type: "llama3" } }, /rope_scaling is \{.*supported: null/],
    [{ rope_parameters: { rope_type: "yarn" } }, /rope_parameters\.rope_type is "yarn"/],
    [{ rope_parameters: { factor: 2 } }, /rope_parameters\.factor is 2, not supported/],
    [{ attention_bias: true }, /attention_bias is true, supported: false/],
    [{ mlp_bias: true }, /mlp_bias is true/],
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

Deno.test("readModelConfig names a folder without config.json and a file that is no JSON", () => {
  const path = folder();
  assert.match(refusal(() => readModelConfig(path)), /config\.json': no such file/);
  writeFileSync(join(path, "config.json"), "{");
  assert.match(refusal(() => readModelConfig(path)), /config\.json': it is not valid JSON/);
  writeFileSync(join(path, "config.json"), "[]");
  assert.match(refusal(() => readModelConfig(path)), /config\.json': it holds no JSON object/);
});

Deno.test("toHuggingFaceConfig is read back to the same configuration", () => {
  for (const change of [{}, { eos_token_id: [2, 3] }, { pad_token_id: null, bos_token_id: null }]) {
    const config = parse(change);
    assert.deepEqual(parseModelConfig(toHuggingFaceConfig(config), "x"), config);
  }
});

Deno.test("modelTensorShapes names every tensor of the golden Llama with its shape", () => {
  const { tensors } = readSafetensors(join(LLAMA, "model.safetensors"));
  const shapes = modelTensorShapes(readModelConfig(LLAMA));
  assert.deepEqual([...shapes.keys()].sort(), [...tensors.keys()].sort());
  for (const [name, shape] of shapes) assert.deepEqual(tensors.get(name)!.shape, shape);
});

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
