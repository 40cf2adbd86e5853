/**
 * The adapters of several policies side by side, as the inputs that model/cached.ts describes:
 * A's rows and B's columns of all policies, zeros where a policy does not change a matrix. A mask
 * then gives each row of a batch its own. Kept until other policies or versions come.
 */
import type { Device, HostTensor } from "../device.ts";
import type { OnnxTensor } from "../../deps.ts";
import { dispose } from "../device.ts";
import type { Weights } from "../policy.ts";
import { LORA_TARGETS, type LoraTarget } from "../verbs.ts";

/** Ranks are filled up to a multiple of this: products of one column sum in another order. */
const RANKS = 16;

export interface SideBySide {
  targets: LoraTarget[];
  feeds: Record<string, OnnxTensor>;
  /** Row of the mask for a policy: [ranks]. */
  mask(policy: Weights): Uint8Array;
  ranks: number;
}

export const targetsOf = (policies: readonly Weights[]): LoraTarget[] =>
  LORA_TARGETS.filter((target) =>
    policies.some(({ spec }) => spec.lora?.target_modules.includes(target))
  );

/** Every matrix that some of the policies change: its adapters' rows of A and columns of B. */
export async function sideBySide(
  device: Device,
  policies: readonly Weights[],
): Promise<SideBySide> {
  const targets = targetsOf(policies);
  const { shapes } = policies[0]!.spec;
  const starts = new Map<Weights, number>();
  let end = 0;
  for (const policy of policies) {
    starts.set(policy, end);
    end += policy.spec.lora!.rank;
  }
  const ranks = Math.ceil(end / RANKS) * RANKS;
  const feeds: Record<string, OnnxTensor> = {};
  for (const name of shapes.keys()) {
    const match = /^(.*\.(\w+_proj))\.weight$/.exec(name);
    if (!match || !targets.includes(match[2] as LoraTarget)) continue;
    const [out, width] = shapes.get(name) as [number, number];
    const a = new Float32Array(ranks * width);
    const b = new Float32Array(out * ranks);
    for (const policy of policies) {
      const read = async (side: string) => {
        const tensor = policy.parameters.get(`${match[1]}.${side}`);
        return tensor && await device.read(tensor) as Float32Array;
      };
      const [own, back] = [await read("lora_A"), await read("lora_B")];
      if (!own || !back) continue;
      const [start, { rank, alpha }] = [starts.get(policy)!, policy.spec.lora!];
      // Into A, whose products are left out of other rows: B must stay finite.
      a.set(own.map((x) => x * (alpha / rank)), start * width);
      for (let row = 0; row < out; row++) {
        b.set(back.subarray(row * rank, (row + 1) * rank), row * ranks + start);
      }
    }
    feeds[`${match[1]}.A`] = await device.upload({ data: a, dims: [ranks, width] });
    feeds[`${match[1]}.B`] = await device.upload({ data: b, dims: [out, ranks] });
  }
  return {
    targets,
    feeds,
    ranks,
    mask(policy) {
      const start = starts.get(policy)!;
      return new Uint8Array(ranks).fill(1, start, start + policy.spec.lora!.rank);
    },
  };
}

/** The adapters last put side by side: a batch of some of the same policies and versions takes them. */
export class AdapterCache {
  #versions = new Map<Weights, string>();
  #last: SideBySide | null = null;

  constructor(readonly device: Device) {}

  async get(policies: readonly Weights[]): Promise<SideBySide> {
    const known = policies.every((policy) => this.#versions.get(policy) === policy.version);
    if (this.#last && known) return this.#last;
    this.clear();
    this.#last = await sideBySide(this.device, policies);
    this.#versions = new Map(policies.map((policy) => [policy, policy.version]));
    return this.#last;
  }

  clear(): void {
    if (this.#last) dispose(Object.values(this.#last.feeds));
    this.#last = null;
    this.#versions.clear();
  }
}

/** The mask of a batch: [rows, ranks]. */
export function maskOf({ ranks, mask }: SideBySide, policies: readonly Weights[]): HostTensor {
  const data = new Uint8Array(policies.length * ranks);
  policies.forEach((policy, row) => data.set(mask(policy), row * ranks));
  return { data, dims: [policies.length, ranks] };
}
