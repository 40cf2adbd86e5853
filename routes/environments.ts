/**
 * Stateless environments: reset, step and score. Between calls the state is with the caller, in a
 * signed token, so any replica can take any step. Leaves out episodes that are recorded, and lists
 * of steps (environment_batches.ts).
 */
import { createRoute, z } from "../deps.ts";
import type { Environment } from "../shared/environments/environment.ts";
import { optionsQuery } from "../shared/wire/environment_items.ts";
import {
  environmentInfo,
  environmentList,
  resetRequest,
  resetResult,
  scoreRequest,
  scoreResult,
  stepRequest,
  stepResult,
} from "../shared/wire/environments.ts";
import { environmentId } from "../shared/wire/fields.ts";
import { answers, body, type Edge, type EdgeApp } from "./edge.ts";
import { resetOf, scoreOf, stepOf } from "./environment_steps.ts";

const params = z.object({ id: environmentId });
const path = "/v1/environments/{id}";
const tags = ["environments"];

const list = createRoute({
  method: "get",
  path: "/v1/environments",
  operationId: "listEnvironments",
  summary: "All environments",
  tags,
  responses: answers(200, "All environments", environmentList),
});

const show = createRoute({
  method: "get",
  path,
  operationId: "getEnvironment",
  summary: "One environment with its options and splits",
  tags,
  request: { params, query: optionsQuery },
  responses: answers(200, "The environment", environmentInfo),
});

const reset = createRoute({
  method: "post",
  path: `${path}/reset`,
  operationId: "resetEnvironment",
  summary: "Start: first observations and a signed state",
  tags,
  request: { params, body: body(resetRequest) },
  responses: answers(200, "First observations", resetResult),
});

const step = createRoute({
  method: "post",
  path: `${path}/step`,
  operationId: "stepEnvironment",
  summary: "One joint action on a signed state",
  tags,
  request: { params, body: body(stepRequest) },
  responses: answers(200, "Rewards, next observations and state", stepResult),
});

const score = createRoute({
  method: "post",
  path: `${path}/score`,
  operationId: "scoreActions",
  summary: "One-turn reward of a joint action, without an episode",
  tags,
  request: { params, body: body(scoreRequest) },
  responses: answers(200, "Rewards and their parts", scoreResult),
});

export function environmentRoutes(app: EdgeApp, edge: Edge): void {
  const { createEnvironment, environmentIds } = edge;

  app.openapi(list, (c) => {
    const environments = environmentIds().map((id) => summaryOf(createEnvironment(id, {})));
    return c.json({ environments }, 200);
  });

  app.openapi(show, (c) => {
    const environment = createEnvironment(c.req.valid("param").id, c.req.valid("query").options);
    const { options, render } = environment;
    const more = { options: { ...options }, splits: environment.splits() };
    return c.json({ ...summaryOf(environment), ...more, draws: render !== undefined }, 200);
  });

  app.openapi(reset, async (c) => {
    return c.json(await resetOf(edge, c.req.valid("param").id, c.req.valid("json")), 200);
  });

  app.openapi(step, async (c) => {
    return c.json(await stepOf(edge, c.req.valid("param").id, c.req.valid("json")), 200);
  });

  app.openapi(score, async (c) => {
    return c.json(await scoreOf(edge, c.req.valid("param").id, c.req.valid("json")), 200);
  });
}

function summaryOf({ id, title, description, agents, turns, rewardRange }: Environment) {
  const [least, greatest] = rewardRange;
  return {
    ...{ id, title, description, agents: [...agents], turns },
    reward_range: [least, greatest] as [number, number],
  };
}
