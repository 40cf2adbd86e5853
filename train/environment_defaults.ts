/**
 * What each environment starts training and evaluations with where nothing else is said: its options
 * and a run's keys. Numbers are tuned for the embedded policy. Leaves out the general defaults
 * (config_schema.ts) and where values come from (config.ts).
 */
import { resolve } from "node:path";
import { BUILTIN } from "../shared/environments/data/data_set.ts";
import type { JsonObject } from "./overrides.ts";

/** Checkpoint folder of the policy that is part of the repository. */
export const EMBEDDED_POLICY = "models/collm-tiny";

export interface EnvironmentDefaults {
  /** Options of the environment. */
  options: Readonly<JsonObject>;
  /** Keys of a run's configuration. */
  run: Readonly<JsonObject>;
}

const DEFAULTS: Readonly<Record<string, Partial<EnvironmentDefaults>>> = {
  // One turn and short prompts: what the embedded policy was made for.
  str_build: { options: { turns: 1, prompt_style: "compact" } },
  // A fill is 8 tokens, and a share of a house takes up to 12 of them.
  house_build: {
    options: { turns: 1, prompt_style: "compact", sizes: [[5, 3, 3]] },
    run: {
      rollout: { max_tokens: 96 },
      budget: { joint_evaluations: 2048 },
      optimizer: { learning_rate: 3e-4 },
    },
  },
  bridge_build: { options: { prompt_style: "compact" } },
  resource_gathering: { options: { prompt_style: "compact" } },
  // Texts of 8 words and more are rewarded, at about 3 tokens a word.
  tldr: {
    options: { prompt_style: "compact" },
    run: {
      rollout: { max_tokens: 80 },
      budget: { joint_evaluations: 2048 },
      optimizer: { learning_rate: 3e-4 },
    },
  },
  // Texts of 128 words and more: what a policy of one's own needs (docs/environments.md).
  arxiv: { options: { prompt_style: "compact" }, run: { rollout: { max_tokens: 384 } } },
};

const CODING = ["humaneval", "coophumaneval", "mbpp"];
const codingRun = (max_tokens: number): JsonObject => ({
  rollout: { max_tokens },
  budget: { joint_evaluations: 2560 },
  optimizer: { learning_rate: 3e-4 },
});
/** An expression is 2 to 17 tokens. */
const EXPRESSIONS: EnvironmentDefaults = {
  options: { turns: 1, prompt_style: "compact", time_limit_s: 2 },
  run: codingRun(20),
};
/** The environment's own options, and the length that the paper gives a function. */
const FUNCTIONS: EnvironmentDefaults = { options: {}, run: codingRun(256) };

/**
 * What an environment starts with. Coding alone asks whose policy plays which tasks: a compact
 * prompt of it wants one expression, which is no answer to a published task, and which only the
 * embedded policy was taught. Compact prompts of the writing tasks hold the whole text, and their
 * lengths are those that the reward asks for, so they are the same for every policy.
 * @param policy Checkpoint folder that is played or trained.
 * @param given Options that are set, unchecked.
 */
export function environmentDefaults(
  environment: string,
  policy: unknown,
  { data, prompt_style }: Readonly<JsonObject>,
): EnvironmentDefaults {
  if (CODING.includes(environment)) {
    const small = isEmbedded(policy) && (data === undefined || data === BUILTIN);
    return (prompt_style ?? (small ? "compact" : "paper")) === "compact" ? EXPRESSIONS : FUNCTIONS;
  }
  const found = Object.hasOwn(DEFAULTS, environment) ? DEFAULTS[environment]! : {};
  return { options: {}, run: {}, ...found };
}

const isEmbedded = (policy: unknown): boolean =>
  policy === undefined ||
  typeof policy === "string" && resolve(policy) === resolve(EMBEDDED_POLICY);
