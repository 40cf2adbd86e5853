/**
 * Actions under the key (episode, turn, agent), and what became of them. Token ids and their
 * logprobs are what a learner learns from; a text alone is enough to play.
 */
import { z } from "../../deps.ts";
import { episodeId, id, jsonObject, message, numbers, seed, tokenIds } from "./fields.ts";
import { MOST } from "./observations.ts";
import { listOf } from "./parse.ts";
import { problemSchema } from "./problem.ts";

const tokens = tokenIds.nullable().default(null).openapi({ type: ["array", "null"] });

const action = {
  turn: z.int().min(1).openapi({ description: "Turn that the action is for", example: 1 }),
  text: z.string().openapi({ example: "/setblock 0 0 0 oak_planks" }),
  prompt_tokens: tokens.openapi({ description: "Token ids that the policy continued" }),
  tokens: tokens.openapi({ description: "Token ids that the text was derived from" }),
  logprobs: numbers.nullable().default(null).openapi({
    type: ["array", "null"],
    description: "Natural-log probability of each token under the distribution it was drawn from",
  }),
  policy_version: id("Version that acted", "3f2a").nullable().default(null),
  sampling: jsonObject.nullable().default(null).openapi({
    description: "Parameters of the sampling",
    example: { temperature: 1, max_tokens: 64 },
  }),
  seed: seed.nullable().default(null),
};

export const actionRequest = message(action).openapi("ActionRequest");

export const actionList = listOf(message({ episode_id: episodeId, ...action }), MOST, 1)
  .openapi("ActionList");

export const actionResult = z.object({
  status: z.enum(["stored", "repeated"]).openapi({
    description: "repeated: the same action had been stored before",
  }),
  turn: z.int(),
  episode_status: z.enum(["running", "finished", "failed"]),
  reward: z.number().optional().openapi({
    description: "This agent's reward of the turn, once every agent has acted",
  }),
}).openapi("ActionResult");

export const actionError = z.object({ status: z.literal("error"), error: problemSchema })
  .openapi("ActionError");

/** One entry per action, in their order: a bad one fails itself only. */
export const actionResults = z.object({
  results: z.array(z.discriminatedUnion("status", [actionResult, actionError])),
}).openapi("ActionResults");
