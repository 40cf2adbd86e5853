/**
 * Loads a policy: a checkpoint folder whose weights all learn, a checkpoint with a fresh adapter,
 * or a PEFT folder on its base; the value head, and the optimizer state that model/export.ts wrote
 * beside them, so that a reloaded policy goes on exactly where it stood.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { OnnxTensor } from "../deps.ts";
import { CollmError } from "../shared/errors.ts";
import { seedOf, uniforms } from "../shared/random.ts";
import { type Device, dispose, onHost } from "./device.ts";
import { LARGEST_HALF, requireHalf, toHalf } from "./device/half.ts";
import { readCheckpointTensors, weightsPath } from "./model/checkpoint.ts";
import { type ModelConfig, readModelConfig } from "./model/config.ts";
import { normal } from "./model/initialize.ts";
import {
  adapterShapes,
  freshAdapter,
  isAdapterFolder,
  isAlpha,
  readAdapter,
  readAdapterConfig,
  sortTargets,
} from "./model/lora.ts";
import {
  checkTensors,
  modelTensorShapes,
  readValueHead,
  valueHeadShapes,
} from "./model/parameters.ts";
import type { TensorData } from "./model/safetensors.ts";
import { isHalf, type LoraSpec, modelSpec } from "./model/spec.ts";
import { type Base, formOf, type Policy, versionOf } from "./policy.ts";
import { NO_STATE, readState, savedDtype, versionOfState } from "./training_state.ts";
import { type LoadRequest, LORA_TARGETS } from "./verbs.ts";
import { newWriteRecord } from "./write_record.ts";

/** Files beside the weights that a checkpoint takes along unchanged. */
const TOKENIZER_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "generation_config.json",
  "chat_template.jinja",
];

/** Bases in use by their folder: read once, however many policies stand on them. */
export type Bases = Map<string, Base>;

/** Values are read when asked for, so that at most one tensor is in memory twice. */
type Weights = ReadonlyMap<
  string,
  Pick<TensorData, "shape"> & { readonly data: TensorData["data"] | Uint16Array }
>;

/** Throws CollmError naming file and tensor when the folder does not hold a usable checkpoint. */
export async function loadPolicy(
  device: Device,
  request: LoadRequest,
  bases: Bases,
): Promise<Policy> {
  const { source } = request;
  const adapter = adapterOf(request);
  const folder = adapter?.base ?? source;
  // An adapter goes on over its base as that was held, unless the request says otherwise.
  const dtype = request.dtype ?? (adapter?.fresh === null ? savedDtype(source) : undefined);
  const half = dtype === "fp16";
  if (half && !adapter) {
    throw new CollmError(
      "invalid_request",
      `Cannot load policy '${request.policy}': dtype is 'fp16' but all weights would learn, in ` +
        "float32; with lora it is how the base is held",
    );
  }
  const config = { ...readModelConfig(folder), ...half && { half: true as const } };
  const shapes = new Map<string, readonly number[]>(modelTensorShapes(config));

  let base: Base | null = null;
  let own: Map<string, TensorData>;
  if (adapter) {
    base = await loadBase(device, bases, folder, config);
    const form = adapterShapes(shapes, adapter.lora);
    const values = adapter.fresh === null
      ? readAdapter(source, form)
      : freshAdapter(form, adapter.fresh);
    for (const [name, shape] of form) shapes.set(name, shape);
    own = new Map(values);
  } else {
    own = new Map(readModel(config, source));
  }
  const head = readValueHead(source, config) ?? readValueHead(folder, config);
  if (head || request.value_head) {
    for (const [name, shape] of valueHeadShapes(config)) {
      const data = head?.get(name)?.data ?? freshHead(name, shape, request.value_head!.seed);
      shapes.set(name, shape);
      own.set(name, { shape: [...shape], data });
    }
  }
  const spec = modelSpec(config, shapes, adapter?.lora ?? null);
  // What lies beside the base of a fresh adapter is the state of other parameters.
  const fresh = adapter !== null && adapter.fresh !== null;
  const state = fresh ? NO_STATE : readState(source, spec);
  const { step } = state;
  const parameters = await upload(device, own);
  const moments = await upload(device, state.moments).catch((cause) => {
    dispose(parameters.values());
    throw cause;
  });
  const content = versionOf(step, contents(parameters, own), formOf(spec, base));
  return {
    name: request.policy,
    source,
    spec,
    base,
    files: new Map([...tokenizerFiles(folder), ...tokenizerFiles(source)]),
    parameters,
    moments,
    spare: new Map(),
    step,
    version: [...parameters.values()].every(onHost) ? content : versionOfState(state, content),
    answered: newWriteRecord(),
  };
}

/** The adapter that a request asks for, with its base; null when all weights are to learn. */
function adapterOf(
  { policy, source, base, lora }: LoadRequest,
): { lora: LoraSpec; base: string; fresh: number | null } | null {
  if (isAdapterFolder(source)) {
    if (lora) {
      throw new CollmError(
        "invalid_request",
        `Cannot load policy '${policy}': '${source}' is an adapter already, lora asks for another`,
      );
    }
    const { spec, base: named } = readAdapterConfig(source);
    const folder = base ?? named;
    if (folder === null || !existsSync(folder)) {
      throw new CollmError(
        "not_found",
        `Cannot load policy '${policy}': the base '${folder}' of adapter '${source}' is not here`,
      );
    }
    return { lora: spec, base: folder, fresh: null };
  }
  if (base !== undefined) {
    throw new CollmError(
      "invalid_request",
      `Cannot load policy '${policy}': base is '${base}' but '${source}' is no adapter`,
    );
  }
  if (!lora) return null;
  const { rank, alpha, target_modules = LORA_TARGETS, seed = 0 } = lora;
  if (!Number.isSafeInteger(rank) || rank < 1 || !isAlpha(alpha) || target_modules.length === 0) {
    throw new CollmError(
      "invalid_request",
      `Cannot load policy '${policy}': lora has rank ${rank}, alpha ${alpha} and ` +
        `${target_modules.length} target modules`,
    );
  }
  const unknown = target_modules.find((name) => !LORA_TARGETS.includes(name));
  if (unknown !== undefined) {
    throw new CollmError(
      "invalid_request",
      `Cannot load policy '${policy}': lora has target module '${unknown}', expected some of ` +
        LORA_TARGETS.join(", "),
    );
  }
  return {
    lora: { rank, alpha, target_modules: sortTargets(target_modules) },
    base: source,
    fresh: seed,
  };
}

async function loadBase(
  device: Device,
  bases: Bases,
  folder: string,
  config: ModelConfig,
): Promise<Base> {
  const source = resolve(folder);
  // A base in both formats is two.
  const key = config.half ? `${source} as float16` : source;
  const known = bases.get(key);
  if (known) return known;
  const weights = config.half ? await halved(device, config, folder) : readModel(config, folder);
  const parameters = await upload(device, weights);
  const version = versionOf(0, contents(parameters, weights), JSON.stringify(config));
  const base = { source, version, parameters };
  bases.set(key, base);
  return base;
}

/** A model's weights with its matrices as float16. Throws where the device cannot read those. */
async function halved(device: Device, config: ModelConfig, folder: string): Promise<Weights> {
  await requireHalf(device);
  const shapes = new Map(modelTensorShapes(config));
  return new Map([...readModel(config, folder)].map(([name, tensor]) => [name, {
    shape: tensor.shape,
    get data() {
      const { data } = tensor;
      if (!isHalf({ config, shapes }, name)) return data;
      const large = data.find((x) => Math.abs(x) > LARGEST_HALF);
      if (large === undefined) return toHalf(data);
      throw new CollmError(
        "invalid_request",
        `Cannot hold '${folder}' as float16: tensor '${name}' holds ${large}, which is beyond it`,
      );
    },
  }]));
}

async function upload(device: Device, weights: Weights): Promise<Map<string, OnnxTensor>> {
  const tensors = new Map<string, OnnxTensor>();
  try {
    for (const [name, { data, shape }] of weights) {
      tensors.set(name, await device.upload({ data, dims: shape }));
    }
  } catch (cause) {
    dispose(tensors.values());
    throw cause;
  }
  return tensors;
}

/** The values of uploaded weights: read once more from their source where they left the host. */
const contents = (tensors: ReadonlyMap<string, OnnxTensor>, weights: Weights) =>
  new Map([...tensors].map(([name, t]) => [name, onHost(t) ? t : weights.get(name)!]));

const readModel = (config: ModelConfig, folder: string): ReadonlyMap<string, TensorData> =>
  checkTensors(config, readCheckpointTensors(folder), `'${weightsPath(folder)}'`);

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
