/**
 * Configuration of a checkpoint (config.json) reduced to what our graphs need, refusing what they
 * do not compute (biases, rope scaling, other activations). A family is one entry of FAMILIES.
 */
import { join } from "node:path";
import { CollmError, suggest } from "../../shared/errors.ts";
import { readJsonObject } from "./files.ts";

/** Families that can learn here: model_type of config.json to the class that Hugging Face names. */
export const FAMILIES = { llama: "LlamaForCausalLM" } as const;
export type Architecture = keyof typeof FAMILIES;

export interface ModelConfig {
  architecture: Architecture;
  vocabSize: number;
  hiddenSize: number;
  /** Width of the gated feed-forward layer. */
  intermediateSize: number;
  layers: number;
  heads: number;
  /** Key and value heads; a divisor of `heads`. */
  kvHeads: number;
  headDim: number;
  normEps: number;
  ropeTheta: number;
  /** Whether the output layer is the transposed token embedding. */
  tied: boolean;
  maxPositions: number;
  bosId?: number;
  /** Any of these ends a text; may be empty. */
  eosIds: number[];
  padId?: number;
}

/** Reads `folder`/config.json; throws CollmError naming the file and the key it cannot accept. */
export function readModelConfig(folder: string): ModelConfig {
  const path = join(folder, "config.json");
  return parseModelConfig(readJsonObject(path), path);
}

/**
 * Model configuration from the object of a config.json. Absent keys take the defaults of Hugging
 * Face's LlamaConfig; sizes have no default. `path` only names the file in errors.
 */
export function parseModelConfig(json: Record<string, unknown>, path: string): ModelConfig {
  const refuse = (key: string, why: string) =>
    new CollmError(
      "invalid_request",
      `Cannot use model configuration '${path}': ${key} ${why}`,
    );
  const show = (key: string) => `is ${JSON.stringify(json[key])}`;
  const known = Object.keys(FAMILIES);
  const type = json.model_type;
  if (typeof type !== "string" || !known.includes(type)) {
    throw refuse("model_type", `${show("model_type")}, ${suggest(String(type), known)}`);
  }
  const architecture = type as Architecture;
  const classes = json.architectures ?? [FAMILIES[architecture]];
  if (!Array.isArray(classes) || !classes.includes(FAMILIES[architecture])) {
    throw refuse("architectures", `${show("architectures")}, expected ${FAMILIES[architecture]}`);
  }
  for (const [key, allowed] of Object.entries(ONLY)) {
    if (!allowed.includes(json[key] ?? allowed[0])) {
      throw refuse(key, `${show(key)}, supported: ${JSON.stringify(allowed[0])}`);
    }
  }

  const integer = (key: string, fallback?: number): number => {
    const value = json[key] ?? fallback;
    if (value === undefined) throw refuse(key, "is missing");
    if (!Number.isSafeInteger(value) || (value as number) < 1) {
      throw refuse(key, `${show(key)}, not a positive whole number`);
    }
    return value as number;
  };
  const positive = (key: string, value: unknown): number => {
    if (typeof value === "number" && value > 0 && Number.isFinite(value)) return value;
    throw refuse(key, `is ${JSON.stringify(value)}, not a positive number`);
  };
  const tokenId = (key: string, value: unknown): number => {
    if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
    throw refuse(key, `is ${JSON.stringify(value)}, not a token id`);
  };

  const hiddenSize = integer("hidden_size");
  const heads = integer("num_attention_heads");
  const kvHeads = integer("num_key_value_heads", heads);
  const headDim = integer("head_dim", Math.floor(hiddenSize / heads));
  if (heads % kvHeads !== 0) {
    throw refuse("num_key_value_heads", `is ${kvHeads}, not a divisor of the ${heads} heads`);
  }
  if (headDim % 2 !== 0) throw refuse("head_dim", `is ${headDim}, rotary positions need it even`);

  const rope = ropeParameters(json, refuse);
  const eos = json.eos_token_id ?? [];
  const tied = json.tie_word_embeddings ?? false;
  if (typeof tied !== "boolean") {
    throw refuse("tie_word_embeddings", `${show("tie_word_embeddings")}, not true or false`);
  }
  return {
    architecture,
    vocabSize: integer("vocab_size"),
    hiddenSize,
    intermediateSize: integer("intermediate_size"),
    layers: integer("num_hidden_layers"),
    heads,
    kvHeads,
    headDim,
    normEps: positive("rms_norm_eps", json.rms_norm_eps ?? 1e-6),
    ropeTheta: positive("rope_theta", rope.rope_theta ?? json.rope_theta ?? 10000),
    tied,
    maxPositions: integer("max_position_embeddings", 2048),
    ...(json.bos_token_id != null && { bosId: tokenId("bos_token_id", json.bos_token_id) }),
    eosIds: (Array.isArray(eos) ? eos : [eos]).map((id) => tokenId("eos_token_id", id)),
    // -1 is how the first Llama checkpoints say that they do not pad.
    ...(json.pad_token_id != null && json.pad_token_id !== -1 &&
      { padId: tokenId("pad_token_id", json.pad_token_id) }),
  };
}

/** Keys whose other values would change the mathematics; an absent key means the first value. */
const ONLY: Record<string, unknown[]> = {
  hidden_act: ["silu", "swish"],
  attention_bias: [false],
  mlp_bias: [false],
  rope_scaling: [null],
  partial_rotary_factor: [1],
  quantization_config: [null],
};

/** `rope_parameters` (newer files) when it asks for plain rotary positions; else refuses. */
function ropeParameters(
  json: Record<string, unknown>,
  refuse: (key: string, why: string) => CollmError,
): Record<string, unknown> {
  const value = json.rope_parameters ?? {};
  if (typeof value !== "object" || Array.isArray(value)) {
    throw refuse("rope_parameters", `is ${JSON.stringify(value)}, not an object`);
  }
  const parameters = value as Record<string, unknown>;
  const type = parameters.rope_type ?? "default";
  if (type !== "default") {
    throw refuse("rope_parameters.rope_type", `is ${JSON.stringify(type)}, supported: "default"`);
  }
  const extra = Object.keys(parameters).find((key) => key !== "rope_type" && key !== "rope_theta");
  if (extra !== undefined) {
    throw refuse(
      `rope_parameters.${extra}`,
      `is ${JSON.stringify(parameters[extra])}, not supported`,
    );
  }
  return parameters;
}

/** config.json that Hugging Face and Transformers.js read back to the same model. */
export function toHuggingFaceConfig(config: ModelConfig): Record<string, unknown> {
  const { eosIds, bosId, padId } = config;
  return {
    architectures: [FAMILIES[config.architecture]],
    model_type: config.architecture,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    hidden_act: "silu",
    rms_norm_eps: config.normEps,
    rope_theta: config.ropeTheta,
    attention_bias: false,
    mlp_bias: false,
    max_position_embeddings: config.maxPositions,
    tie_word_embeddings: config.tied,
    ...(bosId !== undefined && { bos_token_id: bosId }),
    ...(eosIds.length > 0 && { eos_token_id: eosIds.length === 1 ? eosIds[0] : eosIds }),
    ...(padId !== undefined && { pad_token_id: padId }),
    torch_dtype: "float32",
  };
}
