/**
 * The run configuration: every key with its default, in one place. To tune the defaults, edit
 * the numbers here (an environment's in environment_defaults.ts, an algorithm's own in
 * shared/algorithms/options.ts and its file).
 * Leaves out where values come from (config.ts) and the environments' own options.
 */
import { z } from "../deps.ts";
import { LORA_TARGETS } from "../gpu-node/verbs.ts";
import { algorithmOptions } from "../shared/algorithms/registry.ts";
import {
  isTemperature,
  LEAST_TEMPERATURE,
  MOST_TEMPERATURE,
  TEMPERATURES,
} from "../shared/temperature.ts";
import { EMBEDDED_POLICY } from "./environment_defaults.ts";

const count = (least: number) => z.int().min(least);
const positive = z.number().positive();

const environment = z.strictObject({
  id: z.string().default("str_build"),
  /** Module or address that the environment comes from; null: it is one of the project's own. */
  source: z.string().nullable().default(null),
  /** Split that training items are taken from, in order. */
  split: z.string().default("train"),
  /** Options of the environment; it checks them itself. */
  options: z.record(z.string(), z.unknown()).default({}),
});

/** A fresh adapter (LoRA) on the source's weights, which then stay as they are and are shared. */
const lora = z.strictObject({
  /** 0: no adapter, all weights learn. */
  rank: count(0).default(0),
  /** The adapter's output is scaled by alpha / rank; null: twice the rank. */
  alpha: positive.nullable().default(null),
  target_modules: z.array(z.enum(LORA_TARGETS)).min(1).default([...LORA_TARGETS]),
});

const policy = z.strictObject({
  /** Checkpoint folder that every agent starts from. */
  source: z.string().min(1).default(EMBEDDED_POLICY),
  /** Of each agent, one's own: `--set policy.lora.rank=8`. */
  lora: lora.prefault({}),
});

/** AdamW of the policies; critics share all but the learning rate and the gradient norm. */
const optimizer = z.strictObject({
  learning_rate: positive.default(5e-4),
  betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]).default([0.9, 0.98]),
  eps: positive.default(1e-8),
  weight_decay: z.number().min(0).default(0),
  max_grad_norm: positive.default(1),
  /** linear, cosine: falls to `final_fraction` of the learning rate when the budget is spent. */
  schedule: z.enum(["constant", "linear", "cosine"]).default("linear"),
  final_fraction: z.number().min(0).max(1).default(0.1),
  /** Updates over which the learning rate rises from near 0. */
  warmup: count(0).default(10),
});

const critic = z.strictObject({
  /** Checkpoint folder that critics start from; null: the policy's. */
  source: z.string().min(1).nullable().default(null),
  /** Of each critic; its value head always learns. */
  lora: lora.prefault({}),
  learning_rate: positive.default(5e-4),
  /** Multiplies the value loss. */
  value_loss_coef: positive.default(0.6),
  max_grad_norm: positive.default(1),
});

const rollout = z.strictObject({
  /** Episodes per update; trees take as many items as cost the same joint evaluations. */
  episodes_per_batch: count(1).default(64),
  /** Policy gradients need draws: 0, which is greedy, is for evaluations. */
  temperature: z.number().min(LEAST_TEMPERATURE).max(MOST_TEMPERATURE).default(1),
  /** Most tokens of one completion. */
  max_tokens: count(1).default(40),
  /** Seconds after which an episode that hosts elsewhere have not finished counts as failed. */
  deadline_s: positive.max(1e6).default(600),
});

const budget = z.strictObject({
  /** Joint actions whose reward is computed in training; evaluations are not counted. */
  joint_evaluations: count(1).default(5120),
});

const evaluation = z.strictObject({
  split: z.string().default("eval"),
  episodes: count(2).default(64),
  /** 0 is greedy. */
  temperature: z.number().refine(isTemperature, { error: `expected ${TEMPERATURES}` }).default(1),
  /** Joint evaluations between evaluations while training; 0: before and after only. */
  every: count(0).default(1024),
});

const checkpoint = z.strictObject({
  /** Joint evaluations between checkpoints; 0: at the end only. */
  every: count(0).default(1024),
});

export const runConfig = z.strictObject({
  environment: environment.prefault({}),
  algorithm: algorithmOptions.prefault({ id: "collm_cc" }),
  policy: policy.prefault({}),
  optimizer: optimizer.prefault({}),
  critic: critic.prefault({}),
  rollout: rollout.prefault({}),
  budget: budget.prefault({}),
  evaluation: evaluation.prefault({}),
  checkpoint: checkpoint.prefault({}),
  /** Decides every random choice of the run. */
  seed: z.int().min(0).max(2 ** 32 - 1).default(1),
});

export type RunConfig = z.infer<typeof runConfig>;
