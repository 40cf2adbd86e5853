/**
 * The verb `update`: weights of the named loss, one fused training step, or gradients summed over
 * micro-batches and then applied when the batch is too large for one run.
 *   policy_gradient: mean over sequences of −Σ_k logp_k·A_k
 *   cross_entropy:   mean over response tokens of −logp_k (times the sequence's weight)
 *   value_mse:       mean over sequences of (target − V)²
 */
import { CollmError } from "../shared/errors.ts";
import type { OnnxTensor } from "../deps.ts";
import type { HostTensor } from "./device.ts";
import { optimizerFeeds } from "./graph/optimizer.ts";
import { type Policy, versionOf, weightsOf } from "./policy.ts";
import { microBatches, responseRows, rightPadded, valueRows } from "./program/batch.ts";
import type { ProgramLibrary } from "./program/library.ts";
import { type LossKind, momentName } from "./program/update.ts";
import type { GradientReport, UpdateRequest, UpdateResult, UpdateSequence } from "./verbs.ts";

/** Padded tokens of one training run; larger batches accumulate gradients. */
const TOKENS_PER_RUN = 16384;

type Feeds = Record<string, HostTensor | OnnxTensor>;
type Outputs = Record<string, OnnxTensor>;

/** One run's feeds, and the behaviour log-probabilities of its rows where all are known. */
interface MicroBatch {
  feeds: Feeds;
  behaviour: Float32Array | null;
}

export async function runUpdate(
  library: ProgramLibrary,
  policy: Policy,
  request: UpdateRequest,
): Promise<UpdateResult> {
  const kind: LossKind = request.loss === "value_mse" ? "value" : "tokens";
  const batches = splitBatch(request);
  const apply = request.apply !== false;
  const learnt = apply && !request.report && batches.length === 1
    ? await fusedStep(library, policy, request, kind, batches[0]!)
    : await accumulated(library, policy, request, kind, batches);
  const { loss, norm, outputs, gradients } = learnt;
  if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
    throw new CollmError(
      "invalid_request",
      `Cannot update policy '${policy.name}': loss is ${loss}, gradient norm ${norm}`,
    );
  }
  if (learnt.next) adopt(policy, learnt.parameters, learnt.next);
  const mismatch = meanMismatch(batches, outputs);
  return {
    loss,
    grad_norm: norm,
    tokens: request.batch.reduce((n, s) => n + s.tokens.length - s.prompt_length, 0),
    policy_version: policy.version,
    ...mismatch !== null && { logprob_mismatch: mismatch },
    ...gradients && request.report && { gradients: gradients() },
  };
}

/** What an update found, before anything is changed. */
interface Learnt {
  loss: number;
  norm: number;
  parameters: string[];
  /** Outputs of every micro-batch. */
  outputs: Outputs[];
  /** New parameters and moments; absent when nothing is to be applied. */
  next?: Outputs;
  gradients?: () => Record<string, GradientReport>;
}

/** Forward, gradients and optimizer in one run. */
async function fusedStep(
  library: ProgramLibrary,
  policy: Policy,
  request: UpdateRequest,
  kind: LossKind,
  { feeds }: MicroBatch,
): Promise<Learnt> {
  const { program, parameters } = await library.update(policy.spec, kind, "step");
  const output = await program.run({
    ...weightsOf(policy),
    ...moments(policy, parameters),
    ...stepFeeds(policy, request),
    ...feeds,
  }, Object.fromEntries([...policy.spare].map(([name, tensor]) => [`new.${name}`, tensor])));
  return {
    loss: scalar(output, "loss"),
    norm: scalar(output, "grad_norm"),
    parameters,
    outputs: [output],
    next: output,
  };
}

/** Gradients summed over micro-batches, then (unless only asked for) the optimizer on the sums. */
async function accumulated(
  library: ProgramLibrary,
  policy: Policy,
  request: UpdateRequest,
  kind: LossKind,
  batches: readonly MicroBatch[],
): Promise<Learnt> {
  const { program, parameters } = await library.update(policy.spec, kind, "gradients");
  let loss = 0;
  const outputs: Outputs[] = [];
  const sums = new Map<string, Float32Array>();
  for (const { feeds } of batches) {
    const output = await program.run({ ...weightsOf(policy), ...feeds });
    loss += scalar(output, "loss");
    for (const name of parameters) {
      const fresh = output[`grad.${name}`]!.data as Float32Array;
      const sum = sums.get(name);
      if (!sum) sums.set(name, fresh);
      else for (let i = 0; i < sum.length; i++) sum[i]! += fresh[i]!;
    }
    outputs.push({ ...output["logprobs"] && { logprobs: output["logprobs"] } });
  }
  const norm = Math.sqrt([...sums.values()].reduce((n, g) => n + squares(g), 0));
  const gradients = () => Object.fromEntries([...sums].map(([name, g]) => [name, reportOf(g)]));
  const found = { loss, norm, parameters, outputs, gradients };
  if (request.apply === false) return found;
  const optimizer = await library.apply(policy.spec, parameters);
  const next = await optimizer.run({
    ...weightsOf(policy),
    ...Object.fromEntries(parameters.map((name) => [
      `grad.${name}`,
      { data: sums.get(name)!, dims: policy.spec.shapes.get(name)! },
    ])),
    ...moments(policy, parameters),
    ...stepFeeds(policy, request),
  });
  return { ...found, next };
}

/** Feeds of each micro-batch, weights averaged over the whole request. */
function splitBatch(request: UpdateRequest): MicroBatch[] {
  const lengths = request.batch.map((s) => s.tokens.length);
  const scale = request.loss_scale ?? 1;
  return microBatches(lengths, TOKENS_PER_RUN).map((group) => {
    const batch = group.map((i) => request.batch[i]!);
    const tokens = rightPadded(batch.map((s) => s.tokens));
    const time = tokens.dims[1]!;
    const vector = (data: Float32Array | Int32Array) => ({ data, dims: [data.length] });
    if (request.loss === "value_mse") {
      const reads = batch.map((s) => ({ ...s, read_at: s.read_at ?? s.prompt_length - 1 }));
      return {
        behaviour: null,
        feeds: {
          tokens,
          rows: vector(valueRows(reads, time)),
          targets: vector(Float32Array.from(batch, (s) => field(s, "target"))),
          weights: vector(new Float32Array(batch.length).fill(scale / lengths.length)),
        },
      };
    }
    const { rows, targets } = responseRows(batch, time);
    const weights = batch.flatMap((s) => tokenWeights(request, s));
    const behaviour = batch.flatMap((s) => s.old_logprobs ?? []);
    return {
      behaviour: behaviour.length === rows.length ? Float32Array.from(behaviour) : null,
      feeds: {
        tokens,
        rows: vector(rows),
        targets: vector(targets),
        weights: vector(Float32Array.from(weights, (w) => w * scale)),
      },
    };
  });
}

/** Mean |logp − behaviour logp| over tokens, before the step; null where none were given. */
function meanMismatch(batches: readonly MicroBatch[], outputs: readonly Outputs[]): number | null {
  let [sum, count] = [0, 0];
  batches.forEach(({ behaviour }, i) => {
    const now = outputs[i]!["logprobs"]?.data as Float32Array | undefined;
    if (!behaviour || !now) return;
    behaviour.forEach((x, k) => sum += Math.abs(x - now[k]!));
    count += behaviour.length;
  });
  return count > 0 ? sum / count : null;
}

/** Weight of each response token in the loss −Σ weight·logp. */
function tokenWeights(request: UpdateRequest, s: UpdateSequence): number[] {
  const count = s.tokens.length - s.prompt_length;
  if (request.loss === "cross_entropy") {
    const total = request.batch.reduce((n, q) => n + q.tokens.length - q.prompt_length, 0);
    return Array(count).fill((s.weight ?? 1) / total);
  }
  const per = s.advantages ?? Array(count).fill(field(s, "advantage"));
  if (per.length !== count) {
    throw new CollmError(
      "invalid_request",
      `Cannot update: ${per.length} advantages for a response of ${count} tokens`,
    );
  }
  return per.map((a) => a / request.batch.length);
}

function field(s: UpdateSequence, name: "advantage" | "target"): number {
  const value = s[name];
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new CollmError("invalid_request", `Cannot update: '${name}' of a sequence is ${value}`);
}

function stepFeeds(policy: Policy, { optimizer: o, max_grad_norm }: UpdateRequest): Feeds {
  return optimizerFeeds({
    lr: o.learning_rate,
    betas: o.betas ?? [0.9, 0.999],
    eps: o.eps ?? 1e-8,
    weightDecay: o.weight_decay ?? 0.01,
    maxNorm: max_grad_norm ?? 0,
  }, policy.step + 1);
}

/** Adam moments, zeros before the first step. */
function moments(policy: Policy, parameters: readonly string[]): Feeds {
  return Object.fromEntries(parameters.flatMap((name) =>
    (["m", "v"] as const).map((kind) => {
      const key = momentName(kind, name);
      const known = policy.moments.get(key);
      const dims = policy.spec.shapes.get(name)!;
      return [key, known ?? { data: new Float32Array(dims.reduce((a, b) => a * b, 1)), dims }];
    })
  ));
}

/** The new state takes the place of the old one, whose buffers the next step may write to. */
function adopt(policy: Policy, parameters: readonly string[], output: Outputs): void {
  policy.spare = new Map();
  const take = (state: Map<string, OnnxTensor>, key: string) => {
    const old = state.get(key);
    if (old) policy.spare.set(key, old);
    state.set(key, output[`new.${key}`]!);
  };
  for (const name of parameters) {
    take(policy.parameters, name);
    for (const kind of ["m", "v"] as const) take(policy.moments, momentName(kind, name));
  }
  policy.step++;
  policy.version = versionOf(policy.step, policy.parameters, policy.base?.version);
}

const scalar = (output: Outputs, name: string): number => (output[name]!.data as Float32Array)[0]!;

const squares = (g: Float32Array): number => g.reduce((n, x) => n + x * x, 0);

const reportOf = (g: Float32Array): GradientReport => ({
  norm: Math.sqrt(squares(g)),
  first: [...g.subarray(0, 4)],
  last: [...g.subarray(-2)],
});
