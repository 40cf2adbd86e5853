/**
 * The optimizer's side of a policy: its state as inputs of a step, and the step's outputs as its
 * new state and version.
 */
import type { OnnxTensor } from "../../deps.ts";
import { type HostTensor, recycle } from "../device.ts";
import { optimizerFeeds } from "../graph/optimizer.ts";
import { type Policy, versionAfter } from "../policy.ts";
import { momentName, newName } from "../program/update.ts";
import type { UpdateRequest } from "../verbs.ts";

export type Feeds = Record<string, HostTensor | OnnxTensor>;
export type Outputs = Record<string, OnnxTensor>;

/** Scalars of the policy's next step: one count of steps for all parameters (graph/optimizer.ts). */
export function stepFeeds(policy: Policy, { optimizer: o, max_grad_norm }: UpdateRequest): Feeds {
  return optimizerFeeds({
    lr: o.learning_rate,
    betas: o.betas ?? [0.9, 0.999],
    eps: o.eps ?? 1e-8,
    weightDecay: o.weight_decay ?? 0.01,
    maxNorm: max_grad_norm === undefined ? 0 : inFloat32(max_grad_norm),
  }, policy.step + 1);
}

/** A positive number as the device can hold it: beyond its range is as good as its ends. */
const inFloat32 = (x: number): number => Math.min(Math.max(x, 2 ** -126), 2 ** 127);

/** Adam moments, zeros before the first step. */
export function moments(policy: Policy, parameters: readonly string[]): Feeds {
  return Object.fromEntries(parameters.flatMap((name) =>
    (["m", "v"] as const).map((kind) => {
      const key = momentName(kind, name);
      const known = policy.moments.get(key);
      const dims = policy.spec.shapes.get(name)!;
      return [key, known ?? { data: new Float32Array(dims.reduce((a, b) => a * b, 1)), dims }];
    })
  ));
}

/** Buffers for the new state. */
export const spareOf = ({ spare }: Policy): Outputs =>
  Object.fromEntries([...spare].map(([name, tensor]) => [newName(name), tensor]));

/** The new state takes the place of the old one, whose buffers the next step may write to. */
export function adopt(
  policy: Policy,
  request: UpdateRequest,
  parameters: readonly string[],
  output: Outputs,
): void {
  const replaced = new Map<string, OnnxTensor>();
  const take = (state: Map<string, OnnxTensor>, key: string) => {
    const old = state.get(key);
    if (old) replaced.set(key, old);
    state.set(key, output[newName(key)]!);
  };
  for (const name of parameters) {
    take(policy.parameters, name);
    for (const kind of ["m", "v"] as const) take(policy.moments, momentName(kind, name));
  }
  policy.spare = recycle(replaced);
  policy.step++;
  policy.version = versionAfter(policy, request);
}
