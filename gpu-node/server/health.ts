/**
 * What a probe and Prometheus see. A busy device is no ill one: when it does not answer in a
 * second, what it last said is told.
 */
import { requireBearer } from "../../shared/wire/bearer.ts";
import { gpuHealth } from "../../shared/wire/gpu.ts";
import { answers } from "../../shared/wire/openapi.ts";
import type { NodeHealth } from "../verbs.ts";
import type { GpuHono, GpuServer } from "./server.ts";

/** How long `/health` waits for a busy worker, in milliseconds. */
const HEALTH_WAIT = 1000;

export function healthRoutes(app: GpuHono, server: GpuServer, draining: () => boolean): void {
  const { policies, metrics, token } = server;
  let known: NodeHealth | undefined;

  app.openAPIRegistry.registerPath({
    method: "get",
    path: "/health",
    operationId: "getHealth",
    summary: "Whether this server can work, and on what",
    tags: ["health"],
    security: [],
    responses: answers(200, "It can", gpuHealth),
  });
  app.get("/health", async (c) => {
    const asked = policies.node.health().then((health) => known = health);
    const free = await answersWithin(asked, HEALTH_WAIT);
    const status = draining() ? "draining" : free ? "ok" : "busy";
    return c.json({ status, ...known, policies: policies.names(), waiting: server.waiting() });
  });

  app.openAPIRegistry.registerPath({
    method: "get",
    path: "/metrics",
    operationId: "getMetrics",
    summary: "Metrics in Prometheus' text form",
    tags: ["health"],
    responses: {
      200: {
        description: "Metrics",
        content: { "text/plain": { schema: { type: "string" } } },
      },
    },
  });
  app.get("/metrics", async (c) => {
    if (token) requireBearer(c.req.raw.headers, token);
    return c.body(await metrics.text(), 200, { "content-type": metrics.contentType });
  });
}

async function answersWithin(answer: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => timer = setTimeout(() => resolve(false), ms));
  try {
    return await Promise.race([answer.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
