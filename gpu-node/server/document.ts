/** The OpenAPI document, made from the very schemas that the handlers check with. */
import type { GpuHono, GpuServer } from "./server.ts";

/**
 * Serves `/openapi.json`, to anybody: it tells nothing of what is served. Call it
 * after all routes are there.
 */
export function documentRoute(app: GpuHono, { version, token }: GpuServer): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
  });
  app.doc31("/openapi.json", {
    openapi: "3.1.0",
    info: {
      title: "collm GPU node",
      version,
      description: "Policies and critics: sample, score, values, update. Every request may carry " +
        "the header `request-timeout`, in seconds: past it the answer is 504 and the work is " +
        "dropped. A full queue answers 429 with Retry-After.",
    },
    ...(token === undefined ? {} : { security: [{ bearer: [] }] }),
  });
}
