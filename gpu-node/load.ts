/**
 * Loads a policy from a checkpoint folder: configuration, weights, value head, and the optimizer
 * state that save.ts wrote beside them, so that a reloaded policy goes on exactly where it stood.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { seedOf, uniforms } from "../shared/random.ts";
import type { Device } from "./device.ts";
import { readCheckpointTensors } from "./model/checkpoint.ts";
import { readModelConfig } from "./model/config.ts";
import { normal } from "./model/initialize.ts";
import {
  checkTensors,
  modelTensorShapes,
  readValueHead,
  valueHeadShapes,
} from "./model/parameters.ts";
import { readSafetensors } from "./model/safetensors.ts";
import { type Policy, versionOf } from "./policy.ts";
import type { LoadRequest } from "./verbs.ts";

/** Files beside the weights that a checkpoint takes along unchanged. */
const TOKENIZER_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "generation_config.json",
  "chat_template.jinja",
];
export const OPTIMIZER_FILE = "optimizer.safetensors";
export const STATE_FILE = "training_state.json";

/** Throws CollmError naming file and tensor when the folder does not hold a usable checkpoint. */
export function loadPolicy(device: Device, request: LoadRequest): Policy {
  const { source } = request;
  const config = readModelConfig(source);
  const weights = checkTensors(config, readCheckpointTensors(source), `'${source}'`);
  const shapes = new Map(modelTensorShapes(config));
  const parameters = new Map(
    [...weights].map(([name, t]) => [name, device.tensor({ data: t.data, dims: t.shape })]),
  );
  const head = readValueHead(source, config);
  if (head || request.value_head) {
    for (const [name, shape] of valueHeadShapes(config)) {
      const data = head?.get(name)?.data ?? freshHead(name, shape, request.value_head!.seed);
      shapes.set(name, shape);
      parameters.set(name, device.tensor({ data, dims: shape }));
    }
  }
  const moments = new Map<string, ReturnType<Device["tensor"]>>();
  let step = 0;
  if (existsSync(join(source, STATE_FILE))) {
    step = (JSON.parse(readFileSync(join(source, STATE_FILE), "utf8")) as { step: number }).step;
    for (const [name, t] of readSafetensors(join(source, OPTIMIZER_FILE)).tensors) {
      moments.set(name, device.tensor({ data: t.data, dims: t.shape }));
    }
  }
  return {
    name: request.policy,
    source,
    config,
    files: tokenizerFiles(source),
    shapes,
    parameters,
    moments,
    spare: new Map(),
    step,
    version: versionOf(step, parameters),
    answered: new Map(),
  };
}

/** Read at once: the source may be a checkpoint that is gone when the policy is saved. */
function tokenizerFiles(source: string): Map<string, Uint8Array> {
  const present = TOKENIZER_FILES.filter((name) => existsSync(join(source, name)));
  return new Map(present.map((name) => [name, readFileSync(join(source, name))]));
}

/** Value head of the paper's trainers: weights N(0, 0.02), biases 0. */
function freshHead(name: string, shape: readonly number[], seed: number): Float32Array {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  if (name.endsWith("bias")) return data;
  const random = uniforms(seedOf("value head", seed, name));
  return data.map(() => 0.02 * normal(random));
}
