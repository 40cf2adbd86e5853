/**
 * The GPU node on this machine: a Worker behind the verbs. Calls queue in the Worker in the order
 * they are made; errors come back as the CollmError that the kernel threw.
 */
import { CollmError } from "../shared/errors.ts";
import type { GpuNode } from "./verbs.ts";
import type { Verb, WorkerReply, WorkerRequest } from "./worker.ts";

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** Starts the Worker. A Worker that dies rejects every call that waits for it. */
export function openWorkerNode(): GpuNode {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  const waiting = new Map<number, Waiting>();
  let count = 0;
  let dead: CollmError | null = null;

  worker.onmessage = ({ data }: MessageEvent<WorkerReply>) => {
    const call = waiting.get(data.id);
    waiting.delete(data.id);
    if ("error" in data) call?.reject(new CollmError(data.error.code, data.error.message));
    else call?.resolve(data.value);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    dead = new CollmError("unavailable", `Cannot reach the GPU worker: ${event.message}`);
    for (const call of waiting.values()) call.reject(dead);
    waiting.clear();
  };

  const call = <T>(verb: Verb, ...args: unknown[]): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (dead) return reject(dead);
      const id = count++;
      waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      worker.postMessage({ id, verb, args } satisfies WorkerRequest);
    });

  return {
    load: (request) => call("load", request),
    list: () => call("list"),
    sample: (request) => call("sample", request),
    score: (policy, sequences) => call("score", policy, sequences),
    values: (policy, sequences) => call("values", policy, sequences),
    update: (request) => call("update", request),
    save: (policy, folder, options) => call("save", policy, folder, options),
    unload: (policy) => call("unload", policy),
    async close() {
      await call("close");
      worker.terminate();
    },
  };
}
