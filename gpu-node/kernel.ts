/**
 * The microkernel: the verbs of verbs.ts on one device, in the thread that owns it.
 * Blind to environments, agents and algorithms. Requests are taken one after the other
 * (worker.ts); a failing one leaves every policy as it was.
 */
import type { OnnxTensor } from "../deps.ts";
import { CollmError } from "../shared/errors.ts";
import { isTemperature, TEMPERATURES } from "../shared/temperature.ts";
import { type Device, dispose } from "./device.ts";
import { type Bases, loadPolicy } from "./load.ts";
import { writeCheckpoint } from "./model/export.ts";
import { disposePolicy, onHostPolicy, type Policy } from "./policy.ts";
import { promptBucket } from "./program/batch.ts";
import { ProgramLibrary } from "./program/library.ts";
import { readLogprobs, readValues } from "./run_forward.ts";
import { runSample } from "./run_sample.ts";
import { runUpdate } from "./run_update.ts";
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
  Sequence,
  UpdateRequest,
  UpdateResult,
  ValueSequence,
} from "./verbs.ts";

/** How many answered updates are remembered per policy for retries. */
const ANSWERS_KEPT = 64;

export class Kernel implements GpuNode {
  readonly #policies = new Map<string, Policy>();
  readonly #bases: Bases = new Map();
  readonly #library: ProgramLibrary;

  constructor(device: Device) {
    this.#library = new ProgramLibrary(device);
  }

  async load(request: LoadRequest): Promise<PolicyInfo> {
    const { device } = this.#library;
    if (request.device && request.device !== device.name) {
      throw new CollmError(
        "invalid_request",
        `Cannot load policy '${request.policy}' on '${request.device}': this node runs on ` +
          `'${device.name}'`,
      );
    }
    const policy = await loadPolicy(device, request, this.#bases);
    const replaced = this.#policies.get(request.policy);
    if (replaced) disposePolicy(replaced);
    this.#policies.set(request.policy, policy);
    this.#forgetBases();
    return infoOf(policy, this.#library.device.name);
  }

  list(): Promise<PolicyInfo[]> {
    return Promise.resolve(
      [...this.#policies.values()].map((p) => infoOf(p, this.#library.device.name)),
    );
  }

  async sample(request: SampleRequest): Promise<SampleResult> {
    const policy = this.#get(request.policy);
    const longest = Math.max(0, ...request.prompts.map((p) => p.length));
    checkPrompts(policy, request);
    checkLength(policy, "sample", promptBucket(longest) + request.max_tokens);
    return {
      completions: await runSample(this.#library, policy, request),
      policy_version: policy.version,
    };
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
    for (const [i, request] of requests.entries()) {
      try {
        if (hooks.cancelled?.(i)) throw new CollmError("unavailable", "Cannot sample: cancelled");
        const result = await this.sample(request);
        result.completions.forEach((c, row) => hooks.onTokens?.(i, row, c.tokens, c.logprobs));
        results.push(result);
      } catch (cause) {
        if (!(cause instanceof CollmError)) throw cause;
        results.push(cause);
      }
    }
    return results;
  }

  async score(name: string, sequences: Sequence[]) {
    const policy = this.#get(name);
    sequences.forEach((s) => checkSequence(policy, "score", s.tokens, s.prompt_length));
    return {
      logprobs: await readLogprobs(this.#library, policy, sequences),
      policy_version: policy.version,
    };
  }

  async values(name: string, sequences: ValueSequence[]) {
    const policy = this.#get(name);
    requireValueHead(policy, "read values of");
    for (const { tokens, read_at } of sequences) {
      checkSequence(policy, "read values of", tokens, read_at === "last" ? 1 : read_at + 1);
    }
    return {
      values: await readValues(this.#library, policy, sequences),
      policy_version: policy.version,
    };
  }

  async update(request: UpdateRequest): Promise<UpdateResult> {
    const policy = this.#get(request.policy);
    const payload = JSON.stringify(request);
    const answered = policy.answered.get(request.seq);
    if (answered) {
      if (answered.payload === payload) return answered.result;
      throw new CollmError(
        "conflict",
        `Cannot update policy '${policy.name}': seq ${request.seq} was used for another payload`,
      );
    }
    if (request.batch.length === 0) {
      throw new CollmError("invalid_request", `Cannot update '${policy.name}': batch is empty`);
    }
    for (const s of request.batch) {
      checkSequence(policy, "update on", s.tokens, s.prompt_length);
      if (typeof s.read_at === "number") {
        checkSequence(policy, "update on", s.tokens, s.read_at + 1);
      }
    }
    if (request.loss === "value_mse") requireValueHead(policy, "update with value_mse");
    const result = await runUpdate(this.#library, policy, request);
    if (request.apply !== false) {
      policy.answered.set(request.seq, { payload, result });
      const oldest = policy.answered.keys().next();
      if (policy.answered.size > ANSWERS_KEPT && !oldest.done) policy.answered.delete(oldest.value);
    }
    return result;
  }

  async save(name: string, folder: string, options: SaveOptions = {}): Promise<void> {
    const policy = await onHostPolicy(this.#library.device, this.#get(name));
    await writeCheckpoint(policy, folder, options);
  }

  health(): Promise<NodeHealth> {
    const { device } = this.#library;
    return Promise.resolve({
      device: device.name,
      cpu_nodes: device.cpuNodes(),
      memory_bytes: Deno.memoryUsage().rss,
    });
  }

  unload(name: string): Promise<void> {
    disposePolicy(this.#get(name));
    this.#policies.delete(name);
    this.#forgetBases();
    return Promise.resolve();
  }

  close(): Promise<void> {
    for (const policy of this.#policies.values()) disposePolicy(policy);
    this.#policies.clear();
    this.#forgetBases();
    return Promise.resolve();
  }

  /** A base lives as long as a policy stands on it. */
  #forgetBases(): void {
    const used = new Set([...this.#policies.values()].map((policy) => policy.base));
    for (const [source, base] of this.#bases) {
      if (used.has(base)) continue;
      dispose(base.parameters.values());
      this.#bases.delete(source);
    }
  }

  #get(name: string): Policy {
    const policy = this.#policies.get(name);
    if (policy) return policy;
    const known = [...this.#policies.keys()].join(", ") || "none";
    throw new CollmError("not_found", `Cannot find policy '${name}': loaded policies are ${known}`);
  }
}

const sizeOf = (parameters: ReadonlyMap<string, OnnxTensor> = new Map()): number =>
  [...parameters.values()].reduce((sum, tensor) => sum + tensor.size, 0);

function infoOf(policy: Policy, device: DeviceName): PolicyInfo {
  const { spec, base } = policy;
  const own = sizeOf(policy.parameters);
  return {
    policy: policy.name,
    source: policy.source,
    architecture: spec.config.architecture,
    parameters: own + sizeOf(base?.parameters),
    trainable_parameters: own,
    vocab_size: spec.config.vocabSize,
    has_value_head: spec.shapes.has("value_head.0.weight"),
    policy_version: policy.version,
    can_learn: true,
    ...spec.lora && { lora: spec.lora },
    ...base && { base: base.version },
    device,
    bytes: 4 * (own + sizeOf(policy.moments) + sizeOf(policy.spare)),
  };
}

function checkLength(policy: Policy, deed: string, length: number): void {
  if (length <= policy.spec.config.maxPositions) return;
  throw new CollmError(
    "invalid_request",
    `Cannot ${deed} policy '${policy.name}': ${length} tokens exceed its ` +
      `${policy.spec.config.maxPositions} positions`,
  );
}

function checkTokens(policy: Policy, deed: string, tokens: readonly number[]): void {
  const bad = tokens.find((t) =>
    !Number.isInteger(t) || t < 0 || t >= policy.spec.config.vocabSize
  );
  if (bad === undefined) return;
  throw new CollmError(
    "invalid_request",
    `Cannot ${deed} policy '${policy.name}': token ${bad} is outside its vocabulary of ` +
      `${policy.spec.config.vocabSize}`,
  );
}

function checkSequence(policy: Policy, deed: string, tokens: readonly number[], start: number) {
  checkTokens(policy, deed, tokens);
  checkLength(policy, deed, tokens.length);
  if (!Number.isInteger(start) || start < 1 || start > tokens.length) {
    throw new CollmError(
      "invalid_request",
      `Cannot ${deed} policy '${policy.name}': position ${start} is outside a sequence of ` +
        `${tokens.length} tokens`,
    );
  }
}

function checkPrompts(policy: Policy, request: SampleRequest): void {
  const fail = (why: string) => {
    throw new CollmError("invalid_request", `Cannot sample policy '${policy.name}': ${why}`);
  };
  if (request.prompts.length !== request.seeds.length) {
    fail(`${request.prompts.length} prompts but ${request.seeds.length} seeds`);
  }
  if (request.max_tokens < 1) fail(`max_tokens is ${request.max_tokens}`);
  if (!isTemperature(request.temperature)) {
    fail(`temperature is ${request.temperature}, expected ${TEMPERATURES}`);
  }
  for (const prompt of request.prompts) {
    if (prompt.length === 0) fail("a prompt has no tokens");
    checkTokens(policy, "sample", prompt);
  }
}

function requireValueHead(policy: Policy, deed: string): void {
  if (policy.spec.shapes.has("value_head.0.weight")) return;
  throw new CollmError(
    "invalid_request",
    `Cannot ${deed} policy '${policy.name}': it has no value head`,
  );
}
