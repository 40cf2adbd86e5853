/**
 * Messages of the stateless environment routes: nothing is kept between calls, the state travels
 * as a signed token. Leaves out the rules of any environment.
 */
import { z } from "../../deps.ts";
import {
  environmentId,
  environmentOptions,
  jsonObject,
  message,
  perAgent,
  seed,
  taskInput,
  texts,
} from "./fields.ts";
import { observation } from "./observations.ts";

const summary = {
  id: environmentId,
  title: z.string().openapi({ example: "StrBuild" }),
  description: z.string(),
  agents: z.array(z.string()).openapi({
    description: "Agent names in playing order",
    example: ["agent_1", "agent_2"],
  }),
  turns: z.int().openapi({ description: "Most turns of an episode", example: 4 }),
  reward_range: z.tuple([z.number(), z.number()]).openapi({
    description: "Least and greatest joint reward of one turn",
    example: [-3, 2],
  }),
};

export const environmentList = z.object({ environments: z.array(z.object(summary)) })
  .openapi("EnvironmentList");

export const environmentInfo = z.object({
  ...summary,
  options: environmentOptions,
  splits: z.array(z.object({
    name: z.string().openapi({ example: "eval" }),
    size: z.int().nullable().openapi({ description: "null: generated without end" }),
    description: z.string(),
  })),
  draws: z.boolean().openapi({ description: "It has pictures (render.svg, render.png)" }),
}).openapi("Environment");

const observations = perAgent(observation).openapi({
  description: "What each agent sees next; empty when the episode has ended",
});
const infos = perAgent(jsonObject);
const rewards = perAgent(z.number());
const components = z.record(z.string(), z.number()).openapi({
  description: "Named parts of the joint reward and metrics, such as iou",
});
const state = z.string().openapi({
  description: "Signed token that holds environment, options, task and state",
});

const actionTexts = texts.openapi({
  description: "Action text of every agent",
  example: { agent_1: "/setblock 0 0 0 oak_planks", agent_2: "" },
});

export const resetRequest = message({
  task: taskInput,
  seed: seed.default(0),
  options: environmentOptions.default({}),
}).openapi("ResetRequest");

export const resetResult = z.object({ agents: z.array(z.string()), observations, infos, state })
  .openapi("ResetResult");

export const stepRequest = message({ state, actions: actionTexts }).openapi("StepRequest");

export const stepResult = z.object({
  observations,
  rewards,
  terminations: perAgent(z.boolean()),
  truncations: perAgent(z.boolean()),
  infos,
  components,
  state,
}).openapi("StepResult");

export const scoreRequest = message({
  task: taskInput,
  actions: actionTexts,
  options: environmentOptions.default({}),
}).openapi("ScoreRequest");

export const scoreResult = z.object({ rewards, components }).openapi("ScoreResult");
