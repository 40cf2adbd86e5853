/**
 * The verb `sample` for policies that learn: requests to rows, rows to batches, batches one after
 * the other. Keeps what batches share: programs, packed weights, adapters side by side.
 */
import { CollmError } from "../../shared/errors.ts";
import type { HostTensor, Program } from "../device.ts";
import type { OnnxTensor } from "../../deps.ts";
import { type Weights, weightsOf } from "../policy.ts";
import type { DecodeForm } from "../program/decode.ts";
import type { ProgramLibrary } from "../program/library.ts";
import type { SampleHooks, SampleRequest, SampleResult } from "../verbs.ts";
import type { Lane } from "../lane/lane.ts";
import { AdapterCache, type SideBySide } from "./adapters.ts";
import { generate } from "./generate.ts";
import { PackedDecoders } from "./packed.ts";
import { allCancelled, batchesOf, partsOf, type Row, rowsOf } from "./rows.ts";
import { bareSpec } from "./spec.ts";

/** A request that has been checked, with its policy. */
export interface SampleJob {
  policy: Weights;
  request: SampleRequest;
}

export class Sampler {
  readonly #adapters: AdapterCache;
  readonly #packed: PackedDecoders;

  /** Every batch is split over this thread and the lanes. */
  constructor(readonly library: ProgramLibrary, private readonly lanes: readonly Lane[] = []) {
    this.#adapters = new AdapterCache(library.device);
    this.#packed = new PackedDecoders(library);
  }

  /**
   * The answer to each job, or why it has none. `hooks` are called with a job's index; with
   * `onTokens` the work runs in small chunks, which costs a little.
   */
  async run(
    jobs: readonly SampleJob[],
    hooks: SampleHooks = {},
  ): Promise<(SampleResult | CollmError)[]> {
    const rows = jobs.map(({ policy, request }, i) => rowsOf(policy, request, i, this.#count));
    const versions = jobs.map(({ policy }) => policy.version);
    const failed = new Map<number, CollmError>();
    for (const batch of batchesOf(rows.flat())) {
      // Those who wait for the next ones do not wait for what nobody wants any more.
      if (allCancelled(batch, hooks)) continue;
      try {
        await this.#generate(batch, hooks);
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        for (const { request, policy } of batch) {
          const message = `Cannot sample policy '${policy.name}': ${why}`;
          failed.set(request, new CollmError("internal", message, { cause }));
        }
      }
    }
    return rows.map((own, i) => failed.get(i) ?? resultOf(own, jobs[i]!, versions[i]!));
  }

  get #count(): number {
    return this.lanes.length + 1;
  }

  async #generate(batch: Row[], hooks: SampleHooks): Promise<void> {
    const [own, ...others] = partsOf(batch, this.#count) as [Row[], ...Row[][]];
    // The lanes first: our part keeps this thread.
    const parts = others.map((rows, i) => this.lanes[i]!.generate(rows, hooks, this.#count));
    parts.push(generate(this, own, hooks));
    // None is left at work by another's failure.
    await Promise.allSettled(parts);
    await Promise.all(parts);
  }

  /** The adapters of a batch; null where its policies have none. */
  adapters(rows: readonly Row[]): Promise<SideBySide | null> {
    const policies = [...new Set(rows.map(({ policy }) => policy))];
    if (!policies[0]!.spec.lora) return Promise.resolve(null);
    return this.#adapters.get(policies);
  }

  /** The program that decodes with a policy's weights, and what of them it takes as inputs. */
  async decoder(
    policy: Weights,
    form: DecodeForm,
  ): Promise<{ program: Program; weights: Record<string, HostTensor | OnnxTensor> }> {
    const packed = await this.#packed.get(policy, form);
    if (packed) return { program: packed, weights: {} };
    const program = await this.library.decode(bareSpec(policy.spec), form);
    return { program, weights: weightsOf(policy) };
  }

  /** Frees what was kept for other policies than these, the library's programs among it. */
  async keepOnly(policies: readonly Weights[]): Promise<void> {
    this.#adapters.clear();
    await this.#packed.keepOnly(new Set(policies.map((policy) => policy.base ?? policy)));
    await this.library.keepOnly(policies.flatMap(({ spec }) => [spec, bareSpec(spec)]));
  }
}

function resultOf(
  rows: readonly Row[],
  { policy }: SampleJob,
  policy_version: string,
): SampleResult | CollmError {
  if (rows.some(({ finish }) => finish === "cancelled")) {
    return new CollmError("unavailable", `Cannot sample policy '${policy.name}': cancelled`);
  }
  if (rows.some(({ finish }) => finish === "broken")) {
    return new CollmError(
      "invalid_request",
      `Cannot sample policy '${policy.name}': its weights give values that are not finite`,
    );
  }
  const completions = rows.map(({ tokens, logprobs, finish }) => ({
    tokens,
    logprobs,
    finish_reason: finish === "stop" ? "stop" as const : "length" as const,
  }));
  return { completions, policy_version };
}
