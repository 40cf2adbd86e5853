/**
 * Names and shapes of a model's parameters, as Hugging Face spells them, and the check that a
 * checkpoint holds exactly these. The value head (a critic's Linear → tanh → Linear) lies in a
 * file of its own beside the weights, so that other loaders find only what they know.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CollmError } from "../../shared/errors.ts";
import { openFinite } from "./checkpoint.ts";
import type { ModelConfig } from "./config.ts";
import type { Tensor } from "./safetensors.ts";

export type Shapes = Map<string, number[]>;

const EMBEDDING = "model.embed_tokens.weight";
const OUTPUT = "lm_head.weight";
/** Tables that old exporters stored; they follow from the configuration. */
const DERIVED = /^model\.(?:layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq$/;

export const VALUE_HEAD_FILE = "value_head.safetensors";

/** Every parameter of the model `config` describes, in forward order: name to [out, in] or [n]. */
export function modelTensorShapes(config: ModelConfig): Shapes {
  const { hiddenSize: hidden, intermediateSize: inner, headDim, heads, kvHeads } = config;
  const shapes: Shapes = new Map([[EMBEDDING, [config.vocabSize, hidden]]]);
  for (let layer = 0; layer < config.layers; layer++) {
    const set = (name: string, ...shape: number[]) => {
      shapes.set(`model.layers.${layer}.${name}.weight`, shape);
      if (hasBias(config, name)) shapes.set(`model.layers.${layer}.${name}.bias`, [shape[0]!]);
    };
    set("input_layernorm", hidden);
    set("self_attn.q_proj", heads * headDim, hidden);
    set("self_attn.k_proj", kvHeads * headDim, hidden);
    set("self_attn.v_proj", kvHeads * headDim, hidden);
    set("self_attn.o_proj", hidden, heads * headDim);
    if (config.architecture === "qwen3") {
      set("self_attn.q_norm", headDim);
      set("self_attn.k_norm", headDim);
    }
    set("post_attention_layernorm", hidden);
    set("mlp.gate_proj", inner, hidden);
    set("mlp.up_proj", inner, hidden);
    set("mlp.down_proj", hidden, inner);
  }
  shapes.set("model.norm.weight", [hidden]);
  if (!config.tied) shapes.set(OUTPUT, [config.vocabSize, hidden]);
  return shapes;
}

function hasBias({ architecture, attentionBias, mlpBias }: ModelConfig, name: string): boolean {
  if (/mlp\.\w+_proj$/.test(name)) return mlpBias === true;
  if (name === "self_attn.o_proj") return attentionBias === true;
  return name.endsWith("_proj") && (attentionBias === true || architecture === "qwen2");
}

/** Parameters of the value head: hidden → hidden → 1. */
export function valueHeadShapes(config: ModelConfig): Shapes {
  const n = config.hiddenSize;
  return new Map([
    ["value_head.0.weight", [n, n]],
    ["value_head.0.bias", [n]],
    ["value_head.2.weight", [1, n]],
    ["value_head.2.bias", [1]],
  ]);
}

/**
 * The parameters of `config` among `tensors`, in the order of modelTensorShapes. Throws CollmError
 * naming the first tensor that is missing, misshaped or unknown. Tables that the configuration
 * already determines, and a tied output layer stored a second time, are dropped.
 * `source` names the checkpoint in errors.
 */
export function checkTensors(
  config: ModelConfig,
  tensors: ReadonlyMap<string, Tensor>,
  source = "checkpoint",
): Map<string, Tensor> {
  const shapes = modelTensorShapes(config);
  const chosen = pick(shapes, tensors, source);
  for (const [name, tensor] of tensors) {
    const harmless = DERIVED.test(name) || name === OUTPUT && same(tensor, chosen.get(EMBEDDING)!);
    if (shapes.has(name) || harmless) continue;
    throw new CollmError(
      "invalid_request",
      `Cannot use ${source}: tensor '${name}' is no parameter of a ` +
        `${config.tied ? "tied " : ""}${config.architecture} model of ${config.layers} layers`,
    );
  }
  return chosen;
}

/**
 * The value head beside the weights in `folder`, or undefined when there is none.
 * Its layers may also be called `dense` and `out`.
 */
export function readValueHead(
  folder: string,
  config: ModelConfig,
): Map<string, Tensor> | undefined {
  const path = join(folder, VALUE_HEAD_FILE);
  if (!existsSync(path)) return undefined;
  const tensors = new Map<string, Tensor>();
  for (const [name, tensor] of openFinite(path)) {
    tensors.set(name.replace(".dense.", ".0.").replace(".out.", ".2."), tensor);
  }
  const shapes = valueHeadShapes(config);
  const unknown = [...tensors.keys()].find((name) => !shapes.has(name));
  if (unknown !== undefined) {
    throw new CollmError(
      "invalid_request",
      `Cannot use '${path}': tensor '${unknown}' is no parameter of a value head`,
    );
  }
  return pick(shapes, tensors, `'${path}'`);
}

/** The tensors that `shapes` names, in its order; throws for a missing or misshaped one. */
function pick(shapes: Shapes, tensors: ReadonlyMap<string, Tensor>, source: string) {
  const chosen = new Map<string, Tensor>();
  for (const [name, shape] of shapes) {
    const tensor = tensors.get(name);
    const wrong = tensor === undefined
      ? "is missing"
      : tensor.shape.join() !== shape.join()
      ? `has shape [${tensor.shape.join(", ")}], expected [${shape.join(", ")}]`
      : undefined;
    if (tensor === undefined || wrong !== undefined) {
      throw new CollmError("invalid_request", `Cannot use ${source}: tensor '${name}' ${wrong}`);
    }
    chosen.set(name, tensor);
  }
  return chosen;
}

function same(a: Tensor, b: Tensor): boolean {
  if (a.shape.join() !== b.shape.join()) return false;
  const [x, y] = [a.data, b.data];
  return x.every((value, i) => value === y[i]);
}
