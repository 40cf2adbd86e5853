/**
 * The microkernel: the verbs of verbs.ts on one device, in the thread that owns it.
 * Blind to environments, agents and algorithms. Requests are taken one after the other
 * (worker.ts); a failing one leaves every policy as it was.
 */
import type { OnnxTensor } from "../deps.ts";
import { CollmError } from "../shared/errors.ts";
import { checkAlternatives, checkLength, checkPrompts, checkSequence, limitsOf } from "./checks.ts";
import { type Device, dispose, withThreads } from "./device.ts";
import { type FrozenPolicy, isFrozenRequest, loadFrozen } from "./frozen/load.ts";
import { sampleFrozen } from "./frozen/sample.ts";
import { scoreFrozen } from "./frozen/score.ts";
import { withFolders } from "./hub.ts";
import type { Lane } from "./lane/lane.ts";
import { type Bases, loadPolicy } from "./load.ts";
import { writeCheckpoint } from "./model/export.ts";
import { disposePolicy, onHostPolicy, type Policy, type Weights } from "./policy.ts";
import { parametersOf, ProgramLibrary } from "./program/library.ts";
import { readAlternatives, readLogprobs, readValues } from "./run_forward.ts";
import { runUpdate } from "./run_update.ts";
import { type SampleJob, Sampler } from "./sample/sampler.ts";
import type {
  DeviceName,
  GpuNode,
  LoadRequest,
  NodeHealth,
  PolicyInfo,
  SampleHooks,
  SampleRequest,
  SampleResult,
  SaveOptions,
  ScoreOptions,
  ScoreResult,
  Sequence,
  UpdateRequest,
  UpdateResult,
  ValueSequence,
} from "./verbs.ts";
import { answered, payloadOf, remember } from "./write_record.ts";

/** Parameters that the lanes together hold of a model, base included; larger ones have none. */
const MOST_IN_LANES = 2 ** 26;

export class Kernel implements GpuNode {
  readonly #policies = new Map<string, Policy | FrozenPolicy>();
  readonly #bases: Bases = new Map();
  readonly #library: ProgramLibrary;
  readonly #sampler: Sampler;
  /** Samples policies that are not large, where there are lanes. */
  readonly #laned: Sampler | null = null;

  constructor(device: Device, private readonly lanes: readonly Lane[] = []) {
    this.#library = new ProgramLibrary(device);
    this.#sampler = new Sampler(this.#library);
    if (lanes.length === 0) return;
    this.#laned = new Sampler(new ProgramLibrary(withThreads(device, 1)), lanes);
  }

  async load(asked: LoadRequest): Promise<PolicyInfo> {
    const { device } = this.#library;
    if (asked.device && asked.device !== device.name) {
      throw new CollmError(
        "invalid_request",
        `Cannot load policy '${asked.policy}' on '${asked.device}': this node runs on ` +
          `'${device.name}'`,
      );
    }
    const request = await withFolders(asked, device.name);
    let policy: Policy | FrozenPolicy;
    try {
      policy = isFrozenRequest(request)
        ? await loadFrozen(device, request)
        : await loadPolicy(device, request, this.#bases);
    } catch (cause) {
      // An adapter that is refused may have brought its base.
      await this.#forget();
      throw cause;
    }
    await this.#drop(request.policy);
    this.#policies.set(request.policy, policy);
    await this.#forget();
    return infoOf(policy, this.#library.device.name);
  }

  list(): Promise<PolicyInfo[]> {
    return Promise.resolve(
      [...this.#policies.values()].map((p) => infoOf(p, this.#library.device.name)),
    );
  }

  async sample(request: SampleRequest): Promise<SampleResult> {
    const [result] = await this.sampleTogether([request]);
    if (result instanceof CollmError) throw result;
    return result!;
  }

  /**
   * Several requests at once, for any policies; a bad request fails itself only. `hooks` are
   * called with the index of the request.
   */
  async sampleTogether(
    requests: readonly SampleRequest[],
    hooks: SampleHooks = {},
  ): Promise<(SampleResult | CollmError)[]> {
    const results: (SampleResult | CollmError)[] = [];
    const jobs: SampleJob[] = [];
    const indices: number[] = [];
    for (const [i, request] of requests.entries()) {
      if (results[i]) continue;
      const policy = this.#policies.get(request.policy);
      if (policy && isFrozen(policy)) {
        const batch = [...requests.keys()].filter((k) => requests[k]!.policy === request.policy);
        const answers = await sampleFrozen(
          policy,
          batch.map((k) => requests[k]!),
          renumbered(hooks, batch),
        );
        answers.forEach((answer, k) => results[batch[k]!] = answer);
        continue;
      }
      try {
        const policy = this.#learning(request.policy, "sample");
        checkSample(policy, request);
        jobs.push({ policy, request });
        indices.push(i);
      } catch (cause) {
        if (!(cause instanceof CollmError)) throw cause;
        results[i] = cause;
      }
    }
    const kinds = Map.groupBy(jobs.keys(), (k) => this.#samplerOf(jobs[k]!.policy));
    for (const [sampler, own] of kinds) {
      const places = own.map((k) => indices[k]!);
      const answers = await sampler.run(own.map((k) => jobs[k]!), renumbered(hooks, places));
      answers.forEach((answer, k) => results[places[k]!] = answer);
    }
    return results;
  }

  async score(
    name: string,
    sequences: Sequence[],
    { alternatives }: ScoreOptions = {},
  ): Promise<ScoreResult> {
    const policy = this.#get(name);
    const limits = limitsOf(policy);
    sequences.forEach((s) => checkSequence(limits, "score", s.tokens, s.prompt_length));
    if (alternatives) {
      const positions = sequences.map((s) => s.tokens.length - s.prompt_length);
      checkAlternatives(name, alternatives, positions.reduce((a, b) => a + b, 0));
    }
    const scored = isFrozen(policy)
      ? await scoreFrozen(policy, sequences, alternatives)
      : alternatives
      ? await readAlternatives(this.#library, policy, sequences, alternatives)
      : { logprobs: await readLogprobs(this.#library, policy, sequences) };
    return { ...scored, policy_version: policy.version };
  }

  async values(name: string, sequences: ValueSequence[]) {
    const policy = this.#learning(name, "read values of");
    requireValueHead(policy, "read values of");
    for (const { tokens, read_at } of sequences) {
      checkSequence(
        limitsOf(policy),
        "read values of",
        tokens,
        read_at === "last" ? 1 : read_at + 1,
        `read_at ${read_at}`,
      );
    }
    return {
      values: await readValues(this.#library, policy, sequences),
      policy_version: policy.version,
    };
  }

  async update(request: UpdateRequest): Promise<UpdateResult> {
    const policy = this.#learning(request.policy, "update");
    const payload = payloadOf(request);
    const known = answered(policy.answered, request, payload);
    if (known) return known;
    if (request.batch.length === 0) {
      throw new CollmError("invalid_request", `Cannot update '${policy.name}': batch is empty`);
    }
    for (const s of request.batch) {
      checkSequence(limitsOf(policy), "update on", s.tokens, s.prompt_length);
      if (typeof s.read_at === "number") {
        const said = `read_at ${s.read_at}`;
        checkSequence(limitsOf(policy), "update on", s.tokens, s.read_at + 1, said);
      }
    }
    if (request.loss === "value_mse") requireValueHead(policy, "update with value_mse");
    const result = await runUpdate(this.#library, policy, request);
    if (request.apply !== false) remember(policy.answered, request.seq, payload, result);
    return result;
  }

  async save(name: string, folder: string, options: SaveOptions = {}): Promise<void> {
    const policy = await onHostPolicy(this.#library.device, this.#learning(name, "save"));
    await writeCheckpoint(policy, folder, options);
  }

  health(): Promise<NodeHealth> {
    const { device } = this.#library;
    return Promise.resolve({
      device: device.name,
      threads: device.threads,
      cpu_nodes: device.cpuNodes(),
      memory_bytes: Deno.memoryUsage().rss,
    });
  }

  async unload(name: string): Promise<void> {
    this.#get(name);
    await this.#drop(name);
    await this.#forget();
  }

  async close(): Promise<void> {
    for (const name of [...this.#policies.keys()]) await this.#drop(name);
    await this.#forget();
    for (const lane of this.lanes) lane.close();
    await this.#library.device.close();
  }

  async #drop(name: string): Promise<void> {
    const policy = this.#policies.get(name);
    this.#policies.delete(name);
    if (!policy) return;
    if (isFrozen(policy)) await policy.model.release();
    else disposePolicy(policy);
  }

  /** A base lives as long as a policy stands on it, and so does what sampling keeps of both. */
  async #forget(): Promise<void> {
    const policies = [...this.#policies.values()];
    const used = new Set(policies.map((policy) => isFrozen(policy) ? null : policy.base));
    for (const [source, base] of this.#bases) {
      if (used.has(base)) continue;
      dispose(base.parameters.values());
      this.#bases.delete(source);
    }
    const left = policies.flatMap((p) => isFrozen(p) ? [] : [p]);
    await this.#sampler.keepOnly(left);
    await this.#laned?.keepOnly(left);
    for (const lane of this.lanes) lane.keepOnly(left);
  }

  #samplerOf({ spec }: Weights): Sampler {
    const copies = parametersOf(spec) * this.lanes.length;
    return this.#laned && copies <= MOST_IN_LANES ? this.#laned : this.#sampler;
  }

  #get(name: string): Policy | FrozenPolicy {
    const policy = this.#policies.get(name);
    if (policy) return policy;
    const known = [...this.#policies.keys()].join(", ") || "none";
    throw new CollmError("not_found", `Cannot find policy '${name}': loaded policies are ${known}`);
  }

  /** A policy that can learn: what all verbs but sample and score need. */
  #learning(name: string, deed: string): Policy {
    const policy = this.#get(name);
    if (!isFrozen(policy)) return policy;
    throw new CollmError(
      "invalid_request",
      `Cannot ${deed} policy '${name}': it is frozen, ${policy.info.why_frozen}`,
    );
  }
}

/** The hooks of some of the requests, which count from 0 there. */
const renumbered = (hooks: SampleHooks, indices: readonly number[]): SampleHooks => ({
  ...hooks.onTokens && { onTokens: (k, ...fresh) => hooks.onTokens!(indices[k]!, ...fresh) },
  cancelled: (k) => hooks.cancelled?.(indices[k]!) ?? false,
});

function checkSample(policy: Policy, request: SampleRequest): void {
  const limits = limitsOf(policy);
  checkPrompts(limits, request);
  const longest = Math.max(0, ...request.prompts.map((prompt) => prompt.length));
  checkLength(limits, "sample", longest + request.max_tokens);
}

const isFrozen = (policy: Policy | FrozenPolicy): policy is FrozenPolicy => "model" in policy;

const sizeOf = (parameters: ReadonlyMap<string, OnnxTensor> = new Map()): number =>
  [...parameters.values()].reduce((sum, tensor) => sum + tensor.size, 0);

function infoOf(policy: Policy | FrozenPolicy, device: DeviceName): PolicyInfo {
  if (isFrozen(policy)) return policy.info;
  const { spec, base } = policy;
  const own = sizeOf(policy.parameters);
  return {
    policy: policy.name,
    source: policy.source,
    architecture: spec.config.architecture,
    parameters: own + sizeOf(base?.parameters),
    trainable_parameters: own,
    vocab_size: spec.config.vocabSize,
    max_positions: limitsOf(policy).maxPositions,
    has_value_head: spec.shapes.has("value_head.0.weight"),
    policy_version: policy.version,
    can_learn: true,
    ...spec.lora && { lora: spec.lora },
    ...base && { base: base.version },
    ...spec.config.half && { dtype: "fp16" as const },
    device,
    bytes: 4 * (own + sizeOf(policy.moments) + sizeOf(policy.spare)),
  };
}

function requireValueHead(policy: Policy, deed: string): void {
  if (policy.spec.shapes.has("value_head.0.weight")) return;
  throw new CollmError(
    "invalid_request",
    `Cannot ${deed} policy '${policy.name}': it has no value head`,
  );
}
