/**
 * A policy as a folder that Hugging Face tools (config.json, model.safetensors, tokenizer) and
 * Transformers.js (onnx/model.onnx beside them) both load. The ONNX file is the step graph with a
 * key/value cache that `generate` drives; its dimension names are the ones that loader looks for.
 */
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { OnnxTensor } from "../../deps.ts";
import { CollmError } from "../../shared/errors.ts";
import { valuesOf } from "../device/half.ts";
import { encodeModel } from "../graph/encode.ts";
import { Graph } from "../graph/graph.ts";
import { cast, compare, where } from "../graph/ops/elementwise.ts";
import { linear } from "../graph/ops/linear.ts";
import { concat, dimension, reshapeTo, shapeOf } from "../graph/ops/shape.ts";
import type { Tensor } from "../graph/tensor.ts";
import { hubIdOf } from "../hub.ts";
import type { Policy } from "../policy.ts";
import { OPTIMIZER_FILE, savedState, STATE_FILE } from "../training_state.ts";
import type { SaveOptions } from "../verbs.ts";
import { weightsAsConstants } from "../program/weights.ts";
import { cachedDecoder, cachedWeights } from "./cached.ts";
import { type ModelConfig, toHuggingFaceConfig } from "./config.ts";
import { EXTERNAL_LIMITS, externalFiles } from "./external.ts";
import { rotaryTables } from "./decoder.ts";
import { writeFileAtomic, writeJsonAtomic } from "./files.ts";
import { writeFolder } from "./folder.ts";
import {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  mergedWeights,
  toPeftConfig,
  toPeftName,
} from "./lora.ts";
import { VALUE_HEAD_FILE } from "./parameters.ts";
import { positionsOf } from "./rope.ts";
import { sizeOf, type TensorData, writeSafetensors } from "./safetensors.ts";
import { isAdapter, isValueHead, type ModelSpec, modelSpec } from "./spec.ts";

/** Writes a policy as the checkpoint folder `target`: whole or not at all, instead of one there. */
export async function writeCheckpoint(
  policy: Policy,
  target: string,
  { state = false, form = "adapter" }: SaveOptions,
): Promise<void> {
  if (policy.base && resolve(target) === policy.base.source) {
    const why = "the base of the policy is there";
    throw new CollmError("conflict", `Cannot save policy '${policy.name}' to '${target}': ${why}`);
  }
  if (state && policy.spec.lora && form === "merged") {
    throw new CollmError(
      "invalid_request",
      `Cannot save policy '${policy.name}': a merged model has no optimizer state of its adapter`,
    );
  }
  await writeFolder(target, async (fresh) => {
    for (const [name, bytes] of policy.files) writeFileAtomic(join(fresh, name), [bytes]);
    const head = [...policy.parameters].filter(([name]) => isValueHead(name));
    if (head.length) writeSafetensors(join(fresh, VALUE_HEAD_FILE), tensorsData(head));
    if (policy.spec.lora && form === "adapter") await writeAdapter(policy, fresh);
    else await writeModel(policy.spec.config, modelWeights(policy), fresh);
    if (state) {
      writeSafetensors(join(fresh, OPTIMIZER_FILE), tensorsData(policy.moments));
      writeJsonAtomic(join(fresh, STATE_FILE), savedState(policy));
    }
  });
}

const tensorData = (t: OnnxTensor): TensorData => ({
  shape: [...t.dims],
  data: valuesOf(t) as Float32Array,
});

const tensorsData = (tensors: Iterable<[string, OnnxTensor]>): Map<string, TensorData> =>
  new Map([...tensors].map(([name, tensor]) => [name, tensorData(tensor)]));

/** The model's weights, with the adapter, if any, merged in. */
function modelWeights({ spec, base, parameters }: Policy): Map<string, TensorData> {
  const get = (name: string) => tensorData((parameters.get(name) ?? base?.parameters.get(name))!);
  const merged = spec.lora
    ? mergedWeights(spec.shapes, spec.lora, (name) => get(name).data)
    : new Map<string, Float32Array>();
  const names = [...spec.shapes.keys()].filter((name) => !isAdapter(name) && !isValueHead(name));
  return new Map(names.map((name) => {
    const tensor = get(name);
    return [name, { ...tensor, data: merged.get(name) ?? tensor.data }];
  }));
}

/** A Hugging Face folder that is a Transformers.js folder as well. */
export async function writeModel(
  config: ModelConfig,
  body: ReadonlyMap<string, TensorData>,
  folder: string,
  limits = EXTERNAL_LIMITS,
): Promise<void> {
  writeSafetensors(join(folder, "model.safetensors"), body, { format: "pt" });
  mkdirSync(join(folder, "onnx"));
  const shapes = new Map([...body].map(([name, { shape }]) => [name, shape]));
  const graph = stepGraph(modelSpec(config, shapes), (name) => body.get(name)!.data);
  const bytes = [...body.values()].reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
  const external = bytes > limits.inline ? externalFiles("model.onnx", limits) : undefined;
  const model = await encodeModel(graph, undefined, external);
  for (const [name, chunks] of [...external?.files ?? [], ["model.onnx", [model]] as const]) {
    writeFileAtomic(join(folder, "onnx", name), chunks);
  }
  writeJsonAtomic(join(folder, "config.json"), {
    ...toHuggingFaceConfig(config),
    ...(external && {
      "transformers.js_config": { use_external_data_format: { "model.onnx": external.files.size } },
    }),
  });
}

/** A PEFT folder. */
async function writeAdapter({ spec, base, parameters }: Policy, folder: string): Promise<void> {
  const matrices = [...parameters].filter(([name]) => isAdapter(name));
  const source = await hubIdOf(base!.source) ?? base!.source;
  writeJsonAtomic(join(folder, ADAPTER_CONFIG), toPeftConfig(spec.lora!, source));
  writeSafetensors(
    join(folder, ADAPTER_WEIGHTS),
    tensorsData(matrices.map(([name, tensor]) => [toPeftName(name), tensor])),
    { format: "pt" },
  );
}

/** input_ids, attention_mask, position_ids and past_key_values → logits and present. */
export function stepGraph(
  spec: ModelSpec,
  data: (name: string) => Float32Array,
): Graph {
  const g = new Graph();
  const { config, shapes } = spec;
  const tables = rotaryTables(g, config, positionsOf(config));
  const weights = cachedWeights(g, spec, weightsAsConstants(shapes, data)(g), tables);
  const [batch, time] = ["batch_size", "sequence_length"];
  const tokens = g.input("input_ids", "int64", [batch, time]);
  const mask = g.input("attention_mask", "int64", [batch, "total_sequence_length"]);
  const positions = g.input("position_ids", "int64", [batch, time]);
  const cache = [batch, config.kvHeads, "past_sequence_length", config.headDim];
  const past = weights.layers.map((_, i) => ({
    key: g.input(`past_key_values.${i}.key`, "float32", cache),
    value: g.input(`past_key_values.${i}.value`, "float32", cache),
  }));
  const { hidden, present } = cachedDecoder(g, config, weights, {
    tokens,
    positions,
    bias: stepBias(g, tokens, mask),
    past,
    total: "total_sequence_length",
  });
  const vector = concat(g, [shapeOf(g, tokens), g.indices([config.vocabSize])], 0);
  const rows = linear(g, hidden, weights.head);
  g.output("logits", reshapeTo(g, rows, vector, [batch, time, config.vocabSize]));
  present.forEach(({ key, value }, i) => {
    g.output(`present.${i}.key`, key);
    g.output(`present.${i}.value`, value);
  });
  return g;
}

/** [batch, 1, time, total]: −1e9 where the mask is 0 or the key comes after the query. */
function stepBias(g: Graph, tokens: Tensor, mask: Tensor): Tensor {
  const [batch, time] = tokens.shape as [string, string];
  const total = mask.shape[1]!;
  const int = (n: number) => g.constant(BigInt64Array.of(BigInt(n)), []);
  const [all, fresh] = [dimension(g, mask, 1), dimension(g, tokens, 1)];
  const past = g.emit1("Sub", [all, fresh], []);
  const range = (from: Tensor, to: Tensor, dim: string | number) =>
    g.emit1("Range", [from, to, int(1)], [dim], {}, { dtype: "int64" });
  const keys = g.emit1("Unsqueeze", [range(int(0), all, total), g.indices([0])], [1, total]);
  const queries = g.emit1("Unsqueeze", [range(past, all, time), g.indices([1])], [time, 1]);
  const later = compare(g, "Greater", keys, queries);
  const absent = compare(g, "Less", cast(g, mask, "int32"), g.constant(Int32Array.of(1), []));
  const hiddenKeys = g.emit1("Unsqueeze", [absent, g.indices([1, 2])], [batch, 1, 1, total]);
  return where(g, compare(g, "Or", hiddenKeys, later), g.scalar(-1e9), g.scalar(0));
}
