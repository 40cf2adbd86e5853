/**
 * Messages of the GPU node: the verbs of gpu-node/verbs.ts as JSON, refused when they hold a field
 * that is not known. Leaves out what only a loaded policy can tell (vocabulary, positions), which
 * the kernel checks. Every answer names the policy version that gave it.
 */
import { z } from "../../deps.ts";
import { isTemperature, TEMPERATURES } from "../temperature.ts";
import { numbers, tokenIds as tokens } from "./fields.ts";
import { maybe } from "./openapi.ts";
import { listOf } from "./parse.ts";

/** Largest body of a request and largest file of an uploaded checkpoint, in bytes. */
export const BODY_LIMIT = 64 * 2 ** 20;
export const UPLOAD_LIMIT = 16 * 2 ** 30;
const MOST_SEQUENCES = 65_536;
/** Completions of one request: prompts times n. */
export const MOST_COMPLETIONS = 4096;

/** Names of policies and models: usable in a URL and as a folder, never a path. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$/;
export const name = z.string().regex(NAME, {
  error: "a name of at most 120 letters, digits, '.', '_' and '-', beginning with one of the first",
});
/** Ids of checkpoints: a policy's name and version. */
export const CHECKPOINT_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;
/** Ids of models on a hub, `owner/name`. */
export const HUB_ID = /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/;
const source = z.string().regex(new RegExp(`${CHECKPOINT_ID.source}|${HUB_ID.source}`), {
  error: "the name of a model, the id of a checkpoint, or OWNER/NAME of a model on a hub",
});

export const temperature = z.number().refine(isTemperature, { error: TEMPERATURES });
export const top_p = z.number().gt(0).max(1);
export const top_k = z.int().min(0);
export const seed = z.int().min(0).max(0xffff_ffff);
const position = z.union([z.literal("last"), z.int().min(0)], { error: '"last" or a position' });
const promptLength = z.int().min(1);
export const maxTokens = z.int().min(1).max(1_000_000);
export { numbers, tokens };

const isTokens = (value: unknown): value is number[] => tokens.safeParse(value).success;
export const prompt = z.custom<string | number[]>(
  (value) => typeof value === "string" || isTokens(value),
  { error: "a text or a list of token ids" },
).openapi({ type: ["string", "array"], items: { type: "integer" } });
/** Ids are 32-bit on the device: a larger one would be taken for another. */
const MOST_ID = 2 ** 31 - 1;
const isStopId = (value: unknown): value is number =>
  isTokens([value]) && (value as number) <= MOST_ID;
const isStopText = (value: unknown): value is string =>
  typeof value === "string" && value !== "" && value.length <= 256;
/** A text ends a completion before it, a token id after the token. */
export const stop = z.custom<string | (string | number)[]>(
  (value) =>
    isStopText(value) ||
    (Array.isArray(value) && value.length <= 64 &&
      value.every((x) => isStopText(x) || isStopId(x))),
  { error: "a text of at most 256 characters, or a list of at most 64 such texts and token ids" },
).openapi({ type: ["string", "array"], maxItems: 64, items: { type: ["string", "integer"] } });

export const sampleRequest = z.strictObject({
  policy: name,
  prompts: listOf(prompt, MOST_COMPLETIONS),
  /** Completions per prompt. */
  n: z.int().min(1).max(MOST_COMPLETIONS).default(1),
  /** By default 128, or what the model's positions leave. */
  max_tokens: maybe(maxTokens),
  temperature: temperature.default(1),
  /** Nucleus: the most likely tokens whose probabilities reach it; 1 is all. */
  top_p: maybe(top_p),
  /** The most likely tokens; 0 is all. */
  top_k: maybe(top_k),
  stop: stop.optional(),
  /** Ids that end a completion; by default those of the policy's tokenizer. */
  stop_tokens: listOf(z.int().min(0).max(MOST_ID), 64).optional(),
  /** Seed of every prompt's first completion; random when neither seed nor seeds is given. */
  seed: seed.optional(),
  /** Or one seed per prompt. */
  seeds: listOf(seed, MOST_COMPLETIONS).optional(),
}).openapi("SampleRequest");

export const completion = z.object({
  /** Index of its prompt; the n completions of one prompt follow one another. */
  prompt_index: z.int(),
  tokens,
  /** Under the very distribution sampled, so temperature is included. */
  logprobs: numbers,
  /** Without special tokens; null when the policy has no tokenizer. */
  text: z.string().nullable(),
  finish_reason: z.enum(["stop", "length"]),
  /** Gives these tokens again, as this prompt's seed; logprobs may differ in their last bits. */
  seed: z.int(),
}).openapi("Completion");
export const sampleAnswer = z.object({
  completions: z.array(completion),
  policy_version: z.string(),
}).openapi("SampleAnswer");

export const scoreRequest = z.strictObject({
  policy: name,
  sequences: listOf(z.strictObject({ tokens, prompt_length: promptLength }), MOST_SEQUENCES),
  /** Lists the most likely tokens at this temperature in the place of each scored one. */
  alternatives: maybe(z.strictObject({
    count: z.int().min(1).max(20),
    temperature: temperature.default(1),
  })),
}).openapi("ScoreRequest");
export const scoreAnswer = z.object({
  /** Per sequence, of the tokens after its prompt. */
  logprobs: z.array(numbers),
  /** Per sequence and scored token; `given` is the scored token's own at that temperature. */
  alternatives: maybe(z.array(z.array(
    z.object({ tokens, logprobs: numbers, given: z.number() }).openapi("Alternatives"),
  ))),
  policy_version: z.string(),
}).openapi("ScoreAnswer");

export const valuesRequest = z.strictObject({
  policy: name,
  sequences: listOf(
    z.strictObject({ tokens, read_at: position.default("last") }),
    MOST_SEQUENCES,
  ),
}).openapi("ValuesRequest");
export const valuesAnswer = z.object({ values: numbers, policy_version: z.string() })
  .openapi("ValuesAnswer");

const updateSequence = z.strictObject({
  tokens,
  prompt_length: promptLength,
  advantage: maybe(z.number()),
  advantages: maybe(numbers),
  old_logprobs: maybe(numbers),
  ref_logprobs: maybe(numbers),
  target: maybe(z.number()),
  old_value: maybe(z.number()),
  read_at: maybe(position),
  weight: maybe(z.number()),
});
const adamw = z.strictObject({
  name: z.literal("adamw"),
  learning_rate: z.number().min(0),
  betas: maybe(z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])),
  eps: maybe(z.number().min(0)),
  weight_decay: maybe(z.number().min(0)),
});
export const updateRequest = z.strictObject({
  policy: name,
  /** Write key: the same (policy, seq) with the same payload is answered from the record. */
  seq: z.int().min(0),
  loss: z.enum(["policy_gradient", "ppo_clip", "value_mse", "cross_entropy"]),
  batch: listOf(updateSequence, MOST_SEQUENCES, 1),
  optimizer: adamw,
  /** Absent, gradients are not clipped. */
  max_grad_norm: maybe(z.number().gt(0)),
  /** ppo_clip: ratio range 1 ± clip. value_mse: value range old_value ± clip. */
  clip: maybe(z.number().gt(0)),
  /** ppo_clip: one ratio per token, or one per sequence. */
  ratio: maybe(z.enum(["token", "sequence"])),
  /** Weight of the divergence from `ref_logprobs`. */
  kl_coef: maybe(z.number().min(0)),
  /** Padded tokens of one run; larger batches accumulate gradients. */
  tokens_per_run: maybe(z.int().min(1)),
  /** Blocks are computed again on the way back instead of kept. */
  recompute: maybe(z.boolean()),
  loss_scale: maybe(z.number()),
  /** false: gradients only, nothing changes. */
  apply: maybe(z.boolean()),
  report: maybe(z.literal("gradients")),
}).openapi("UpdateRequest");
export const updateAnswer = z.object({
  loss: z.number(),
  grad_norm: z.number(),
  tokens: z.int(),
  policy_version: z.string(),
  logprob_mismatch: maybe(z.number()),
  clip_fraction: maybe(z.number()),
  padding: maybe(z.number()),
  gradients: maybe(z.record(
    z.string(),
    z.object({ norm: z.number(), first: numbers, last: numbers }),
  )),
}).openapi("UpdateAnswer");

/** Matrices of a layer that an adapter may change. */
const loraTarget = z.enum([
  ...["q_proj", "k_proj", "v_proj", "o_proj"] as const,
  ...["gate_proj", "up_proj", "down_proj"] as const,
]);
const device = z.enum(["cpu", "webgpu", "cuda"]);

export const loadRequest = z.strictObject({
  policy: name,
  /** Name of a model the server was started with, or id of one of its checkpoints. */
  source,
  /** The same for what an adapter in `source` extends. */
  base: maybe(source),
  /** Trains a fresh adapter instead of all weights. */
  lora: maybe(z.strictObject({
    rank: z.int().min(1).max(4096),
    alpha: z.number().min(1e-6).max(1e6),
    target_modules: maybe(listOf(loraTarget, 7, 1)),
    seed: maybe(seed),
  })),
  /** Adds a fresh value head when the source has none. */
  value_head: maybe(z.union(
    [z.literal(true).transform(() => ({ seed: 0 })), z.strictObject({ seed: z.int().default(0) })],
    "expected true or an object with a seed",
  )),
  /** Refused when the server runs on another. */
  device: maybe(device),
  /** Never learns; implied where Transformers.js runs the model. */
  frozen: maybe(z.boolean()),
  /** Number format of a frozen policy, or (fp16) in which an adapter's base is held. */
  dtype: maybe(z.enum(["fp32", "fp16", "q8", "q4"])),
}).openapi("LoadRequest");
export const policyInfo = z.object({
  policy: z.string(),
  source: z.string(),
  architecture: z.string(),
  parameters: z.int(),
  vocab_size: z.int(),
  max_positions: maybe(z.int()),
  has_value_head: z.boolean(),
  policy_version: z.string(),
  can_learn: z.boolean(),
  why_frozen: maybe(z.string()),
  trainable_parameters: z.int(),
  lora: maybe(z.object({
    rank: z.int(),
    alpha: z.number(),
    target_modules: z.array(loraTarget),
  })),
  base: maybe(z.string()),
  dtype: maybe(z.literal("fp16")),
  device,
  bytes: z.number(),
}).openapi("PolicyInfo");
export const policyList = z.object({ policies: z.array(policyInfo) }).openapi("PolicyList");

export const saveRequest = z.strictObject({
  policy: name,
  /** Of a policy with an adapter: the adapter with its optimizer state, or a whole model. */
  form: maybe(z.enum(["adapter", "merged"])),
}).openapi("SaveRequest");
export const checkpointInfo = z.object({
  /** `policy-version` of a saved one, whose content never changes, or an upload's id. */
  id: z.string(),
  files: z.array(z.object({ name: z.string(), bytes: z.int() })),
}).openapi("CheckpointInfo");
/** `created` is false when this version was saved before. */
export const savedCheckpoint = checkpointInfo.extend({ created: z.boolean() }).openapi(
  "SavedCheckpoint",
);
/** Id of a checkpoint that a client brings: `upload.` and the hash of its files. */
export const UPLOAD_ID = /^upload\.[0-9a-f]{32}$/;

/** What a node runs on. */
export const nodeHealth = z.object({
  device,
  /** CPU threads of an operation. */
  threads: z.int(),
  /** Operations that ran on the CPU although the device is another, with their number of nodes. */
  cpu_nodes: z.record(z.string(), z.int()),
  memory_bytes: z.number(),
});

/** What a probe sees of a GPU server; the first fields are absent until the node first tells. */
export const gpuHealth = nodeHealth.partial().extend({
  /** busy: the call under way has lasted a second; draining: it takes no more work. */
  status: z.enum(["ok", "busy", "draining"]),
  policies: z.array(z.string()),
  /** Requests that wait. */
  waiting: z.int(),
}).openapi("GpuHealth");

/** Fresh tokens of a prompt while its completion is drawn. */
export const freshTokens = z.object({
  row: z.int(),
  tokens,
  logprobs: numbers,
  text: z.string().nullable(),
}).openapi("FreshTokens");
