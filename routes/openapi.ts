/**
 * The OpenAPI document, made from the very schemas that the handlers check with.
 */
import type { Edge, EdgeApp } from "./edge.ts";

/** Serves `/openapi.json`; call it after all routes are there. */
export function openapiRoute(app: EdgeApp, { version, token }: Edge): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description: "Token of the learner, or of one agent for its observations and actions",
  });
  app.doc31("/openapi.json", {
    openapi: "3.1.0",
    info: {
      title: "collm edge",
      version,
      description: "Environments, episodes and evaluations of teams of LLM agents",
    },
    ...(token === undefined ? {} : { security: [{ bearer: [] }] }),
  });
}
