/**
 * Configuration of a checkpoint (config.json) reduced to what our graphs need, refusing what they
 * do not compute (sliding windows, other activations, quantized weights). A family is one entry of
 * FAMILIES; which parameters it has is parameters.ts's matter.
 */
import { join } from "node:path";
import { CollmError, suggest } from "../../shared/errors.ts";
import { readJsonObject } from "./files.ts";
import { parseRope, type RopeScaling, toHuggingFaceRope } from "./rope.ts";

/**
 * Families that can learn here by model_type of config.json: the class that Hugging Face names,
 * its keys for optional biases, and its defaults of absent keys. Qwen2 and Qwen2.5 are one family.
 */
export const FAMILIES = {
  llama: { class: "LlamaForCausalLM", biases: ["attention_bias", "mlp_bias"], positions: 2048 },
  qwen2: { class: "Qwen2ForCausalLM", biases: [], positions: 32768 },
  qwen3: { class: "Qwen3ForCausalLM", biases: ["attention_bias"], positions: 32768, headDim: 128 },
} as const satisfies Record<string, Family>;
export type Architecture = keyof typeof FAMILIES;

interface Family {
  class: string;
  biases: readonly ("attention_bias" | "mlp_bias")[];
  positions: number;
  /** Else hidden_size / heads. */
  headDim?: number;
}

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
  /** Absent: plain rotary positions. */
  ropeScaling?: RopeScaling;
  /** Biases of all four attention matrices (Qwen2 has those of q, k and v in any case). */
  attentionBias?: true;
  /** Biases of the feed-forward matrices. */
  mlpBias?: true;
  /** Whether the output layer is the transposed token embedding. */
  tied: boolean;
  maxPositions: number;
  bosId?: number;
  /** Any of these ends a text; may be empty. */
  eosIds: number[];
  padId?: number;
  /** Matrices of the model are held as float16, under an adapter that is not. */
  half?: true;
}

/** Reads `folder`/config.json; throws CollmError naming the file and the key it cannot accept. */
export function readModelConfig(folder: string): ModelConfig {
  const path = join(folder, "config.json");
  return parseModelConfig(readJsonObject(path), path);
}

/**
 * Model configuration from the object of a config.json. Absent keys take the defaults of Hugging
 * Face's configuration classes; sizes have no default. `path` only names the file in errors.
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
  const family: Family = FAMILIES[architecture];
  const classes = json.architectures ?? [family.class];
  if (!Array.isArray(classes) || !classes.includes(family.class)) {
    throw refuse("architectures", `${show("architectures")}, expected ${family.class}`);
  }
  for (const [key, allowed] of Object.entries(ONLY)) {
    if (!allowed.includes(json[key] ?? allowed[0])) {
      throw refuse(key, `${show(key)}, supported: ${JSON.stringify(allowed[0])}`);
    }
  }
  if (slides(json)) throw refuse("sliding_window", `${show("sliding_window")}, supported: none`);

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
  const flag = (key: string): boolean => {
    const value = json[key] ?? false;
    if (typeof value !== "boolean") throw refuse(key, `${show(key)}, not true or false`);
    return value;
  };
  const tokenId = (key: string, value: unknown): number => {
    if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
    throw refuse(key, `is ${JSON.stringify(value)}, not a token id`);
  };

  const hiddenSize = integer("hidden_size");
  const heads = integer("num_attention_heads");
  const kvHeads = integer("num_key_value_heads", heads);
  const headDim = integer("head_dim", family.headDim ?? Math.floor(hiddenSize / heads));
  if (heads % kvHeads !== 0) {
    throw refuse("num_key_value_heads", `is ${kvHeads}, not a divisor of the ${heads} heads`);
  }
  if (headDim % 2 !== 0) throw refuse("head_dim", `is ${headDim}, rotary positions need it even`);

  const biased = (key: Family["biases"][number]) => family.biases.includes(key) && flag(key);
  const eos = json.eos_token_id ?? [];
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
    ...parseRope(json, refuse),
    ...(biased("attention_bias") && { attentionBias: true as const }),
    ...(biased("mlp_bias") && { mlpBias: true as const }),
    tied: flag("tie_word_embeddings"),
    maxPositions: integer("max_position_embeddings", family.positions),
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
  partial_rotary_factor: [1],
  quantization_config: [null],
};

/** Whether some layer sees only the latest tokens of a long text, as Qwen's files can ask for. */
function slides(json: Record<string, unknown>): boolean {
  const { layer_types: types, use_sliding_window: wanted, sliding_window: width } = json;
  if (Array.isArray(types)) return types.some((type) => type !== "full_attention");
  const { max_window_layers: from = 28, num_hidden_layers: layers } = json;
  return wanted === true && width !== null && Number(from) < Number(layers);
}

/** config.json that Hugging Face and Transformers.js read back to the same model. */
export function toHuggingFaceConfig(config: ModelConfig): Record<string, unknown> {
  const { eosIds, bosId, padId } = config;
  const family: Family = FAMILIES[config.architecture];
  return {
    architectures: [family.class],
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
    ...toHuggingFaceRope(config),
    ...Object.fromEntries(family.biases.map((key) => [key, config[BIAS[key]] ?? false])),
    max_position_embeddings: config.maxPositions,
    tie_word_embeddings: config.tied,
    ...(bosId !== undefined && { bos_token_id: bosId }),
    ...(eosIds.length > 0 && { eos_token_id: eosIds.length === 1 ? eosIds[0] : eosIds }),
    ...(padId !== undefined && { pad_token_id: padId }),
    torch_dtype: "float32",
  };
}

const BIAS = { attention_bias: "attentionBias", mlp_bias: "mlpBias" } as const;
