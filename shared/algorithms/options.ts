/**
 * Options that the algorithms share, with their defaults (reference section 7). Each algorithm
 * adds its own in its file; registry.ts joins them to the `algorithm` section of a run
 * configuration.
 */
import { z } from "../../deps.ts";

/** Options of every algorithm. */
export const commonOptions = {
  /** Discount γ of the next turn. */
  gamma: z.number().min(0).max(1).default(0.9),
  advantage_normalization: z.boolean().default(true),
  /** Rewards are processed as r · scale + shift before anything is learnt from them. */
  reward_scale: z.number().positive().default(1),
  reward_shift: z.number().default(0),
  /** An episode ends after a turn whose mean processed reward is above this; null: never. */
  early_stop_threshold: z.number().nullable().default(null),
  /** Price per nat of KL divergence to the reference policy; 0: no penalty, no reference. */
  reference_kl_coef: z.number().min(0).default(0),
};

/** Options of the actor-critic family. */
export const actorCriticOptions = {
  ...commonOptions,
  /** v: the critic reads the history, V(h); q: the completions too, Q(h, a). */
  critic_type: z.enum(["v", "q"]).default("v"),
  /** Optimizer steps of each critic per batch. */
  critic_updates_per_batch: z.number().int().min(1).max(64).default(1),
};

export type CommonOptions = z.infer<z.ZodObject<typeof commonOptions>>;
