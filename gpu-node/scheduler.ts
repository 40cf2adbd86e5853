/**
 * Who goes next on the device: first come, first served, one call at a time. Sample requests that
 * wait together for policies of one base go as one batch. A write to a policy is a barrier: what
 * was asked before it runs before it. The queue is bounded; who gives up leaves it, but a write
 * that has begun goes on. Reads of log-probabilities and values are not merged: their last bits
 * would depend on who else asks.
 */
import { CollmError } from "../shared/errors.ts";
import { numbersOf } from "./journal.ts";
import type { BatchNode, GpuNode, PolicyInfo, SampleOptions, SampleRequest } from "./verbs.ts";

export interface SchedulerOptions {
  /** Requests that wait at most, and the numbers in them, eight bytes each. */
  requests?: number;
  numbers?: number;
  /** Prompts of one batch at most, unless one request alone has more. */
  rows?: number;
  /** Told of every call that the device has answered. */
  onCall?: (call: DeviceCall) => void;
}

/** One call to the device, for one request or a batch of them. */
export interface DeviceCall {
  verb: ScheduledVerb;
  requests: number;
  rows: number;
  /** Seconds that each request waited, and that the device took. */
  waited: number[];
  seconds: number;
}

export type ScheduledVerb = "load" | "sample" | "score" | "values" | "update" | "save" | "unload";

export interface ScheduledNode extends GpuNode {
  /** Requests that wait now. */
  readonly waiting: number;
}

interface Job {
  verb: ScheduledVerb;
  policy: string;
  numbers: number;
  /** A sample request, which may share a batch. */
  sample?: { request: SampleRequest; options: SampleOptions };
}

interface Waiting extends Job {
  came: number;
  deed(): Promise<unknown>;
  /** Hands on the answer; resolves, never rejects, when it is there. */
  settle(answer: Promise<unknown>): Promise<void>;
}

/** Verbs after which the policy is another. */
const WRITES: ReadonlySet<ScheduledVerb> = new Set(["load", "update", "unload"]);

/** Verbs that leave something behind: once begun, they are waited for to the end. */
const LASTING: ReadonlySet<ScheduledVerb> = new Set([...WRITES, "save"]);

/**
 * After a batch its clients are about to ask again, at once or all together after work of their
 * own, and a batch of all of them takes little longer than one of the first few: the next batch
 * waits for them up to this fraction of the last one's time, and not longer than QUIET milliseconds
 * after the last that came.
 */
const PATIENCE = 0.2;
const QUIET = 10;

export function openScheduler(node: BatchNode, options: SchedulerOptions = {}): ScheduledNode {
  const { requests = 1024, numbers = 2 ** 27, rows = 512, onCall } = options;
  const queue: Waiting[] = [];
  /** As the device told them after the last write: who lists them does not wait for it. */
  let infos = new Map<string, PolicyInfo>();
  let held = 0;
  let driving = false;
  /** The last batch: its base, its clients and those who then waited, when it ended, its time. */
  const none = { base: "", clients: 0, ended: 0, took: 0 };
  let last = none;

  /** Policies with equal answers can share a batch. */
  const baseOf = (policy: string): string => {
    const base = infos.get(policy)?.base;
    return base === undefined ? `policy ${policy}` : `base ${base}`;
  };

  function enqueue<T>(
    job: Job,
    signal: AbortSignal | undefined,
    deed: () => Promise<T>,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const what = `Cannot ${job.verb} policy '${job.policy}'`;
      if (job.numbers > numbers) {
        const why = `the request holds ${job.numbers} numbers, at most ${numbers} are taken`;
        return reject(new CollmError("payload_too_large", `${what}: ${why}`));
      }
      if (queue.length >= requests || held + job.numbers > numbers) {
        const numbers = queue.length < requests ? ` with ${held} numbers` : "";
        const full = `${queue.length} requests${numbers} wait already`;
        return reject(new CollmError("too_many_requests", `${what}: ${full}`));
      }
      const giveUp = () => {
        const at = queue.indexOf(entry);
        if (at >= 0) remove(at);
        reject(signal!.reason);
      };
      const entry: Waiting = {
        ...job,
        came: performance.now(),
        deed,
        async settle(answer) {
          if (LASTING.has(job.verb)) signal?.removeEventListener("abort", giveUp);
          await answer.then(resolve as (value: unknown) => void, reject);
          signal?.removeEventListener("abort", giveUp);
        },
      };
      signal?.addEventListener("abort", giveUp);
      queue.push(entry);
      held += job.numbers;
      if (!driving) void drive();
    });
  }

  function remove(at: number): Waiting {
    const [job] = queue.splice(at, 1);
    held -= job!.numbers;
    return job!;
  }

  async function drive(): Promise<void> {
    driving = true;
    while (queue.length > 0) {
      await gather();
      // Those who waited may have given up meanwhile.
      if (queue.length > 0) await run(takeBatch());
    }
    driving = false;
  }

  /** Waits for the clients of the last batch while only their like is asked for. */
  async function gather(): Promise<void> {
    const patience = PATIENCE * last.took;
    const end = Math.max(last.ended, queue[0]!.came) + patience;
    while (queue[0]?.sample && baseOf(queue[0].policy) === last.base) {
      if (queue.length >= last.clients) return;
      const now = performance.now();
      const quiet = Math.max(last.ended, queue.at(-1)!.came) + Math.min(QUIET, patience);
      if (now >= end || now >= quiet) return;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** The first job; if it samples, with all that may run beside it. */
  function takeBatch(): Waiting[] {
    const first = remove(0);
    const batch = [first];
    if (!first.sample) return batch;
    let count = first.sample.request.prompts.length;
    const barred = new Set<string>();
    for (let at = 0; at < queue.length;) {
      const { verb, policy, sample } = queue[at]!;
      if (WRITES.has(verb)) barred.add(policy);
      const fits = sample && !barred.has(policy) && baseOf(policy) === baseOf(first.policy) &&
        count + sample.request.prompts.length <= rows;
      if (fits) {
        count += sample.request.prompts.length;
        batch.push(remove(at));
      } else at++;
    }
    return batch;
  }

  async function run(batch: Waiting[]): Promise<void> {
    const [first] = batch as [Waiting];
    const began = performance.now();
    /** Who waits when the answer comes: later ones may be the batch's own clients again. */
    let left: number | undefined;
    const note = () => void (left ??= queue.length);
    if (first.sample) {
      const samples = batch.map((job) => job.sample!);
      const answers = node.sampleTogether(
        samples.map(({ request }) => request),
        samples.map(({ options }) => options),
      );
      await Promise.all(batch.map((job, i) => job.settle(answers[i]!.finally(note))));
    } else await first.settle(first.deed());
    const ended = performance.now();
    const took = ended - began;
    const clients = batch.length + (left ?? 0);
    last = first.sample ? { base: baseOf(first.policy), clients, ended, took } : none;
    onCall?.({
      verb: first.verb,
      requests: batch.length,
      rows: batch.reduce((sum, { sample }) => sum + (sample?.request.prompts.length ?? 1), 0),
      waited: batch.map(({ came }) => (began - came) / 1000),
      seconds: took / 1000,
    });
  }

  /** Runs a write, whose policy is another then. */
  async function write<T>(deed: () => Promise<T>): Promise<T> {
    try {
      return await deed();
    } finally {
      infos = new Map((await node.list()).map((info) => [info.policy, info]));
    }
  }

  const lengths = (lists: readonly { tokens: number[] }[]) =>
    lists.reduce((sum, { tokens }) => sum + tokens.length, 0);

  return {
    get waiting() {
      return queue.length;
    },
    load(request, { signal } = {}) {
      const job: Job = { verb: "load", policy: request.policy, numbers: 0 };
      return enqueue(job, signal, () => write(() => node.load(request)));
    },
    health: () => node.health(),
    list: () => Promise.resolve([...infos.values()]),
    sample(request, options = {}) {
      const { policy, prompts } = request;
      // Completions of one prompt hold it once.
      const numbers = [...new Set(prompts)].reduce((sum, prompt) => sum + prompt.length, 0);
      const job: Job = { verb: "sample", policy, numbers, sample: { request, options } };
      return enqueue(job, options.signal, () => node.sample(request, options));
    },
    score(policy, sequences, { signal, ...options } = {}) {
      const job: Job = { verb: "score", policy, numbers: lengths(sequences) };
      return enqueue(job, signal, () => node.score(policy, sequences, options));
    },
    values(policy, sequences, { signal } = {}) {
      const job: Job = { verb: "values", policy, numbers: lengths(sequences) };
      return enqueue(job, signal, () => node.values(policy, sequences));
    },
    update(request, { signal } = {}) {
      const job: Job = { verb: "update", policy: request.policy, numbers: numbersOf(request) };
      return enqueue(job, signal, () => write(() => node.update(request)));
    },
    save(policy, folder, options, { signal } = {}) {
      const job: Job = { verb: "save", policy, numbers: 0 };
      return enqueue(job, signal, () => node.save(policy, folder, options));
    },
    unload(policy, { signal } = {}) {
      const job: Job = { verb: "unload", policy, numbers: 0 };
      return enqueue(job, signal, () => write(() => node.unload(policy)));
    },
    close: () => node.close(),
  };
}
