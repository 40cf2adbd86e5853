/**
 * One loaded policy: parameters, optimizer state, version. Versions name their content: the hash
 * of all parameter bytes, so that equal weights are the same version on every host.
 */
import { createHash } from "node:crypto";
import type { OnnxTensor } from "../deps.ts";
import type { ModelConfig } from "./model/config.ts";
import type { Shapes } from "./program/forward.ts";
import type { UpdateResult } from "./verbs.ts";

export interface Policy {
  name: string;
  source: string;
  config: ModelConfig;
  /** Shapes of all parameters, value head included where there is one. */
  shapes: Shapes;
  parameters: Map<string, OnnxTensor>;
  /** Adam moments by `adam.m.<name>` and `adam.v.<name>`; empty before the first update. */
  moments: Map<string, OnnxTensor>;
  /** Optimizer steps taken. */
  step: number;
  version: string;
  /** Answers of recent updates by their write key. */
  answered: Map<number, { payload: string; result: UpdateResult }>;
}

/** `step-hash` of the parameters' bytes in name order. */
export function versionOf(step: number, parameters: ReadonlyMap<string, OnnxTensor>): string {
  const hash = createHash("sha256");
  for (const [name, tensor] of parameters) {
    const data = tensor.data as Float32Array;
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return `${step}-${hash.digest("hex").slice(0, 16)}`;
}
