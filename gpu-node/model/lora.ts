/**
 * LoRA adapters: their shapes, their initial values, PEFT folders (adapter_config.json and
 * adapter_model.safetensors) and the merge into the base's weights, W + (alpha/rank)·B·A
 * (arXiv 2106.09685). Leaves out what changes that formula: DoRA, per-layer ranks, trained biases.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CollmError } from "../../shared/errors.ts";
import { seedOf, uniforms } from "../../shared/random.ts";
import { LORA_TARGETS, type LoraTarget } from "../verbs.ts";
import { openFinite } from "./checkpoint.ts";
import { readJsonObject } from "./files.ts";
import type { TensorData } from "./safetensors.ts";
import { isAdapter, type LoraSpec, type Shapes } from "./spec.ts";

export const ADAPTER_CONFIG = "adapter_config.json";
export const ADAPTER_WEIGHTS = "adapter_model.safetensors";

export const isAdapterFolder = (folder: string): boolean =>
  existsSync(join(folder, ADAPTER_CONFIG));

/** Shapes of an adapter's matrices on a model of `shapes`, in the model's order. */
export function adapterShapes(shapes: Shapes, { rank, target_modules }: LoraSpec): Shapes {
  const found: [string, number[]][] = [];
  for (const [name, shape] of shapes) {
    const match = /^(.*\.(\w+_proj))\.weight$/.exec(name);
    if (!match || !target_modules.includes(match[2] as LoraTarget)) continue;
    const [rows, columns] = shape as [number, number];
    found.push([`${match[1]}.lora_A`, [rank, columns]], [`${match[1]}.lora_B`, [rows, rank]]);
  }
  return new Map(found);
}

/** A uniform in ±1/√in, B zero: a fresh adapter changes nothing. */
export function freshAdapter(shapes: Shapes, seed: number): Map<string, TensorData> {
  return new Map([...shapes].map(([name, [rows, columns]]) => {
    const data = new Float32Array(rows! * columns!);
    if (name.endsWith("lora_A")) {
      const random = uniforms(seedOf("adapter", seed, name));
      const bound = 1 / Math.sqrt(columns!);
      for (let i = 0; i < data.length; i++) data[i] = bound * (2 * random() - 1);
    }
    return [name, { shape: [rows!, columns!], data }];
  }));
}

/** Far beyond any in use; alpha/rank and its products stay well inside float32. */
const ALPHAS = [1e-6, 1e6] as const;
export const isAlpha = (alpha: unknown): alpha is number =>
  typeof alpha === "number" && alpha >= ALPHAS[0] && alpha <= ALPHAS[1];

/** Options that leave the formula as it is; any other value is refused. */
const PLAIN: Record<string, unknown[]> = {
  peft_type: ["LORA"],
  bias: ["none"],
  use_dora: [false],
  use_rslora: [false],
  fan_in_fan_out: [false],
  rank_pattern: [{}],
  alpha_pattern: [{}],
  modules_to_save: [null],
  layers_to_transform: [null],
  use_qalora: [false],
  target_parameters: [null],
  exclude_modules: [null],
  layer_replication: [null],
  task_type: ["CAUSAL_LM"],
};
/** Beginnings that leave the base as it is; others (`pissa`, `olora`, …) put a residual there. */
const HARMLESS_STARTS: unknown[] = [true, false, "gaussian", "eva", "orthogonal"];
/** Lists of nothing mean what null does. */
const given = (value: unknown) => Array.isArray(value) && value.length === 0 ? null : value;

/** What the adapter_config.json of `folder` says; throws CollmError naming file and key. */
export function readAdapterConfig(folder: string): { spec: LoraSpec; base: string | null } {
  const path = join(folder, ADAPTER_CONFIG);
  const json = readJsonObject(path);
  const refuse = (key: string, expected: string) =>
    new CollmError(
      "invalid_request",
      `Cannot use adapter configuration '${path}': ${key} is ${JSON.stringify(json[key])}, ` +
        `expected ${expected}`,
    );
  for (const [key, [only]] of Object.entries(PLAIN)) {
    if (JSON.stringify(given(json[key]) ?? only) !== JSON.stringify(only)) {
      throw refuse(key, JSON.stringify(only));
    }
  }
  if (!HARMLESS_STARTS.includes(json.init_lora_weights ?? true)) {
    throw refuse("init_lora_weights", `one of ${HARMLESS_STARTS.join(", ")}: the base is changed`);
  }
  const { r: rank, lora_alpha: alpha, target_modules: targets, base_model_name_or_path } = json;
  if (!Number.isSafeInteger(rank) || (rank as number) < 1) throw refuse("r", "a positive number");
  if (!isAlpha(alpha)) throw refuse("lora_alpha", `a number from ${ALPHAS.join(" to ")}`);
  const known = (name: unknown) => LORA_TARGETS.includes(name as LoraTarget);
  if (!Array.isArray(targets) || targets.length === 0 || !targets.every(known)) {
    throw refuse("target_modules", `a list out of ${LORA_TARGETS.join(", ")}`);
  }
  return {
    spec: { rank: rank as number, alpha, target_modules: sortTargets(targets as LoraTarget[]) },
    base: typeof base_model_name_or_path === "string" ? base_model_name_or_path : null,
  };
}

/** In one order, so that equal adapters have equal programs. */
export const sortTargets = (targets: readonly LoraTarget[]): LoraTarget[] =>
  LORA_TARGETS.filter((name) => targets.includes(name));

/** adapter_config.json as PEFT reads it. */
export const toPeftConfig = ({ rank, alpha, target_modules }: LoraSpec, base: string) => ({
  peft_type: "LORA",
  task_type: "CAUSAL_LM",
  base_model_name_or_path: base,
  r: rank,
  lora_alpha: alpha,
  lora_dropout: 0,
  target_modules,
  bias: "none",
  fan_in_fan_out: false,
  init_lora_weights: true,
  inference_mode: true,
});

const PEFT_NAME =
  /^(?:base_model\.model\.)?(model\.layers\.\d+\.\w+\.\w+\.lora_[AB])(?:\.weight)?$/;

export const toPeftName = (name: string): string => `base_model.model.${name}.weight`;

/** The matrices of the PEFT folder `folder`, which must be exactly those of `shapes`. */
export function readAdapter(folder: string, shapes: Shapes): Map<string, TensorData> {
  const path = join(folder, ADAPTER_WEIGHTS);
  const tensors = new Map<string, TensorData>();
  const refuse = (name: string, why: string) =>
    new CollmError("invalid_request", `Cannot use '${path}': tensor '${name}' ${why}`);
  for (const [stored, tensor] of openFinite(path)) {
    const name = PEFT_NAME.exec(stored)?.[1];
    if (name === undefined || !shapes.has(name)) {
      throw refuse(stored, "is no matrix of this adapter on this base");
    }
    tensors.set(name, tensor);
  }
  return new Map([...shapes].map(([name, shape]) => {
    const tensor = tensors.get(name);
    if (!tensor) throw refuse(name, "is missing");
    if (tensor.shape.join() !== shape.join()) {
      throw refuse(name, `has shape [${tensor.shape.join(", ")}], expected [${shape.join(", ")}]`);
    }
    return [name, tensor];
  }));
}

/**
 * The base's weights with the adapter added in: name to data, for every matrix that the adapter
 * changes. `get` reads a parameter's values.
 */
export function mergedWeights(
  shapes: Shapes,
  lora: LoraSpec,
  get: (name: string) => Float32Array,
): Map<string, Float32Array> {
  const merged = new Map<string, Float32Array>();
  const scale = lora.alpha / lora.rank;
  for (const name of [...shapes.keys()].filter((n) => isAdapter(n) && n.endsWith("A"))) {
    const matrix = name.slice(0, -".lora_A".length);
    const weight = get(`${matrix}.weight`).slice();
    const [a, b] = [get(name), get(`${matrix}.lora_B`)];
    const [rows, columns] = shapes.get(`${matrix}.weight`) as [number, number];
    for (let i = 0; i < rows; i++) {
      for (let k = 0; k < lora.rank; k++) {
        const factor = scale * b[i * lora.rank + k]!;
        if (factor === 0) continue;
        const [from, to] = [k * columns, i * columns];
        for (let j = 0; j < columns; j++) weight[to + j]! += factor * a[from + j]!;
      }
    }
    merged.set(`${matrix}.weight`, weight);
  }
  return merged;
}
