/** The form that sampling programs are made for: adapters come beside it, value heads are not read. */
import { isAdapter, isValueHead, type ModelSpec, modelSpec } from "../model/spec.ts";

const known = new WeakMap<ModelSpec, ModelSpec>();

/** The model alone: equal for all policies on one base, whatever their adapters. */
export function bareSpec(spec: ModelSpec): ModelSpec {
  let bare = known.get(spec);
  if (bare) return bare;
  const shapes = [...spec.shapes].filter(([name]) => !isAdapter(name) && !isValueHead(name));
  bare = modelSpec(spec.config, new Map(shapes));
  known.set(spec, bare);
  return bare;
}
