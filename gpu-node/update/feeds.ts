/**
 * A request's batch as the inputs of its program: micro-batches of similar lengths and the numbers
 * of the loss (program/loss.ts has the formulas). Weights carry every average over the whole
 * request, so padding and micro-batches change nothing.
 */
import { CollmError } from "../../shared/errors.ts";
import type { HostTensor } from "../device.ts";
import { microBatches, responseRows, rightPadded, valueRows } from "../program/batch.ts";
import type { LossForm } from "../program/loss.ts";
import type { UpdateRequest, UpdateSequence } from "../verbs.ts";

/** Padded tokens of one run where the request does not say. */
const TOKENS_PER_RUN = 16384;
/** Ratio range of ppo_clip where the request names none. */
const CLIP = 0.2;

/** One run: its inputs, and the sequences that its rows belong to, in order. */
export interface MicroBatch {
  sequences: UpdateSequence[];
  feeds: Record<string, HostTensor>;
}

export function lossForm({ loss, ratio, clip, kl_coef = 0 }: UpdateRequest): LossForm {
  if (loss === "value_mse") {
    if (kl_coef !== 0) fail(`kl_coef is ${kl_coef}, but value_mse has no log-probabilities`);
    return { kind: clip === undefined ? "value" : "clipped_value", kl: false };
  }
  const kind = loss === "ppo_clip" ? `clipped_${ratio ?? "token"}` as const : "weighted";
  return { kind, kl: kl_coef !== 0 };
}

/** Sequences that the loss reads nothing of do not run; they count in its averages. */
export function splitBatch(request: UpdateRequest): MicroBatch[] {
  const { loss, tokens_per_run: limit = TOKENS_PER_RUN } = request;
  const norm = request.max_grad_norm ?? Infinity;
  if (!(norm > 0)) fail(`max_grad_norm is ${norm}, expected a positive number`);
  if (!(limit >= 1)) fail(`tokens_per_run is ${limit}, expected a positive number`);
  const read = request.batch.filter((s) => loss === "value_mse" || responseLength(s) > 0);
  if (read.length === 0) fail(`no sequence has a token after its prompt for the loss ${loss}`);
  return microBatches(read.map((s) => s.tokens.length), limit).map((group) => {
    const sequences = group.map((i) => read[i]!);
    return {
      sequences,
      feeds: { ...rowFeeds(request, sequences), ...lossFeeds(request, sequences) },
    };
  });
}

/** Padded tokens, the rows that the loss reads and the tokens they predict. */
function rowFeeds(
  { loss }: UpdateRequest,
  batch: readonly UpdateSequence[],
): Record<string, HostTensor> {
  const tokens = rightPadded(batch.map((s) => s.tokens));
  const time = tokens.dims[1]!;
  const vector = (data: Int32Array) => ({ data, dims: [data.length] });
  if (loss === "value_mse") {
    const reads = batch.map((s) => ({ ...s, read_at: s.read_at ?? s.prompt_length - 1 }));
    return { tokens, rows: vector(valueRows(reads, time)) };
  }
  const { rows, targets } = responseRows(batch, time);
  return { tokens, rows: vector(rows), targets: vector(targets) };
}

/** The loss's inputs for `batch`, a part of the request's sequences, row after row. */
function lossFeeds(
  request: UpdateRequest,
  batch: readonly UpdateSequence[],
): Record<string, HostTensor> {
  const { kind, kl } = lossForm(request);
  const each = (request.loss_scale ?? 1) / request.batch.length;
  const perSequence = (of: (s: UpdateSequence) => number) => vector(batch.map(of));
  const perToken = (of: (s: UpdateSequence) => number[]) => vector(batch.flatMap(of));
  switch (kind) {
    case "value":
    case "clipped_value":
      return {
        weights: perSequence(() => each),
        targets: perSequence((s) => finite("target", s.target)),
        ...kind === "clipped_value" && {
          old_values: perSequence((s) => finite("old_value", s.old_value)),
          clip: scalar(clipOf(request)),
        },
      };
    case "weighted": {
      const factor = weightFactor(request);
      return {
        weights: perToken((s) => tokenWeights(request, s).map((w) => w * factor)),
        ...kl && klFeeds(),
      };
    }
    default:
      return {
        weights: perToken((s) => repeat(s, each / responseLength(s))),
        advantages: perToken(advantagesOf),
        old_logprobs: perToken((s) => givenPerToken(s, "old_logprobs")),
        clip: scalar(clipOf(request)),
        ...kind === "clipped_sequence" && {
          share: perToken((s) => repeat(s, 1 / responseLength(s))),
          sequence: indices(batch.flatMap((s, b) => repeat(s, b))),
          sequences: { data: BigInt64Array.of(BigInt(batch.length)), dims: [1] },
        },
        ...kl && klFeeds(),
      };
  }

  function klFeeds() {
    return {
      ref_logprobs: perToken((s) => givenPerToken(s, "ref_logprobs")),
      kl_weight: scalar((request.kl_coef ?? 0) * each),
    };
  }
}

export const responseLength = (s: UpdateSequence): number => s.tokens.length - s.prompt_length;

const scalar = (x: number): HostTensor => ({ data: Float32Array.of(x), dims: [] });
const vector = (xs: number[]): HostTensor => ({ data: Float32Array.from(xs), dims: [xs.length] });
const indices = (xs: number[]): HostTensor => ({ data: Int32Array.from(xs), dims: [xs.length] });
const repeat = (s: UpdateSequence, x: number): number[] => Array(responseLength(s)).fill(x);

/** One weight per response token, before the common factor. */
const tokenWeights = (request: UpdateRequest, s: UpdateSequence): number[] =>
  request.loss === "cross_entropy" ? repeat(s, s.weight ?? 1) : advantagesOf(s);

const weightFactor = ({ loss, batch, loss_scale = 1 }: UpdateRequest): number =>
  loss_scale /
  (loss === "cross_entropy" ? batch.reduce((n, s) => n + responseLength(s), 0) : batch.length);

const advantagesOf = (s: UpdateSequence): number[] =>
  s.advantages ? givenPerToken(s, "advantages") : repeat(s, finite("advantage", s.advantage));

function givenPerToken(
  s: UpdateSequence,
  name: "advantages" | "old_logprobs" | "ref_logprobs",
): number[] {
  const values = s[name];
  if (values === undefined) fail(`'${name}' of a sequence is ${values}`);
  const count = responseLength(s);
  if (values.length !== count) {
    fail(`${values.length} ${name} for a response of ${count} tokens`);
  }
  const bad = values.find((x) => !Number.isFinite(x));
  if (bad !== undefined) fail(`'${name}' of a sequence holds ${bad}`);
  return values;
}

/** Range of the ratio or the value. */
export function clipOf({ clip = CLIP }: UpdateRequest): number {
  return clip > 0 && clip < Infinity ? clip : fail(`clip is ${clip}, expected a positive number`);
}

function finite(name: string, value: number | undefined): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  return fail(`'${name}' of a sequence is ${value}`);
}

function fail(why: string): never {
  throw new CollmError("invalid_request", `Cannot update: ${why}`);
}
