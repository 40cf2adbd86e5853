/**
 * One loaded policy: parameters, optimizer state, version. Versions name their content: a hash
 * of the model's form and of all parameter bits, so that equal policies are the same version on
 * every host, and equal weights in another form are not. Weights in a
 * device's memory are not read back for that: their versions name how they came about.
 */
import { createHash } from "node:crypto";
import type { OnnxTensor } from "../deps.ts";
import { type Device, dispose, onHost } from "./device.ts";
import type { ModelSpec } from "./model/spec.ts";
import type { UpdateRequest } from "./verbs.ts";
import type { WriteRecord } from "./write_record.ts";

/** Weights that the policies with an adapter on them share. Nothing changes them. */
export interface Base {
  /** Folder they were read from, and what a saved adapter names as its base. */
  source: string;
  version: string;
  parameters: ReadonlyMap<string, OnnxTensor>;
}

/** What reading a policy takes. */
export interface Weights {
  name: string;
  spec: ModelSpec;
  /** null: all weights are its own. */
  base: Base | null;
  /** Its own parameters. */
  parameters: ReadonlyMap<string, OnnxTensor>;
  version: string;
}

export interface Policy extends Weights {
  source: string;
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
  /** Its updates by their write key. */
  answered: WriteRecord;
}

/** All parameters that a program of the policy may ask for. */
export const weightsOf = ({ base, parameters }: Weights): Record<string, OnnxTensor> =>
  Object.fromEntries([...base?.parameters ?? [], ...parameters]);

/** Primes of the mixing below. */
const [P1, P2] = [0x9e3779b1 | 0, 0x85ebca77 | 0];

/** One word into a lane: every bit of it reaches every bit of the lane within a few words. */
const mix = (lane: number, word: number): number => {
  const h = lane + Math.imul(word, P2);
  return Math.imul((h << 13) | (h >>> 19), P1);
};

/**
 * `step-hash` of the parameters' bits in name order, and of the `form` of what they belong to
 * (formOf): configuration, adapter, the version of the base under them.
 * Four interleaved lanes, because it runs after every update; it tells versions apart and guards
 * against nobody.
 */
export function versionOf(
  step: number,
  parameters: ReadonlyMap<string, { readonly data: unknown }>,
  form: string,
): string {
  let [a, b, c, d] = [1, 2, 3, 4];
  for (const letter of new TextEncoder().encode(form)) a = mix(a, letter);
  for (const name of [...parameters.keys()].sort()) {
    const data = parameters.get(name)!.data as Float32Array | Uint16Array;
    const bits = new Int32Array(data.buffer, data.byteOffset, data.byteLength >> 2);
    let i = 0;
    for (; i + 3 < bits.length; i += 4) {
      a = mix(a, bits[i]!);
      b = mix(b, bits[i + 1]!);
      c = mix(c, bits[i + 2]!);
      d = mix(d, bits[i + 3]!);
    }
    for (; i < bits.length; i++) a = mix(a, bits[i]!);
    // Of float16 two numbers are one word.
    if (data.byteLength % 4) a = mix(a, data.at(-1)!);
    // Rotating the lanes makes the order of tensors count.
    [a, b, c, d] = [b, c, d, mix(a, bits.length)];
  }
  const hex = [mix(a, c), mix(b, d), mix(c, b)].map((x) =>
    ((x ^ (x >>> 15)) >>> 0).toString(16).padStart(8, "0")
  );
  return `${step}-${hex.join("")}`;
}

/** All of a policy but its own weights, as versions tell it. */
export const formOf = ({ key }: ModelSpec, base: Base | null): string =>
  `${key} ${base?.version ?? ""}`;

/** What marks the version of weights that an update made in a device's memory. */
const LINEAGE = "-via-";

/** Version after an update: of the content on the host, of the lineage in device memory. */
export function versionAfter(policy: Policy, request: UpdateRequest): string {
  const { step, version, parameters, base, spec } = policy;
  if ([...parameters.values()].every(onHost)) {
    return versionOf(step, parameters, formOf(spec, base));
  }
  const { policy: _, seq: __, ...payload } = request;
  const hash = createHash("sha256").update(`${version}\n${JSON.stringify(payload)}`).digest("hex");
  return `${step}${LINEAGE}${hash.slice(0, 24)}`;
}

/** Whether a version says how the weights came about, so that only their record can tell it. */
export const isLineage = (version: string): boolean => version.includes(LINEAGE);

/** Whether a text has the form of a version: it becomes a part of paths. */
export const isVersion = (text: string): boolean => /^\d{1,15}-(via-)?[0-9a-f]{24}$/.test(text);

/** The policy with all its tensors on the host, to be written to disk. */
export async function onHostPolicy(device: Device, policy: Policy): Promise<Policy> {
  const fetch = async (tensors: ReadonlyMap<string, OnnxTensor>) => {
    const fetched = new Map<string, OnnxTensor>();
    for (const [name, tensor] of tensors) {
      const { dims } = tensor;
      const host = onHost(tensor)
        ? tensor
        : device.tensor({ data: await device.read(tensor), dims });
      fetched.set(name, host);
    }
    return fetched;
  };
  return {
    ...policy,
    base: policy.base && { ...policy.base, parameters: await fetch(policy.base.parameters) },
    parameters: await fetch(policy.parameters),
    moments: await fetch(policy.moments),
  };
}

/** Frees what the policy alone holds in a device's memory; it cannot be used any more. */
export function disposePolicy({ parameters, moments }: Policy): void {
  dispose(parameters.values());
  dispose(moments.values());
}
