/**
 * The GPU node on this machine: a Worker behind the verbs. Calls queue in the Worker in the order
 * they are made; errors come back as the CollmError that the kernel threw. Leaves out who goes
 * first (scheduler.ts) and life after the Worker's death (lasting_node.ts).
 */
import { CollmError } from "../shared/errors.ts";
import type {
  BatchNode,
  DeviceChoice,
  SampleOptions,
  SampleRequest,
  SampleResult,
} from "./verbs.ts";
import type { Outcome, Verb, WorkerReply, WorkerRequest } from "./worker.ts";

/** The Worker ended by itself; what it was doing and what waited for it is lost. */
export class WorkerEnded extends CollmError {
  constructor(reason: string) {
    super("unavailable", `Cannot reach the GPU worker: ${reason}`);
  }
}

interface Waiting {
  settle(outcome: Outcome): void;
  reply?(reply: WorkerReply): void;
  reject(error: Error): void;
}

/** Where a Worker runs its programs. */
export interface WorkerPlace {
  /** One that is not there is an error of every verb. Default: the CPU. */
  device?: DeviceChoice | undefined;
  /** Threads of the CPU; default: 2. */
  threads?: number | undefined;
}

export interface WorkerOptions extends WorkerPlace {
  /** Module of the Worker. */
  module?: URL;
}

/** Starts the Worker. A Worker that dies rejects every call that waits for it with WorkerEnded. */
export function openWorkerNode(
  { module = new URL("./worker.ts", import.meta.url), device = "cpu", threads }: WorkerOptions = {},
): BatchNode {
  const name = threads === undefined ? device : `${device} ${threads}`;
  const worker = new Worker(module, { type: "module", name });
  const waiting = new Map<number, Waiting>();
  let count = 0;
  let dead: WorkerEnded | null = null;

  worker.onmessage = ({ data }: MessageEvent<WorkerReply>) => {
    const call = waiting.get(data.id);
    if (!("fresh" in data)) waiting.delete(data.id);
    if ("fresh" in data || "settled" in data) call?.reply?.(data);
    else call?.settle(data);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    dead = new WorkerEnded(event.message);
    for (const call of waiting.values()) call.reject(dead);
    waiting.clear();
  };

  const post = (call: Waiting, request: Omit<WorkerRequest, "id">) => {
    if (dead) return call.reject(dead);
    const id = count++;
    waiting.set(id, call);
    worker.postMessage({ id, ...request } satisfies WorkerRequest);
  };
  const call = <T>(verb: Verb, ...args: unknown[]): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      post({ settle: settler(resolve, reject), reject }, { verb, args });
    });

  function sampleTogether(
    requests: readonly SampleRequest[],
    options: readonly SampleOptions[],
  ): Promise<SampleResult>[] {
    const given_up = new SharedArrayBuffer(4 * requests.length);
    const flags = new Int32Array(given_up);
    const watched = options.some((option) => option.onTokens);
    const answers = requests.map((_, i) => {
      const { promise, resolve, reject } = Promise.withResolvers<SampleResult>();
      const signal = options[i]?.signal;
      const give = () => {
        Atomics.store(flags, i, 1);
        reject(signal!.reason);
      };
      if (signal?.aborted) give();
      signal?.addEventListener("abort", give);
      const end = () => signal?.removeEventListener("abort", give);
      return { promise, reject, end, settle: settler(resolve, reject) };
    });
    const settle = (outcomeOf: (i: number) => Outcome) =>
      answers.forEach((answer, i) => {
        answer.end();
        answer.settle(outcomeOf(i));
      });
    post({
      settle: (outcome) => settle(() => outcome),
      reply(reply) {
        if ("settled" in reply) settle((i) => reply.settled[i]!);
        else if ("fresh" in reply && !options[reply.fresh.request]?.signal?.aborted) {
          const { request, row, tokens, logprobs } = reply.fresh;
          options[request]?.onTokens?.(row, tokens, logprobs);
        }
      },
      reject: (error) =>
        answers.forEach((answer) => {
          answer.end();
          answer.reject(error);
        }),
    }, { verb: "sampleTogether", args: [requests], given_up, watched });
    return answers.map((answer) => answer.promise);
  }

  return {
    health: () => call("health"),
    load: (request) => call("load", request),
    list: () => call("list"),
    sampleTogether,
    sample: (request, options = {}) => sampleTogether([request], [options])[0]!,
    score: (policy, sequences, { signal: _, ...options } = {}) =>
      call("score", policy, sequences, options),
    values: (policy, sequences) => call("values", policy, sequences),
    update: (request) => call("update", request),
    save: (policy, folder, options) => call("save", policy, folder, options),
    unload: (policy) => call("unload", policy),
    async close() {
      if (!dead) await call("close");
      worker.terminate();
    },
  };
}

const settler =
  <T>(resolve: (value: T) => void, reject: (error: Error) => void) => (outcome: Outcome) => {
    if ("error" in outcome) reject(new CollmError(outcome.error.code, outcome.error.message));
    else resolve(outcome.value as T);
  };
