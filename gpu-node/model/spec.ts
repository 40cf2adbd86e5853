/**
 * What programs are built from: configuration, parameter shapes and the adapter, if any. Policies
 * with equal keys run on the same programs. Parameter names are those of checkpoints; an adapter's
 * matrices are `<layer matrix>.lora_A` [rank, in] and `<layer matrix>.lora_B` [out, rank].
 */
import type { LoraTarget } from "../verbs.ts";
import type { ModelConfig } from "./config.ts";

export type Shapes = ReadonlyMap<string, readonly number[]>;

/** An adapter's form; its output is scaled by alpha/rank. */
export interface LoraSpec {
  rank: number;
  alpha: number;
  target_modules: LoraTarget[];
}

export interface ModelSpec {
  config: ModelConfig;
  /** Every parameter: the model's, the adapter's, the value head's. */
  shapes: Shapes;
  lora: LoraSpec | null;
  /** Equal for models that share programs. */
  key: string;
}

export const modelSpec = (
  config: ModelConfig,
  shapes: Shapes,
  lora: LoraSpec | null = null,
): ModelSpec => ({
  config,
  shapes,
  lora,
  key: JSON.stringify([config, lora, shapes.has("value_head.0.weight")]),
});

export const isAdapter = (name: string): boolean => /\.lora_[AB]$/.test(name);
export const isValueHead = (name: string): boolean => name.startsWith("value_head.");

/** Whether the parameter is held as float16: a matrix of the model, not what learns beside it. */
export const isHalf = ({ config, shapes }: Pick<ModelSpec, "config" | "shapes">, name: string) =>
  config.half === true && shapes.get(name)?.length === 2 && !isAdapter(name) && !isValueHead(name);

/** Whether updates change the parameter: with an adapter, the model's own weights stay. */
export const learns = (spec: ModelSpec, name: string): boolean =>
  spec.lora === null || isAdapter(name) || isValueHead(name);
