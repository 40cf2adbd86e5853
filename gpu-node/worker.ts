/**
 * The thread that owns the device: takes one verb at a time from its port and answers it.
 * ONNX Runtime blocks its thread while it runs, so no other work may live here.
 */
/// <reference lib="deno.worker" />
import { CollmError, type ErrorCode } from "../shared/errors.ts";
import { cpuDevice } from "./device.ts";
import { Kernel } from "./kernel.ts";
import type { GpuNode } from "./verbs.ts";

/** A verb's name; each is a method of GpuNode. */
export type Verb = keyof GpuNode;

export interface WorkerRequest {
  id: number;
  verb: Verb;
  args: unknown[];
}

export type WorkerReply =
  | { id: number; value: unknown }
  | { id: number; error: { code: ErrorCode; message: string } };

const kernel = cpuDevice().then((device) => new Kernel(device));
let last: Promise<unknown> = kernel;

self.onmessage = ({ data }: MessageEvent<WorkerRequest>) => {
  last = last.then(() => answer(data)).then((reply) => self.postMessage(reply));
};

async function answer({ id, verb, args }: WorkerRequest): Promise<WorkerReply> {
  try {
    const method = (await kernel)[verb] as (...args: unknown[]) => Promise<unknown>;
    return { id, value: await method.apply(await kernel, args) };
  } catch (cause) {
    const code = cause instanceof CollmError ? cause.code : "internal";
    const message = cause instanceof Error ? cause.message : String(cause);
    return { id, error: { code, message } };
  }
}
