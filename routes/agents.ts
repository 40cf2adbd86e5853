/**
 * Batch forms for agent hosts: everything that waits for an agent, and many actions at once.
 * Leaves out being told that something waits (stream.ts).
 */
import { createRoute, z } from "../deps.ts";
import type { ActionResult } from "../shared/store/episodes.ts";
import { actionList, actionResults } from "../shared/wire/actions.ts";
import { agentName } from "../shared/wire/fields.ts";
import { pendingQuery, pendingViews } from "../shared/wire/observations.ts";
import { toProblem } from "../shared/wire/problem.ts";
import { requireEpisodes, requireRun } from "./auth.ts";
import { answers, body, type Edge, type EdgeApp, episodesOf } from "./edge.ts";

const params = z.object({ agent: agentName });
const tags = ["agents"];

const pending = createRoute({
  method: "get",
  path: "/v1/agents/{agent}/observations",
  operationId: "listPending",
  summary: "Episodes that wait for an agent, oldest first",
  tags,
  request: { params, query: pendingQuery },
  responses: answers(200, "Views of the agent", pendingViews),
});

const act = createRoute({
  method: "post",
  path: "/v1/agents/{agent}/actions",
  operationId: "postActions",
  summary: "Actions of an agent in many episodes",
  description: "A bad action fails itself only: its result is an error",
  tags,
  request: { params, body: body(actionList) },
  responses: answers(200, "One result per action, in their order", actionResults),
});

export function agentRoutes(app: EdgeApp, edge: Edge): void {
  app.openapi(pending, async (c) => {
    const { agent } = c.req.valid("param");
    const { run_id = null, limit } = c.req.valid("query");
    const run = requireRun(c.var.principal, agent, run_id);
    return c.json({ observations: await episodesOf(edge).pending(agent, run, limit) }, 200);
  });

  app.openapi(act, async (c) => {
    const { agent } = c.req.valid("param");
    const list = c.req.valid("json");
    await requireEpisodes(edge, c.var.principal, agent, list.map(({ episode_id }) => episode_id));
    const results = await episodesOf(edge).postActions(list.map((one) => ({ ...one, agent })));
    return c.json({ results: results.map(onWire) }, 200);
  });
}

function onWire(result: ActionResult) {
  return result.status === "error"
    ? { status: result.status, error: toProblem(result.error) }
    : result;
}
