/**
 * Loads a frozen policy: any folder that Transformers.js runs for text generation (config.json and
 * onnx/, as its hub models have them). Whatever is missing is named before the library is asked.
 * Hub ids become folders in hub.ts; text is the tokenizer's matter.
 */
import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { CollmError } from "../../shared/errors.ts";
import type { Device } from "../device.ts";
import { INDEX, WEIGHTS } from "../model/checkpoint.ts";
import { FAMILIES } from "../model/config.ts";
import { fileError, readJsonObject } from "../model/files.ts";
import { isAdapterFolder } from "../model/lora.ts";
import type { DeviceName, FrozenDtype, LoadRequest, PolicyInfo } from "../verbs.ts";
import { transformersLibrary } from "./library.ts";
import { type FrozenModel, openModel } from "./model.ts";
import { type OnnxFile, readOnnxFile } from "./onnx_file.ts";

export interface FrozenPolicy {
  readonly name: string;
  readonly model: FrozenModel;
  readonly vocabSize: number;
  /** Infinity where the configuration names no limit. */
  readonly maxPositions: number;
  readonly version: string;
  readonly info: PolicyInfo;
}

export const DTYPES: readonly FrozenDtype[] = ["fp32", "fp16", "q8", "q4"];

/**
 * Whether a request loads a frozen policy: it says so, or the folder has ONNX files and nothing
 * that could learn.
 */
export function isFrozenRequest({ source, frozen, policy, dtype }: LoadRequest): boolean {
  const implied = existsSync(join(source, "onnx")) && !isAdapterFolder(source) &&
    whyNot(source) !== null;
  const result = frozen ?? implied;
  if (!result && dtype !== undefined && dtype !== "fp32" && dtype !== "fp16") {
    throw new CollmError(
      "invalid_request",
      `Cannot load policy '${policy}': dtype is '${dtype}' but '${source}' would learn, in ` +
        "float32; with frozen true it runs in that format",
    );
  }
  return result;
}

/** Why a folder cannot learn; null when it could. */
const whyNot = (folder: string): string | null => foreign(folder) ?? weightless(folder);

function foreign(folder: string): string | null {
  const type = modelType(folder);
  const families = Object.keys(FAMILIES);
  if (families.includes(type)) return null;
  return `model type '${type}' runs through Transformers.js, only ${families.join(", ")} ` +
    "checkpoints with safetensors learn";
}

const weightless = (folder: string): string | null =>
  [WEIGHTS, INDEX].some((name) => existsSync(join(folder, name)))
    ? null
    : "its folder holds ONNX files and no safetensors to learn from";

const modelType = (folder: string): string =>
  String(readJsonObject(join(folder, "config.json")).model_type);

/** Throws CollmError naming the file, format or architecture that is not there. */
export async function loadFrozen(
  { name: device, threads }: Pick<Device, "name" | "threads">,
  request: LoadRequest,
): Promise<FrozenPolicy> {
  const { policy, source, dtype = "fp32" } = request;
  const folder = resolve(source);
  if (isAdapterFolder(folder)) {
    throw new CollmError(
      "invalid_request",
      `Cannot load policy '${policy}': '${source}' is an adapter, which is not loaded frozen; ` +
        "merged into its base it is a model that is",
    );
  }
  for (const key of ["lora", "value_head", "base"] as const) {
    if (request[key] === undefined) continue;
    throw new CollmError(
      "invalid_request",
      `Cannot load policy '${policy}': '${source}' loads frozen, ${key} is for policies that learn`,
    );
  }
  const config = readJsonObject(join(folder, "config.json"));
  const why = foreign(folder) ?? (request.frozen ? null : weightless(folder)) ??
    "it was loaded with frozen true";
  const files = await modelFiles(policy, folder, dtype, device);
  const contents = files.map((file) => readOnnxFile(file));
  const all = [...files, ...contents.flatMap(({ external }, i) => besides(files[i]!, external))];
  const operations = new Set(contents.flatMap((content) => [...content.operations]));
  const model = await open(policy, folder, { dtype, device, threads, operations });
  const text = { ...config, ...config.text_config as Record<string, unknown> | undefined };
  const vocabSize = model.vocabSize ?? numberOf(text, ["vocab_size"]);
  if (vocabSize === undefined) {
    await model.release();
    throw new CollmError(
      "invalid_request",
      `Cannot load policy '${policy}': neither '${
        join(source, "config.json")
      }' nor the ONNX file ` +
        "gives the size of its vocabulary",
    );
  }
  const version = versionOf(all);
  const positions = numberOf(text, POSITION_KEYS);
  return {
    name: policy,
    model,
    vocabSize,
    maxPositions: positions ?? Infinity,
    version,
    info: {
      policy,
      source,
      architecture: String(config.model_type),
      parameters: contents.reduce((sum, { parameters }: OnnxFile) => sum + parameters, 0),
      trainable_parameters: 0,
      vocab_size: vocabSize,
      ...positions !== undefined && { max_positions: positions },
      has_value_head: false,
      policy_version: version,
      can_learn: false,
      why_frozen: why,
      device,
      bytes: all.reduce((sum, file) => sum + statSync(file).size, 0),
    },
  };
}

/** Longest text, under the names that configurations of different architectures use. */
const POSITION_KEYS = [
  ...["max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len"],
  ...["n_ctx", "seq_length", "max_context_length"],
];

const numberOf = (config: Record<string, unknown>, keys: readonly string[]): number | undefined =>
  keys.map((key) => config[key]).find((value): value is number => Number.isSafeInteger(value));

/** The ONNX files that the library will open, absolute. */
async function modelFiles(
  policy: string,
  folder: string,
  dtype: FrozenDtype,
  device: DeviceName,
): Promise<string[]> {
  const names = await onnxNames(policy, folder, dtype, device);
  for (const name of names) {
    if (existsSync(join(folder, name))) continue;
    const onnx = join(folder, "onnx");
    const found = existsSync(onnx) ? readdirSync(onnx).filter((n) => n.endsWith(".onnx")) : [];
    throw new CollmError(
      "not_found",
      `Cannot load policy '${policy}': '${folder}' holds no '${name}' (dtype '${dtype}'), ` +
        (found.length ? `its onnx folder has ${found.join(", ")}` : "it has no ONNX files"),
    );
  }
  return names.map((name) => join(folder, name));
}

/** Names of the ONNX files that a model consists of, relative to its folder. */
export async function onnxNames(
  policy: string,
  folder: string,
  dtype: FrozenDtype,
  device: DeviceName,
): Promise<string[]> {
  if (!DTYPES.includes(dtype)) {
    throw new CollmError(
      "invalid_request",
      `Cannot load policy '${policy}': dtype is '${dtype}', known: ${DTYPES.join(", ")}`,
    );
  }
  const { AutoConfig, AutoModelForCausalLM, ModelRegistry } = await transformersLibrary();
  const type = modelType(folder);
  // Typed by the library without this static method.
  const { supports } = AutoModelForCausalLM as unknown as { supports(type: string): boolean };
  if (!supports.call(AutoModelForCausalLM, type)) {
    throw new CollmError(
      "invalid_request",
      `Cannot load policy '${policy}': Transformers.js runs no text generation of model type ` +
        `'${type}' ('${join(folder, "config.json")}')`,
    );
  }
  const config = await AutoConfig.from_pretrained(folder, { local_files_only: true });
  const files = await ModelRegistry.get_model_files(folder, { config, dtype, device });
  return files.filter((name) => name.endsWith(".onnx"));
}

async function open(policy: string, folder: string, options: Parameters<typeof openModel>[1]) {
  try {
    return await openModel(folder, options);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CollmError(
      "invalid_request",
      `Cannot load policy '${policy}': Transformers.js cannot open '${folder}': ${reason}`,
      { cause },
    );
  }
}

const besides = (file: string, names: readonly string[]): string[] =>
  names.map((name) => join(dirname(file), name));

/** SHA-256 of the files' names and bytes, shortened: no update was ever taken, hence step 0. */
function versionOf(files: readonly string[]): string {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(1 << 20);
  for (const path of files) {
    hash.update(`${basename(path)}:`);
    let file: number;
    try {
      file = openSync(path, "r");
    } catch (cause) {
      throw fileError("read", path, cause);
    }
    try {
      for (let n = readSync(file, buffer); n > 0; n = readSync(file, buffer)) {
        hash.update(buffer.subarray(0, n));
      }
    } finally {
      closeSync(file);
    }
  }
  return `0-${hash.digest("hex").slice(0, 24)}`;
}
