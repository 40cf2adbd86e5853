/**
 * A lane of sampling beside the kernel's own thread, as the kernel sees it. The runtime splits each
 * operation over its threads, and small ones not at all; lanes of one thread each take parts of a
 * batch instead, and meet at its end. On one thread a row's bits do not depend on the other rows.
 * A lane holds copies of the weights, and so is for models that are not large.
 */
import type { OnnxTensor } from "../../deps.ts";
import { CollmError } from "../../shared/errors.ts";
import type { Device, HostTensor } from "../device.ts";
import type { Weights } from "../policy.ts";
import type { Row } from "../sample/rows.ts";
import type { SampleHooks } from "../verbs.ts";
import { buffersOf, type LaneMessage, type LaneReply, type Tensors } from "./messages.ts";

/** How often the lane is told who gave up, in milliseconds. */
const TELL = 10;

type Drawn = Extract<LaneReply, { rows: unknown }>;

interface Waiting {
  resolve(reply: Drawn): void;
  reject(error: Error): void;
  fresh(reply: { row: number; tokens: number[]; logprobs: number[] }): void;
}

export class Lane {
  #worker: Worker | null = null;
  #count = 0;
  readonly #waiting = new Map<number, Waiting>();
  /** Versions of policies that the lane has, and of bases. */
  readonly #held = new Map<string, string>();
  readonly #bases = new Set<string>();
  /** Buffers of weights that came back: the next version's copy goes there. */
  readonly #spare = new Map<string, Tensors>();

  /** Draws the rows' completions, as generate() does; they are what one of `lanes` has to do. */
  async generate(rows: readonly Row[], hooks: SampleHooks, lanes: number): Promise<void> {
    for (const policy of new Set(rows.map((row) => row.policy))) this.#hold(policy);
    const given_up = new SharedArrayBuffer(4 * rows.length);
    const flags = new Int32Array(given_up);
    const tell = () =>
      rows.forEach((row, i) => hooks.cancelled?.(row.request) && Atomics.store(flags, i, 1));
    tell();
    const telling = setInterval(tell, TELL);
    try {
      const id = this.#count++;
      const { rows: drawn } = await new Promise<Drawn>((resolve, reject) => {
        const fresh: Waiting["fresh"] = ({ row, tokens, logprobs }) =>
          hooks.onTokens!(rows[row]!.request, rows[row]!.at, tokens, logprobs);
        this.#waiting.set(id, { resolve, reject, fresh });
        this.#post({
          sample: {
            id,
            requests: new Map(rows.map((row) => [row.request, row.settings])),
            rows: rows.map(({ request, at }) => ({ request, at })),
            lanes,
            given_up,
            watched: hooks.onTokens !== undefined,
          },
        });
      });
      drawn.forEach((row, i) => Object.assign(rows[i]!, row));
    } finally {
      clearInterval(telling);
    }
  }

  /** Lets go of what belongs to none of these. */
  keepOnly(policies: readonly Weights[]): void {
    if (!this.#worker) return;
    const names = policies.map(({ name }) => name);
    const bases = policies.flatMap(({ base }) => base ? [base.version] : []);
    for (const name of this.#held.keys()) {
      if (names.includes(name)) continue;
      this.#held.delete(name);
      this.#spare.delete(name);
    }
    for (const base of this.#bases) if (!bases.includes(base)) this.#bases.delete(base);
    this.#post({ keep: { policies: names, bases } });
  }

  /** Ends the lane and refuses what it is at. Its next work starts it again. */
  close(error = new CollmError("unavailable", "a lane of sampling was closed")): void {
    this.#worker?.terminate();
    this.#worker = null;
    for (const kept of [this.#held, this.#bases, this.#spare]) kept.clear();
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }

  /** Brings the lane the policy's weights, unless it has them. */
  #hold({ name, version, spec, base, parameters }: Weights): void {
    if (base && !this.#bases.has(base.version)) {
      const copies = copyOf(base.parameters);
      const held = { source: base.source, version: base.version, parameters: copies };
      this.#post({ base: held }, buffersOf(copies));
      this.#bases.add(base.version);
    }
    if (this.#held.get(name) === version) return;
    const copies = copyOf(parameters, this.#spare.get(name));
    this.#spare.delete(name);
    const held = { name, version, spec, base: base?.version ?? null, parameters: copies };
    this.#post({ policy: held }, buffersOf(copies));
    this.#held.set(name, version);
  }

  #post(message: LaneMessage, transfer: ArrayBuffer[] = []): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage(message, transfer);
  }

  #start(): Worker {
    const module = new URL("./worker.ts", import.meta.url);
    const worker = new Worker(module, { type: "module", name: "lane" });
    worker.onmessage = ({ data }: MessageEvent<LaneReply>) => {
      if ("replaced" in data) {
        if (this.#held.has(data.policy)) this.#spare.set(data.policy, data.replaced);
        return;
      }
      const waiting = this.#waiting.get(data.id);
      if ("fresh" in data) return waiting?.fresh(data.fresh);
      this.#waiting.delete(data.id);
      if ("rows" in data) waiting?.resolve(data);
      else waiting?.reject(new CollmError("internal", data.error));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      // One that was closed before is no matter of its successor's.
      if (this.#worker !== worker) return;
      this.close(new CollmError("internal", `a lane of sampling ended: ${event.message}`));
    };
    return worker;
  }
}

/** Lanes for the threads that a device has beside the kernel's own: none but of a CPU. */
export const lanesOf = ({ name, threads }: Device): Lane[] =>
  name === "cpu" ? Array.from({ length: threads - 1 }, () => new Lane()) : [];

/** Copies, in buffers of the same sizes where there are some. */
const copyOf = (
  tensors: ReadonlyMap<string, OnnxTensor>,
  spare?: Tensors,
): Map<string, HostTensor> =>
  new Map([...tensors].map(([name, { data, dims }]) => {
    const values = data as Float32Array | Uint16Array;
    const old = spare?.get(name)?.data as typeof values | undefined;
    if (old?.length !== values.length) return [name, { data: values.slice(), dims }];
    old.set(values);
    return [name, { data: old, dims }];
  }));
