/**
 * Tensors of a checkpoint folder: model.safetensors, or the shards that
 * model.safetensors.index.json names. Values are read one tensor at a time, when asked for.
 * What the tensors must be is parameters.ts's matter.
 */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { CollmError } from "../../shared/errors.ts";
import { readJsonObject } from "./files.ts";
import { openSafetensors, type Tensor } from "./safetensors.ts";

export const WEIGHTS = "model.safetensors";
export const INDEX = "model.safetensors.index.json";

/** The file that says which tensors the checkpoint in `folder` holds: the weights, or the index. */
export const weightsPath = (folder: string): string => {
  const single = join(folder, WEIGHTS);
  return existsSync(single) ? single : join(folder, INDEX);
};

/**
 * All tensors of the checkpoint in `folder`; their `data` is read from disk each time that it is
 * asked for. Throws CollmError naming the file and the tensor when there are no weights, when index
 * and shards do not name the same tensors, and on reading, when a value is not finite.
 */
export function readCheckpointTensors(folder: string): Map<string, Tensor> {
  const path = weightsPath(folder);
  if (path.endsWith(WEIGHTS)) return openFinite(path);
  if (!existsSync(path)) {
    throw new CollmError(
      "not_found",
      `Cannot read checkpoint '${folder}': it holds neither ${WEIGHTS} nor ${INDEX}`,
    );
  }
  const shardOf = readIndex(path);
  const tensors = new Map<string, Tensor>();
  for (const shard of new Set(shardOf.values())) {
    for (const [name, tensor] of openFinite(join(folder, shard))) {
      if (shardOf.get(name) !== shard) {
        throw new CollmError(
          "invalid_request",
          `Cannot read checkpoint '${folder}': ${shard} holds tensor '${name}', ` +
            `for which ${INDEX} names ${shardOf.get(name) ?? "no file"}`,
        );
      }
      tensors.set(name, tensor);
    }
  }
  for (const [name, shard] of shardOf) {
    if (!tensors.has(name)) {
      throw new CollmError(
        "invalid_request",
        `Cannot read checkpoint '${folder}': ${shard} lacks tensor '${name}' that ${INDEX} names`,
      );
    }
  }
  return tensors;
}

/** Tensors of a safetensors file; reading values throws CollmError when one is not finite. */
export function openFinite(path: string): Map<string, Tensor> {
  return new Map(
    [...openSafetensors(path).tensors].map(([name, tensor]) => [name, {
      dtype: tensor.dtype,
      shape: tensor.shape,
      get data() {
        return requireFinite(tensor.data, name, path);
      },
    }]),
  );
}

/** One NaN would make every answer of the model NaN, far from its cause. */
function requireFinite(data: Float32Array, name: string, path: string): Float32Array {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += 0 * data[i]!;
  if (sum === 0) return data;
  const at = data.findIndex((x) => !Number.isFinite(x));
  throw new CollmError(
    "invalid_request",
    `Cannot use '${path}': tensor '${name}' holds ${data[at]} at index ${at}`,
  );
}

/** The file of each tensor, from the index at `path`; every file lies beside it. */
export function readIndex(path: string): Map<string, string> {
  const map = readJsonObject(path).weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw new CollmError("invalid_request", `Cannot read '${path}': it has no weight_map`);
  }
  const shardOf = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    // A shard lies beside its index: a path could lead out of the folder.
    if (typeof shard !== "string" || !/^[\w.-]+$/.test(shard) || shard !== basename(shard)) {
      throw new CollmError(
        "invalid_request",
        `Cannot read '${path}': tensor '${name}' has no plain file name: ${JSON.stringify(shard)}`,
      );
    }
    shardOf.set(name, shard);
  }
  return shardOf;
}
