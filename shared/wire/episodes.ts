/**
 * Episodes: opening one or many, and reading one with all that happened in it.
 * Leaves out observations and actions of one agent (observations.ts, actions.ts).
 */
import { z } from "../../deps.ts";
import {
  agentName,
  environmentId,
  environmentOptions,
  episodeId,
  id,
  jsonObject,
  message,
  perAgent,
  runId,
  seed,
  seeds,
  taskInput,
  texts,
} from "./fields.ts";
import { MOST, observation } from "./observations.ts";
import { listOf } from "./parse.ts";

const purpose = z.enum(["train", "evaluate", "external"]).openapi({
  description: "Only train episodes are learnt from",
});
const turnSeeds = seeds.nullable().openapi({
  type: ["array", "null"],
  description: "Seed of each turn; null: derived from seed",
});
const stopAbove = z.number().nullable().openapi({
  description: "Ends the episode after a turn whose mean reward is above this; null: never",
});
const policyVersions = texts.nullable().openapi({
  type: ["object", "null"],
  description: "Version that each agent should act with",
});
const deadline = z.int().nullable().openapi({
  description: "Milliseconds since 1970 after which the episode fails",
});

export const episodeRequest = message({
  id: episodeId.optional().openapi({
    description: "Chosen by the caller, so that a retry finds the episode; default: a new one",
  }),
  run_id: runId.nullable().default(null),
  environment: environmentId,
  options: environmentOptions.default({}),
  task: taskInput,
  item_id: id("Key of rewards and seeds; default: the item's own", "str_build_eval_007").optional(),
  seed: seed.default(0),
  turn_seeds: turnSeeds.default(null),
  stop_above: stopAbove.default(null),
  purpose: purpose.default("external"),
  policy_versions: policyVersions.default(null),
  deadline_at: deadline.default(null),
}).openapi("EpisodeRequest");

export type EpisodeRequest = z.infer<typeof episodeRequest>;

export const episodesRequest = z.union([episodeRequest, listOf(episodeRequest, MOST, 1)], {
  error: "an episode or a list of episodes",
});

const episodeFields = {
  id: episodeId,
  run_id: runId.nullable(),
  environment: environmentId,
  options: environmentOptions,
  item_id: z.string(),
  task: z.unknown(),
  seed,
  turn_seeds: turnSeeds,
  stop_above: stopAbove,
  purpose,
  policy_versions: policyVersions,
  deadline_at: deadline,
  agents: z.array(agentName).openapi({ description: "Agent names in playing order" }),
  status: z.enum(["running", "finished", "failed"]),
  turn: z.int().openapi({ description: "Turn that waits for actions, or the last one played" }),
  cause: z.string().nullable().openapi({ description: "Why it failed" }),
};

export const openedEpisode = z.object({
  ...episodeFields,
  tokens: perAgent(z.string()).nullable().openapi({
    description: "Bearer token of each agent, for its observations and actions of this episode; " +
      "null where no token is needed",
  }),
}).openapi("OpenedEpisode");

export const openedEpisodes = z.union([
  openedEpisode,
  z.object({ episodes: z.array(openedEpisode) }),
]);

const storedAction = z.object({
  text: z.string(),
  prompt_tokens: z.array(z.int()).nullable(),
  tokens: z.array(z.int()).nullable(),
  logprobs: z.array(z.number()).nullable(),
  policy_version: z.string().nullable(),
  sampling: jsonObject.nullable(),
  seed: z.int().nullable(),
}).openapi("Action");

export const episodeTranscript = z.object({
  ...episodeFields,
  turns: z.array(z.object({
    turn: z.int(),
    agents: perAgent(z.object({
      observation,
      info: jsonObject.nullable(),
      action: storedAction.nullable(),
    })),
    rewards: perAgent(z.number()).nullable().openapi({ description: "null before the step" }),
    components: z.record(z.string(), z.number()).nullable(),
  })),
}).openapi("Episode");
