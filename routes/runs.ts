/**
 * Runs in the store: configuration, agents, metrics. Leaves out writing: the learner does.
 */
import { createRoute, z } from "../deps.ts";
import { getRun, listRuns, readMetrics } from "../shared/store/runs.ts";
import { runId } from "../shared/wire/fields.ts";
import { metricsQuery, runInfo, runList, runMetrics, runsQuery } from "../shared/wire/runs.ts";
import { requireOwnRun } from "./auth.ts";
import { answers, type Edge, type EdgeApp, storeOf } from "./edge.ts";

const params = z.object({ id: runId });
const tags = ["runs"];

const list = createRoute({
  method: "get",
  path: "/v1/runs",
  operationId: "listRuns",
  summary: "Runs, newest first",
  tags,
  request: { query: runsQuery },
  responses: answers(200, "Runs", runList),
});

const show = createRoute({
  method: "get",
  path: "/v1/runs/{id}",
  operationId: "getRun",
  summary: "One run with its configuration and agents",
  tags,
  request: { params },
  responses: answers(200, "The run", runInfo),
});

const metrics = createRoute({
  method: "get",
  path: "/v1/runs/{id}/metrics",
  operationId: "listMetrics",
  summary: "Metrics of a run by step, then name",
  tags,
  request: { params, query: metricsQuery },
  responses: answers(200, "Metrics", runMetrics),
});

export function runRoutes(app: EdgeApp, edge: Edge): void {
  app.openapi(
    list,
    async (c) => c.json({ runs: await listRuns(storeOf(edge), c.req.valid("query").limit) }, 200),
  );

  app.openapi(show, async (c) => {
    const { id } = c.req.valid("param");
    requireOwnRun(c.var.principal, id);
    return c.json(await getRun(storeOf(edge), id), 200);
  });

  app.openapi(metrics, async (c) => {
    const { id } = c.req.valid("param");
    const store = storeOf(edge);
    await getRun(store, id);
    return c.json({ metrics: await readMetrics(store, id, c.req.valid("query").name) }, 200);
  });
}
