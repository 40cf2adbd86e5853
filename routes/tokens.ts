/**
 * Tokens for agent hosts, made by whoever holds the learner's token.
 * Leaves out taking one back: change the secret for that.
 */
import { createRoute } from "../deps.ts";
import { tokenAnswer, tokenRequest } from "../shared/wire/tokens.ts";
import { agentToken } from "./auth.ts";
import { answers, body, type Edge, type EdgeApp } from "./edge.ts";

const issue = createRoute({
  method: "post",
  path: "/v1/tokens",
  operationId: "issueToken",
  summary: "A token that opens one agent's observations and actions only",
  tags: ["tokens"],
  request: { body: body(tokenRequest) },
  responses: answers(201, "The token", tokenAnswer),
});

export function tokenRoutes(app: EdgeApp, edge: Edge): void {
  app.openapi(issue, (c) => c.json({ token: agentToken(edge, c.req.valid("json")) }, 201));
}
