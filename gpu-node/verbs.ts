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
  /** Generation ends after any of these token ids (the token itself is part of the completion). */
  stop_tokens: number[];
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

export type LossName = "policy_gradient" | "value_mse" | "cross_entropy";

/** One sequence of an update batch; which field it needs depends on the loss. */
export interface UpdateSequence extends Sequence {
  /** policy_gradient: one advantage for the whole response, or one per response token. */
  advantage?: number;
  advantages?: number[];
  /** Behaviour log-probabilities of the response tokens: their mismatch is reported. */
  old_logprobs?: number[];
  /** value_mse: the value target; read at `read_at` (default: last prompt token). */
  target?: number;
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
  /** Write key: the same (policy, seq) again is answered from the record. */
  seq: number;
  loss: LossName;
  batch: UpdateSequence[];
  optimizer: AdamWOptions;
  max_grad_norm?: number;
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
  gradients?: Record<string, GradientReport>;
}

export interface LoadRequest {
  policy: string;
  /** Folder of a Hugging Face checkpoint. */
  source: string;
  /** Adds a fresh value head (seeded) when the checkpoint has none. */
  value_head?: { seed: number };
}

export interface PolicyInfo {
  policy: string;
  source: string;
  architecture: string;
  parameters: number;
  vocab_size: number;
  has_value_head: boolean;
  policy_version: string;
  can_learn: boolean;
}

/** The GPU node as its callers see it. */
export interface GpuNode {
  load(request: LoadRequest): Promise<PolicyInfo>;
  list(): Promise<PolicyInfo[]>;
  sample(request: SampleRequest): Promise<SampleResult>;
  score(
    policy: string,
    sequences: Sequence[],
  ): Promise<{ logprobs: number[][]; policy_version: string }>;
  values(
    policy: string,
    sequences: ValueSequence[],
  ): Promise<{ values: number[]; policy_version: string }>;
  update(request: UpdateRequest): Promise<UpdateResult>;
  /** Writes weights, tokenizer, configuration and (with `state`) optimizer state to a folder. */
  save(policy: string, folder: string, options?: { state?: boolean }): Promise<void>;
  unload(policy: string): Promise<void>;
  close(): Promise<void>;
}
