/**
 * Weights beside an ONNX file instead of in it: a protobuf holds at most 2 GB. File names and the
 * configuration's key are those that Transformers.js looks for (`model.onnx_data`, `_data_1`, …).
 */
import type { ExternalData } from "../graph/encode.ts";

export interface ExternalLimits {
  /** Bytes of weights up to which everything stays in the ONNX file. */
  inline: number;
  /** Most bytes of a file beside it, unless one tensor alone is larger. */
  file: number;
}

/** Below the 2 GB of a protobuf, and of a browser's array buffers. */
export const EXTERNAL_LIMITS: ExternalLimits = { inline: 1.5e9, file: 1.9e9 };

/** Takes the constants of `model` (an ONNX file's name); `files` then has what is to be written. */
export function externalFiles(
  model: string,
  { file: most }: ExternalLimits,
): ExternalData & { files: Map<string, Uint8Array[]> } {
  const files = new Map<string, Uint8Array[]>();
  let [location, size] = ["", Infinity];
  return {
    files,
    add(bytes) {
      if (size + bytes.length > most) {
        location = `${model}_data${files.size === 0 ? "" : `_${files.size}`}`;
        size = 0;
        files.set(location, []);
      }
      files.get(location)!.push(bytes);
      const offset = size;
      size += bytes.length;
      return { location, offset };
    },
  };
}
