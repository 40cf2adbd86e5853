/**
 * One loaded policy: parameters, optimizer state, version. Versions name their content: a hash
 * of all parameter bits, so that equal weights are the same version on every host.
 */
import type { OnnxTensor } from "../deps.ts";
import type { ModelSpec } from "./model/spec.ts";
import type { UpdateResult } from "./verbs.ts";

/** Weights that the policies with an adapter on them share. Nothing changes them. */
export interface Base {
  /** Folder they were read from, and what a saved adapter names as its base. */
  source: string;
  version: string;
  parameters: ReadonlyMap<string, OnnxTensor>;
}

export interface Policy {
  name: string;
  source: string;
  spec: ModelSpec;
  /** null: all weights are its own. */
  base: Base | null;
  /** Tokenizer files of its source by name: they go out with every checkpoint. */
  files: Map<string, Uint8Array>;
  /** Its own parameters, those that updates change. */
  parameters: Map<string, OnnxTensor>;
  /** Adam moments by `adam.m.<name>` and `adam.v.<name>`; empty before the first update. */
  moments: Map<string, OnnxTensor>;
  /**
   * Buffers that the next fused step writes to: what the parameters and moments were before the
   * last one. Updates then allocate nothing.
   */
  spare: Map<string, OnnxTensor>;
  /** Optimizer steps taken. */
  step: number;
  version: string;
  /** Answers of recent updates by their write key. */
  answered: Map<number, { payload: string; result: UpdateResult }>;
}

/** All parameters that a program of the policy may ask for. */
export const weightsOf = ({ base, parameters }: Policy): Record<string, OnnxTensor> =>
  Object.fromEntries([...base?.parameters ?? [], ...parameters]);

/** Primes of the mixing below. */
const [P1, P2] = [0x9e3779b1 | 0, 0x85ebca77 | 0];

/** One word into a lane: every bit of it reaches every bit of the lane within a few words. */
const mix = (lane: number, word: number): number => {
  const h = lane + Math.imul(word, P2);
  return Math.imul((h << 13) | (h >>> 19), P1);
};

/**
 * `step-hash` of the parameters' bits in name order, and of the version of the base under them. Four interleaved lanes, because it runs after
 * every update; it tells versions apart and guards against nobody.
 */
export function versionOf(
  step: number,
  parameters: ReadonlyMap<string, OnnxTensor>,
  base = "",
): string {
  let [a, b, c, d] = [1, 2, 3, 4];
  for (const letter of new TextEncoder().encode(base)) a = mix(a, letter);
  for (const name of [...parameters.keys()].sort()) {
    const data = parameters.get(name)!.data as Float32Array;
    const bits = new Int32Array(data.buffer, data.byteOffset, data.length);
    let i = 0;
    for (; i + 3 < bits.length; i += 4) {
      a = mix(a, bits[i]!);
      b = mix(b, bits[i + 1]!);
      c = mix(c, bits[i + 2]!);
      d = mix(d, bits[i + 3]!);
    }
    for (; i < bits.length; i++) a = mix(a, bits[i]!);
    // Rotating the lanes makes the order of tensors count.
    [a, b, c, d] = [b, c, d, mix(a, bits.length)];
  }
  const hex = [mix(a, c), mix(b, d), mix(c, b)].map((x) =>
    ((x ^ (x >>> 15)) >>> 0).toString(16).padStart(8, "0")
  );
  return `${step}-${hex.join("")}`;
}
