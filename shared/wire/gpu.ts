/**
 * Messages of the GPU node: the verbs of gpu-node/verbs.ts as JSON, refused when they hold a field
 * that is not known. Leaves out what only a loaded policy can tell (vocabulary, positions), which
 * the kernel checks. Every answer names the policy version that gave it.
 */
import { z } from "../../deps.ts";
import { isTemperature, TEMPERATURES } from "../temperature.ts";
import { listOf } from "./parse.ts";

/** Largest body of a request and largest file of an uploaded checkpoint, in bytes. */
export const BODY_LIMIT = 64 * 2 ** 20;
export const UPLOAD_LIMIT = 16 * 2 ** 30;
const MOST_SEQUENCES = 65_536;
/** Completions of one request: prompts times n. */
export const MOST_COMPLETIONS = 4096;

/** Names of policies, models and checkpoints: usable in a URL and as a folder, never a path. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$/;
export const name = z.string().regex(NAME, {
  error: "a name of at most 120 letters, digits, '.', '_' and '-', beginning with one of the first",
});

const isTokens = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0);
/** One rule for the whole list: a list of wrong entries is one complaint, not thousands. */
export const tokens = z.custom<number[]>(isTokens, { error: "a list of token ids" });
const numbers = z.custom<number[]>(
  (value) => Array.isArray(value) && value.every((x) => typeof x === "number"),
  { error: "a list of numbers" },
);
export const temperature = z.number().refine(isTemperature, { error: TEMPERATURES });
export const seed = z.int().min(0).max(0xffff_ffff);
const position = z.union([z.literal("last"), z.int().min(0)], { error: '"last" or a position' });
const promptLength = z.int().min(1);

export const prompt = z.custom<string | number[]>(
  (value) => typeof value === "string" || isTokens(value),
  { error: "a text or a list of token ids" },
);
const isStopText = (value: unknown): value is string =>
  typeof value === "string" && value !== "" && value.length <= 256;
/** A text ends a completion before it, a token id after the token. */
export const stop = z.custom<string | (string | number)[]>(
  (value) =>
    isStopText(value) ||
    (Array.isArray(value) && value.length <= 64 &&
      value.every((x) => isStopText(x) || isTokens([x]))),
  { error: "a text of at most 256 characters, or a list of at most 64 such texts and token ids" },
);

export const sampleRequest = z.strictObject({
  policy: name,
  prompts: listOf(prompt, MOST_COMPLETIONS),
  /** Completions per prompt. */
  n: z.int().min(1).max(MOST_COMPLETIONS).default(1),
  max_tokens: z.int().min(1).max(1_000_000).default(128),
  temperature: temperature.default(1),
  /** Truncation of the distribution; only 1, which is off, is supported. */
  top_p: z.number().optional(),
  /** Truncation of the distribution; only 0, which is off, is supported. */
  top_k: z.number().optional(),
  stop: stop.optional(),
  /** Ids that end a completion; by default those of the policy's tokenizer. */
  stop_tokens: listOf(z.int().min(0), 64).optional(),
  /** Seed of every prompt's first completion; random when neither seed nor seeds is given. */
  seed: seed.optional(),
  /** Or one seed per prompt. */
  seeds: listOf(seed, MOST_COMPLETIONS).optional(),
});

export const completion = z.object({
  /** Index of its prompt; the n completions of one prompt follow one another. */
  prompt_index: z.int(),
  tokens,
  /** Under the very distribution sampled, so temperature is included. */
  logprobs: numbers,
  /** Without special tokens; null when the policy has no tokenizer. */
  text: z.string().nullable(),
  finish_reason: z.enum(["stop", "length"]),
  /** Gives these tokens again, as this prompt's seed. */
  seed: z.int(),
});
export const sampleAnswer = z.object({
  completions: z.array(completion),
  policy_version: z.string(),
});

export const scoreRequest = z.strictObject({
  policy: name,
  sequences: listOf(z.strictObject({ tokens, prompt_length: promptLength }), MOST_SEQUENCES),
});
export const scoreAnswer = z.object({
  /** Per sequence, of the tokens after its prompt. */
  logprobs: z.array(numbers),
  policy_version: z.string(),
});

export const valuesRequest = z.strictObject({
  policy: name,
  sequences: listOf(
    z.strictObject({ tokens, read_at: position.default("last") }),
    MOST_SEQUENCES,
  ),
});
/** What a node runs on; absent from its health while it is too busy to say so for the first time. */
export const nodeHealth = z.object({
  device: z.enum(["cpu", "webgpu", "cuda"]),
  cpu_nodes: z.record(z.string(), z.int()),
  memory_bytes: z.number(),
});

export const valuesAnswer = z.object({ values: numbers, policy_version: z.string() });

export const updateRequest = z.strictObject({
  policy: name,
  /** Write key: the same (policy, seq) with the same payload is answered from the record. */
  seq: z.int().min(0),
  loss: z.enum(["policy_gradient", "value_mse", "cross_entropy"]),
  batch: listOf(
    z.strictObject({
      tokens,
      prompt_length: promptLength,
      advantage: z.number().exactOptional(),
      advantages: numbers.exactOptional(),
      old_logprobs: numbers.exactOptional(),
      target: z.number().exactOptional(),
      read_at: position.exactOptional(),
      weight: z.number().exactOptional(),
    }),
    MOST_SEQUENCES,
    1,
  ),
  optimizer: z.strictObject({
    name: z.literal("adamw"),
    learning_rate: z.number().min(0),
    betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]).exactOptional(),
    eps: z.number().min(0).exactOptional(),
    weight_decay: z.number().min(0).exactOptional(),
  }),
  max_grad_norm: z.number().min(0).exactOptional(),
  loss_scale: z.number().exactOptional(),
  /** false: gradients only, nothing changes. */
  apply: z.boolean().exactOptional(),
  report: z.literal("gradients").exactOptional(),
});
export const updateAnswer = z.object({
  loss: z.number(),
  grad_norm: z.number(),
  tokens: z.int(),
  policy_version: z.string(),
  logprob_mismatch: z.number().exactOptional(),
  clip_fraction: z.number().exactOptional(),
  padding: z.number().exactOptional(),
  gradients: z.record(
    z.string(),
    z.object({ norm: z.number(), first: numbers, last: numbers }),
  ).exactOptional(),
});

/** Matrices of a layer that an adapter may change. */
const LORA_MODULES = [
  ...["q_proj", "k_proj", "v_proj", "o_proj"] as const,
  ...["gate_proj", "up_proj", "down_proj"] as const,
];

export const loadRequest = z.strictObject({
  policy: name,
  /** Name of a model the server was started with, or id of one of its checkpoints. */
  source: name,
  /** Adds a fresh value head when the source has none. */
  value_head: z.strictObject({ seed: z.int().default(0) }).exactOptional(),
});
export const policyInfo = z.object({
  policy: z.string(),
  source: z.string(),
  architecture: z.string(),
  parameters: z.int(),
  vocab_size: z.int(),
  has_value_head: z.boolean(),
  policy_version: z.string(),
  can_learn: z.boolean(),
  why_frozen: z.string().exactOptional(),
  trainable_parameters: z.int(),
  lora: z.object({
    rank: z.int(),
    alpha: z.number(),
    target_modules: z.array(z.enum(LORA_MODULES)),
  }).exactOptional(),
  base: z.string().exactOptional(),
  device: z.enum(["cpu", "webgpu", "cuda"]),
  bytes: z.number(),
});
export const policyList = z.object({ policies: z.array(policyInfo) });

export const saveRequest = z.strictObject({ policy: name });
export const checkpointInfo = z.object({
  /** `policy-version` of a saved one, whose content never changes, or an upload's id. */
  id: z.string(),
  files: z.array(z.object({ name: z.string(), bytes: z.int() })),
});
/** `created` is false when this version was saved before. */
export const savedCheckpoint = checkpointInfo.extend({ created: z.boolean() });
/** Id of a checkpoint that a client brings: `upload.` and the hash of its files. */
export const UPLOAD_ID = /^upload\.[0-9a-f]{32}$/;
