/**
 * Hosted evaluations: queue one, look how far it is. One plays at a time, in the order they came.
 * Leaves out the playing: the runner is injected.
 */
import { createRoute, z } from "../deps.ts";
import { CollmError, suggest } from "../shared/errors.ts";
import { createEvaluation, getEvaluation } from "../shared/store/evaluations.ts";
import { evaluation, evaluationId, evaluationRequest } from "../shared/wire/evaluations.ts";
import { answers, body, type Edge, type EdgeApp, storeOf } from "./edge.ts";
import { createQueue } from "./evaluation_queue.ts";

const params = z.object({ id: evaluationId });
const tags = ["evaluations"];

const create = createRoute({
  method: "post",
  path: "/v1/evaluations",
  operationId: "createEvaluation",
  summary: "Evaluate a checkpoint",
  tags,
  request: { body: body(evaluationRequest) },
  responses: answers(202, "The evaluation is queued", evaluation),
});

const show = createRoute({
  method: "get",
  path: "/v1/evaluations/{id}",
  operationId: "getEvaluation",
  summary: "Progress of an evaluation, then its numbers",
  tags,
  request: { params },
  responses: answers(200, "The evaluation", evaluation),
});

export function evaluationRoutes(app: EdgeApp, edge: Edge): void {
  const { store, evaluate, createEnvironment } = edge;
  const queue = store && evaluate ? createQueue(store, evaluate, edge.log) : null;

  app.openapi(create, async (c) => {
    const { id = crypto.randomUUID(), ...request } = c.req.valid("json");
    const kept = storeOf(edge);
    if (!queue) {
      throw new CollmError(
        "unavailable",
        `Cannot evaluate checkpoint '${request.checkpoint}': this edge runs without a disk to read it from`,
      );
    }
    const splits = createEnvironment(request.environment, request.options ?? {}).splits().map((
      { name },
    ) => name);
    if (!splits.includes(request.split)) {
      throw new CollmError(
        "not_found",
        `Cannot evaluate on split '${request.split.slice(0, 60)}' of '${request.environment}': ` +
          suggest(request.split.slice(0, 60), splits),
      );
    }
    const row = await createEvaluation(kept, id, request);
    if (row.status === "queued") queue.add(id, request);
    return c.json(row, 202);
  });

  app.openapi(show, async (c) => {
    return c.json(await getEvaluation(storeOf(edge), c.req.valid("param").id), 200);
  });
}
