/**
 * Stateless environments: reset, step and score. Between calls the state is with the caller, in a
 * signed token, so any replica can take any step. Leaves out episodes that are recorded.
 */
import { createRoute, z } from "../deps.ts";
import type { Environment } from "../shared/environments/environment.ts";
import { CollmError } from "../shared/errors.ts";
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
  summary: "One environment with its default options and splits",
  tags,
  request: { params },
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

/** What a state token holds. */
interface StateToken {
  environment: string;
  options: Record<string, unknown>;
  task: unknown;
  state: unknown;
}

export function environmentRoutes(app: EdgeApp, edge: Edge): void {
  const { createEnvironment, environmentIds, signers } = edge;

  app.openapi(list, (c) => {
    const environments = environmentIds().map((id) => summaryOf(createEnvironment(id, {})));
    return c.json({ environments }, 200);
  });

  app.openapi(show, (c) => {
    const environment = createEnvironment(c.req.valid("param").id, {});
    const { options } = environment;
    return c.json(
      { ...summaryOf(environment), options: { ...options }, splits: environment.splits() },
      200,
    );
  });

  app.openapi(reset, async (c) => {
    const { id } = c.req.valid("param");
    const { task: input, seed, options } = c.req.valid("json");
    const environment = createEnvironment(id, options);
    const { task } = environment.task(input);
    const { observations, infos, state } = environment.reset(task, seed);
    const token: StateToken = { environment: id, options, task, state };
    return c.json({
      agents: [...environment.agents],
      observations,
      infos,
      state: await signers.state.sign(token),
    }, 200);
  });

  app.openapi(step, async (c) => {
    const { id } = c.req.valid("param");
    const { state: token, actions } = c.req.valid("json");
    const held = await signers.state.open(token) as StateToken | undefined;
    if (!held) {
      throw new CollmError(
        "forbidden",
        `Cannot step environment '${id}': state is not a token of this edge, or it was changed`,
      );
    }
    if (held.environment !== id) {
      throw new CollmError(
        "invalid_request",
        `Cannot step environment '${id}': state is one of environment '${held.environment}'`,
      );
    }
    const environment = createEnvironment(id, held.options);
    const { state, ...result } = await environment.step(held.task, held.state, actions);
    return c.json({ ...result, state: await signers.state.sign({ ...held, state }) }, 200);
  });

  app.openapi(score, async (c) => {
    const { task: input, actions, options } = c.req.valid("json");
    const environment = createEnvironment(c.req.valid("param").id, options);
    const { task } = environment.task(input);
    return c.json(await environment.score(task, actions), 200);
  });
}

function summaryOf({ id, title, description, agents, turns, rewardRange }: Environment) {
  const [least, greatest] = rewardRange;
  return {
    ...{ id, title, description, agents: [...agents], turns },
    reward_range: [least, greatest] as [number, number],
  };
}
