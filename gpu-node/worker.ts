/**
 * The thread that owns the device: takes one verb at a time from its port and answers it, with
 * fresh tokens on the way. ONNX Runtime blocks its thread while it runs, so no other work may live
 * here; that a request was given up is read from shared memory, which needs no message to arrive.
 */
/// <reference lib="deno.worker" />
import { CollmError, type ErrorCode } from "../shared/errors.ts";
import { openDevice } from "./device.ts";
import { Kernel } from "./kernel.ts";
import { lanesOf } from "./lane/lane.ts";
import type { DeviceChoice, GpuNode, SampleHooks, SampleRequest, SampleResult } from "./verbs.ts";

/** A verb's name; each is a method of the kernel. */
export type Verb = Exclude<keyof GpuNode, "sample"> | "sampleTogether";

export interface WorkerRequest {
  id: number;
  verb: Verb;
  args: unknown[];
  /** Of sampleTogether: one 32-bit word per request, not 0 when it was given up. */
  given_up?: SharedArrayBuffer;
  /** Of sampleTogether: somebody takes tokens as they come, which makes the work's pieces small. */
  watched?: boolean;
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

// The worker is named after its place. Without that device every verb is answered with why.
const [device, threads] = self.name.split(" ") as [DeviceChoice, string?];
const kernel = openDevice(device, threads ? Number(threads) : undefined)
  .then((opened) => new Kernel(opened, lanesOf(opened)));
let last: Promise<unknown> = kernel.catch(() => {});

self.onmessage = ({ data }: MessageEvent<WorkerRequest>) => {
  last = last.then(() => answer(data)).then((reply) => self.postMessage(reply));
};

async function answer(request: WorkerRequest): Promise<WorkerReply> {
  const { id, verb, args } = request;
  try {
    if (request.given_up) {
      const results = await sampleTogether(request);
      return { id, settled: results.map(outcome) };
    }
    const method = (await kernel)[verb] as (...args: unknown[]) => Promise<unknown>;
    return { id, value: await method.apply(await kernel, args) };
  } catch (cause) {
    return { id, error: wireError(cause) };
  }
}

async function sampleTogether({ id, args, given_up, watched }: WorkerRequest) {
  const flags = new Int32Array(given_up!);
  const onTokens: SampleHooks["onTokens"] = (request, row, tokens, logprobs) =>
    self.postMessage({ id, fresh: { request, row, tokens, logprobs } } satisfies WorkerReply);
  return await (await kernel).sampleTogether(args[0] as SampleRequest[], {
    ...watched && { onTokens },
    cancelled: (request) => Atomics.load(flags, request) !== 0,
  });
}

const outcome = (result: SampleResult | CollmError): Outcome =>
  result instanceof CollmError ? { error: wireError(result) } : { value: result };

const wireError = (cause: unknown): WireError => ({
  code: cause instanceof CollmError ? cause.code : "internal",
  message: cause instanceof Error ? cause.message : String(cause),
});
