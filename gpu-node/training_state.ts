/**
 * What a checkpoint holds of the training: optimizer steps, the version they led to, Adam moments.
 * Whoever brings a checkpoint can write all of it, so nothing is taken unchecked; that values are
 * finite is checked where they are loaded.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CollmError } from "../shared/errors.ts";
import { openFinite } from "./model/checkpoint.ts";
import { readJsonObject } from "./model/files.ts";
import type { TensorData } from "./model/safetensors.ts";
import { learns, type ModelSpec } from "./model/spec.ts";
import { formOf, isLineage, isVersion, type Policy, versionOf } from "./policy.ts";
import { momentName } from "./program/update.ts";

export const OPTIMIZER_FILE = "optimizer.safetensors";
export const STATE_FILE = "training_state.json";

export interface TrainingState {
  step: number;
  version: string | null;
  /** Hash of the weights that a version of lineage was given to. */
  content?: string;
  moments: ReadonlyMap<string, TensorData>;
}

/** The state of a policy whose tensors are on the host, as its file says it. */
export const savedState = ({ step, version, parameters, base, spec }: Policy) => ({
  step,
  version,
  ...spec.config.half && { dtype: "fp16" },
  ...isLineage(version) && { content: versionOf(step, parameters, formOf(spec, base)) },
});

/** That of a policy which has learnt nothing yet. */
export const NO_STATE: TrainingState = { step: 0, version: null, moments: new Map() };

/** How the base of the policy in `folder` was held, where that was not as float32. */
export function savedDtype(folder: string): "fp16" | undefined {
  const path = join(folder, STATE_FILE);
  return existsSync(path) && readJsonObject(path).dtype === "fp16" ? "fp16" : undefined;
}

/** The version that the state in `folder` says it is of. */
export const versionIn = (folder: string): unknown =>
  readJsonObject(join(folder, STATE_FILE)).version;

/** Throws CollmError naming the file and what is wrong in it. */
export function readState(folder: string, spec: ModelSpec): TrainingState {
  const path = join(folder, STATE_FILE);
  if (!existsSync(path)) return NO_STATE;
  const { step, version, content } = readJsonObject(path);
  const refuse = (what: string) =>
    new CollmError("invalid_request", `Cannot use '${path}': ${what}`);
  if (!Number.isSafeInteger(step) || (step as number) < 0) {
    throw refuse(`step is ${JSON.stringify(step)}, expected a number of steps`);
  }
  if (typeof version !== "string" || !isVersion(version) || !version.startsWith(`${step}-`)) {
    throw refuse(`version is ${JSON.stringify(version)}, expected '${step}-' and a hash`);
  }
  return {
    step: step as number,
    version,
    ...typeof content === "string" && { content },
    moments: readMoments(join(folder, OPTIMIZER_FILE), spec),
  };
}

/**
 * The version of weights of that content in a device's memory: their lineage, where that was
 * recorded for just these weights, otherwise their content.
 */
export const versionOfState = (state: TrainingState, content: string): string =>
  state.version !== null && isLineage(state.version) && state.content === content
    ? state.version
    : content;

/** Both moments of each parameter that an update has changed, and nothing else. */
function readMoments(path: string, spec: ModelSpec): ReadonlyMap<string, TensorData> {
  const tensors = openFinite(path);
  const refuse = (name: string, why: string) =>
    new CollmError("invalid_request", `Cannot use '${path}': tensor '${name}' ${why}`);
  const known = new Set<string>();
  for (const [parameter, shape] of spec.shapes) {
    if (!learns(spec, parameter)) continue;
    const names = (["m", "v"] as const).map((kind) => momentName(kind, parameter));
    for (const name of names) {
      known.add(name);
      const tensor = tensors.get(name);
      if (!tensor && names.some((other) => tensors.has(other))) throw refuse(name, "is missing");
      if (tensor && tensor.shape.join() !== shape.join()) {
        const [found, expected] = [tensor.shape.join(", "), shape.join(", ")];
        throw refuse(name, `has shape [${found}], expected [${expected}]`);
      }
    }
  }
  for (const name of tensors.keys()) {
    if (!known.has(name)) throw refuse(name, "is no moment of a parameter that learns");
  }
  return tensors;
}
