/**
 * The thread that owns the device: takes one verb at a time from its port and answers it, with
 * fresh tokens on the way. ONNX Runtime blocks its thread while it runs, so no other work may live
 * here; that a request was given up is read from shared memory, which needs no message to arrive.
 */
/// <reference lib="deno.worker" />
import { CollmError, type ErrorCode } from "../shared/errors.ts";
import { openDevice } from "./device.ts";
import { Kernel } from "./kernel.ts";
import type { DeviceChoice, GpuNode, SampleRequest, SampleResult } from "./verbs.ts";

/** A verb's name; each is a method of the kernel. */
export type Verb = Exclude<keyof GpuNode, "sample"> | "sampleTogether";

export interface WorkerRequest {
  id: number;
  verb: Verb;
  args: unknown[];
  /** Of sampleTogether: one 32-bit word per request, not 0 when it was given up. */
  given_up?: SharedArrayBuffer;
}

export interface WireError {
  code: ErrorCode;
  message: string;
}
export type Outcome = { value: unknown } | { error: WireError };
export interface FreshTokens {
  request: number;
  row: number;
  tokens: number[];
  logprobs: number[];
}
/** `settled` holds the outcomes of the requests of a sampleTogether. */
export type WorkerReply =
  & { id: number }
  & (Outcome | { fresh: FreshTokens } | { settled: Outcome[] });

// The worker is named after its device. Where there is none, every verb is answered with why.
const kernel = openDevice((self.name || "cpu") as DeviceChoice).then((device) =>
  new Kernel(device)
);
let last: Promise<unknown> = kernel.catch(() => {});

self.onmessage = ({ data }: MessageEvent<WorkerRequest>) => {
  last = last.then(() => answer(data)).then((reply) => self.postMessage(reply));
};

async function answer({ id, verb, args, given_up }: WorkerRequest): Promise<WorkerReply> {
  try {
    if (given_up) {
      const results = await sampleTogether(id, args[0] as SampleRequest[], given_up);
      return { id, settled: results.map(outcome) };
    }
    const method = (await kernel)[verb] as (...args: unknown[]) => Promise<unknown>;
    return { id, value: await method.apply(await kernel, args) };
  } catch (cause) {
    return { id, error: wireError(cause) };
  }
}

async function sampleTogether(id: number, requests: SampleRequest[], given_up: SharedArrayBuffer) {
  const flags = new Int32Array(given_up);
  return await (await kernel).sampleTogether(requests, {
    onTokens(request, row, tokens, logprobs) {
      const fresh = { request, row, tokens, logprobs };
      self.postMessage({ id, fresh } satisfies WorkerReply);
    },
    cancelled: (request) => Atomics.load(flags, request) !== 0,
  });
}

const outcome = (result: SampleResult | CollmError): Outcome =>
  result instanceof CollmError ? { error: wireError(result) } : { value: result };

const wireError = (cause: unknown): WireError => ({
  code: cause instanceof CollmError ? cause.code : "internal",
  message: cause instanceof Error ? cause.message : String(cause),
});
