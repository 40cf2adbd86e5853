/**
 * Whether this edge can work: it answers, and so does its database.
 * Leaves out the GPU node: it has a health of its own.
 */
import { createRoute } from "../deps.ts";
import { CollmError } from "../shared/errors.ts";
import { health } from "../shared/wire/health.ts";
import { answers, type Edge, type EdgeApp } from "./edge.ts";

const check = createRoute({
  method: "get",
  path: "/health",
  operationId: "getHealth",
  summary: "Whether this edge can work",
  tags: ["health"],
  security: [],
  responses: answers(200, "It can", health),
});

export function healthRoutes(app: EdgeApp, { store, version, evaluate }: Edge): void {
  app.openapi(check, async (c) => {
    try {
      await store?.client.execute("select 1");
    } catch (cause) {
      throw new CollmError("unavailable", "Cannot use database: it does not answer", { cause });
    }
    return c.json({
      status: "ok" as const,
      version,
      store: store ? (store.remote ? "remote" as const : "file" as const) : null,
      evaluations: evaluate !== null,
    }, 200);
  });
}
