/**
 * The verbs of the GPU node over opaque handles, blind to environments, agents and algorithms.
 * Implemented by the kernel's worker client (same machine) and by the HTTP client (any host).
 * Arrays: B sequence, T token.
 */

/** One sequence whose tokens after `prompt_length` are scored. */
export interface Sequence {
  tokens: number[];
  prompt_length: number;
}

export interface SampleRequest {
  policy: string;
  /** Token ids of each prompt. */
  prompts: number[][];
  /** One 32-bit seed per prompt: the completion depends on nothing else in the batch. */
  seeds: number[];
  max_tokens: number;
  /** 0 is greedy. */
  temperature: number;
  /** Nucleus: the most likely tokens whose probabilities reach it; 1 (default) is all. */
  top_p?: number;
  /** The most likely tokens; 0 (default) is all. */
  top_k?: number;
  /** Generation ends after any of these token ids (the token itself is part of the completion). */
  stop_tokens: number[];
}

export interface WaitOptions {
  /**
   * Gives the call up: one that waits is dropped, one under way is stopped where that is possible.
   * It rejects with the signal's reason. Once begun, load, update, save and unload go on: a queue
   * then gives their result, a server's client only hears that it is late.
   */
  signal?: AbortSignal;
}

/** Of the distribution softmax(logits / temperature); 0 stands for 1, as greedy completions say it. */
export interface AlternativesOptions {
  /** Tokens listed at each position, from 1 to MOST_ALTERNATIVES. */
  count: number;
  temperature: number;
}
export const MOST_ALTERNATIVES = 20;

export interface ScoreOptions extends WaitOptions {
  /** Lists the most likely tokens in the place of each scored one. */
  alternatives?: AlternativesOptions;
}

/** In the place of one scored token. */
export interface Alternatives {
  /** The most likely tokens, the likeliest first, and their log-probabilities. */
  tokens: number[];
  logprobs: number[];
  /** That of the scored token under the same distribution. */
  given: number;
}

export interface ScoreResult {
  logprobs: number[][];
  /** By sequence, then token. */
  alternatives?: Alternatives[][];
  policy_version: string;
}

export interface SampleOptions extends WaitOptions {
  /** Called with the fresh tokens of prompt `row`, in order, while generation goes on. */
  onTokens?: (row: number, tokens: number[], logprobs: number[]) => void;
}

/** What the sampler asks and tells while it works on several requests at once. */
export interface SampleHooks {
  /** Fresh tokens of prompt `row` of request number `request`, in order. */
  onTokens?(request: number, row: number, tokens: number[], logprobs: number[]): void;
  /** Asked between chunks; a cancelled request's result is an error. */
  cancelled?(request: number): boolean;
}

export interface Completion {
  tokens: number[];
  /** Natural-log probability of each token under the very distribution it was drawn from. */
  logprobs: number[];
  finish_reason: "stop" | "length";
}

export interface SampleResult {
  completions: Completion[];
  policy_version: string;
}

export interface ValueSequence {
  tokens: number[];
  /** Position whose final hidden state the value head reads. */
  read_at: "last" | number;
}

export type LossName = "policy_gradient" | "ppo_clip" | "value_mse" | "cross_entropy";

/** One sequence of an update batch; which field it needs depends on the loss. */
export interface UpdateSequence extends Sequence {
  /** policy_gradient: one advantage for the whole response, or one per response token. */
  advantage?: number;
  advantages?: number[];
  /**
   * Behaviour log-probabilities of the response tokens: the denominator of ppo_clip's ratio; with
   * any loss over tokens their mismatch is reported.
   */
  old_logprobs?: number[];
  /** Log-probabilities of the response tokens under a reference, for `kl_coef`. */
  ref_logprobs?: number[];
  /** value_mse: the value target; read at `read_at` (default: last prompt token). */
  target?: number;
  /** value_mse with `clip`: the value that the target's rollout predicted. */
  old_value?: number;
  read_at?: "last" | number;
  /** cross_entropy: weight of the sequence (default 1). */
  weight?: number;
}

export interface AdamWOptions {
  name: "adamw";
  learning_rate: number;
  betas?: [number, number];
  eps?: number;
  weight_decay?: number;
}

export interface UpdateRequest {
  policy: string;
  /**
   * Write key: the same (policy, seq) again is answered from the record, or refused where its
   * answer is not kept any more; it is never applied twice.
   */
  seq: number;
  loss: LossName;
  batch: UpdateSequence[];
  optimizer: AdamWOptions;
  /** Largest norm of the gradient, more than 0; absent, it is not clipped. */
  max_grad_norm?: number;
  /** ppo_clip: ratio range 1 ± clip (default 0.2). value_mse: value range old_value ± clip. */
  clip?: number;
  /** ppo_clip: one ratio per token (default), or one per sequence: exp of the mean difference. */
  ratio?: "token" | "sequence";
  /** Adds kl_coef · mean over sequences of the sum of the tokens' k3 estimates of KL(policy ‖ ref). */
  kl_coef?: number;
  /** Padded tokens of one forward and backward run; larger batches accumulate gradients. */
  tokens_per_run?: number;
  /** Activation checkpointing: blocks are computed again on the way back instead of kept. */
  recompute?: boolean;
  /** Multiplies the loss (value_loss_coef 0.6 in the paper's trainers). */
  loss_scale?: number;
  /** false: gradients only, nothing changes. */
  apply?: boolean;
  report?: "gradients";
}

export interface GradientReport {
  norm: number;
  first: number[];
  last: number[];
}

export interface UpdateResult {
  loss: number;
  grad_norm: number;
  /** Response tokens that took part. */
  tokens: number;
  policy_version: string;
  /** Mean |logp − old logp| over response tokens before the step, where old_logprobs were given. */
  logprob_mismatch?: number;
  /** Fraction of response tokens whose ratio was clipped (ppo_clip). */
  clip_fraction?: number;
  /** Fraction of the tokens that ran through the model and were padding. */
  padding?: number;
  gradients?: Record<string, GradientReport>;
}

/** A fresh adapter: W + alpha/rank · B·A on the named matrices of every layer. */
export interface LoraOptions {
  rank: number;
  alpha: number;
  /** Matrices by their last name; default: all seven of a layer. */
  target_modules?: LoraTarget[];
  /** Of A's initial values; B starts at 0, so the policy starts as its base. */
  seed?: number;
}
export const LORA_TARGETS = [
  ...["q_proj", "k_proj", "v_proj", "o_proj"] as const,
  ...["gate_proj", "up_proj", "down_proj"] as const,
];
export type LoraTarget = (typeof LORA_TARGETS)[number];

/** Number format of a frozen policy's weights, as Transformers.js names it. */
export type FrozenDtype = "fp32" | "fp16" | "q8" | "q4";
export type DeviceName = "cpu" | "webgpu" | "cuda";
/** What a node may be asked to run on; `auto` is the first that is there of cuda, webgpu, cpu. */
export const DEVICE_CHOICES = ["cpu", "webgpu", "cuda", "auto"] as const;
export type DeviceChoice = (typeof DEVICE_CHOICES)[number];

export interface LoadRequest {
  policy: string;
  /** Folder of a Hugging Face checkpoint, of a PEFT adapter or of an ONNX model, or a hub id. */
  source: string;
  /** Folder or hub id that an adapter in `source` extends; default: what its configuration names. */
  base?: string;
  /** Trains a fresh adapter instead of all weights. Policies on one base share its memory. */
  lora?: LoraOptions;
  /** Adds a fresh value head (seeded) when the checkpoint has none. */
  value_head?: { seed: number };
  /** Refused when the node runs on another device: one node, one device. */
  device?: DeviceName;
  /** Never learns; implied where Transformers.js runs the model (any architecture). */
  frozen?: boolean;
  /**
   * Of a model that Transformers.js runs; default fp32. Of a base under an adapter: fp16 holds its
   * matrices as float16, at half the memory; all is computed in float32. Default: as it was held
   * when the adapter in `source` was saved with its state, else fp32.
   */
  dtype?: FrozenDtype;
}

export interface PolicyInfo {
  policy: string;
  source: string;
  architecture: string;
  /** All weights that it runs with, shared ones included; if frozen, the numbers in its ONNX files. */
  parameters: number;
  /** Weights that an update changes; 0 for a frozen policy. */
  trainable_parameters: number;
  vocab_size: number;
  /** Tokens of a prompt and its completion at most; absent where the model does not say. */
  max_positions?: number;
  has_value_head: boolean;
  policy_version: string;
  can_learn: boolean;
  /** Why it cannot learn. */
  why_frozen?: string;
  lora?: { rank: number; alpha: number; target_modules: LoraTarget[] };
  /** Policies with the same base share its weights and their sample batches. */
  base?: string;
  /** How the base is held, where that is not as float32. */
  dtype?: "fp16";
  device: DeviceName;
  /** Bytes of weights and optimizer state that it alone holds. */
  bytes: number;
}

/** What a node runs on. */
export interface NodeHealth {
  device: DeviceName;
  /** CPU threads of an operation. */
  threads: number;
  /** Operations that ran on the CPU although the device is another, with their number of nodes. */
  cpu_nodes: Record<string, number>;
  /** Resident memory of the process, in bytes. */
  memory_bytes: number;
}

export interface SaveOptions {
  /** Also the optimizer's state, so that a reloaded policy goes on exactly where it stood. */
  state?: boolean;
  /**
   * Of a policy with an adapter: `adapter` (default) is a PEFT folder, `merged` a whole model in
   * which the adapter has become part of the weights.
   */
  form?: "adapter" | "merged";
}

/** The GPU node as its callers see it. */
export interface GpuNode {
  health(): Promise<NodeHealth>;
  load(request: LoadRequest, options?: WaitOptions): Promise<PolicyInfo>;
  list(): Promise<PolicyInfo[]>;
  sample(request: SampleRequest, options?: SampleOptions): Promise<SampleResult>;
  score(policy: string, sequences: Sequence[], options?: ScoreOptions): Promise<ScoreResult>;
  values(
    policy: string,
    sequences: ValueSequence[],
    options?: WaitOptions,
  ): Promise<{ values: number[]; policy_version: string }>;
  update(request: UpdateRequest, options?: WaitOptions): Promise<UpdateResult>;
  /** Writes weights, tokenizer, configuration and (with `state`) optimizer state to a folder. */
  save(
    policy: string,
    folder: string,
    options?: SaveOptions,
    waiting?: WaitOptions,
  ): Promise<void>;
  unload(policy: string, options?: WaitOptions): Promise<void>;
  close(): Promise<void>;
}

/** A node that takes many sample requests as one batch. */
export interface BatchNode extends GpuNode {
  /** A promise per request: one that fails or is given up fails alone. */
  sampleTogether(
    requests: readonly SampleRequest[],
    options: readonly SampleOptions[],
  ): Promise<SampleResult>[];
}
