/**
 * A lane: a thread with copies of the weights that samples a part of a batch while others sample
 * theirs. It holds nothing that is not in the kernel as well.
 */
/// <reference lib="deno.worker" />
import type { OnnxTensor } from "../../deps.ts";
import { cpuDevice } from "../device.ts";
import type { Base, Weights } from "../policy.ts";
import { ProgramLibrary } from "../program/library.ts";
import { generate } from "../sample/generate.ts";
import { rowsOf } from "../sample/rows.ts";
import { Sampler } from "../sample/sampler.ts";
import {
  buffersOf,
  type DrawnRow,
  type HeldPolicy,
  type LaneMessage,
  type LaneReply,
  type SampleWork,
  type Tensors,
} from "./messages.ts";

const device = await cpuDevice(1);
const sampler = new Sampler(new ProgramLibrary(device));
const bases = new Map<string, Base>();
const policies = new Map<string, Weights>();
let last: Promise<void> = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<LaneMessage>) => {
  last = last.then(() => take(data));
};

async function take(message: LaneMessage): Promise<void> {
  if ("base" in message) {
    const { parameters, ...rest } = message.base;
    bases.set(rest.version, { ...rest, parameters: toTensors(parameters) });
  } else if ("policy" in message) hold(message.policy);
  else if ("keep" in message) await keep(message.keep);
  else {
    const { id } = message.sample;
    try {
      post({ id, rows: await sample(message.sample) });
    } catch (cause) {
      post({ id, error: cause instanceof Error ? cause.message : String(cause) });
    }
  }
}

function hold({ base, parameters, ...rest }: HeldPolicy): void {
  const before = policies.get(rest.name);
  if (before) {
    const replaced = toHost(before.parameters);
    post({ policy: rest.name, replaced }, buffersOf(replaced));
  }
  // The same object again: packed decoders of an older version are found by it, and released.
  policies.set(
    rest.name,
    Object.assign(before ?? {}, rest, {
      base: base === null ? null : bases.get(base)!,
      parameters: toTensors(parameters),
    }),
  );
}

async function keep(kept: { policies: string[]; bases: string[] }): Promise<void> {
  for (const name of policies.keys()) if (!kept.policies.includes(name)) policies.delete(name);
  for (const version of bases.keys()) if (!kept.bases.includes(version)) bases.delete(version);
  await sampler.keepOnly([...policies.values()]);
}

async function sample(
  { id, requests, rows, lanes, given_up, watched }: SampleWork,
): Promise<DrawnRow[]> {
  const all = new Map([...requests].map(([number, request]) => {
    return [number, rowsOf(policies.get(request.policy)!, request, number, lanes)];
  }));
  const own = rows.map(({ request, at }) => all.get(request)![at]!);
  const flags = new Int32Array(given_up);
  await generate(sampler, own, {
    cancelled: (request) => Atomics.load(flags, own.findIndex((r) => r.request === request)) !== 0,
    ...watched && {
      onTokens(request, at, tokens, logprobs) {
        const row = own.findIndex((r) => r.request === request && r.at === at);
        post({ id, fresh: { row, tokens, logprobs } });
      },
    },
  });
  return own.map(({ tokens, logprobs, finish }) => ({ tokens, logprobs, finish }));
}

const toTensors = (held: Tensors): Map<string, OnnxTensor> =>
  new Map([...held].map(([name, tensor]) => [name, device.tensor(tensor)]));

const toHost = (held: ReadonlyMap<string, OnnxTensor>): Tensors =>
  new Map([...held].map(([name, { data, dims }]) => [name, { data: data as Float32Array, dims }]));

function post(reply: LaneReply, transfer: ArrayBuffer[] = []): void {
  self.postMessage(reply, transfer);
}
