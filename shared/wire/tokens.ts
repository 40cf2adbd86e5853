/**
 * Tokens for agent hosts: what a token opens, and how one is asked for.
 * Leaves out signing (routes/).
 */
import { z } from "../../deps.ts";
import { agentName, episodeId, message, runId } from "./fields.ts";

export const tokenRequest = message({
  agent: agentName,
  run_id: runId.nullable().default(null),
  episode_id: episodeId.nullable().default(null),
}).openapi("TokenRequest", {
  description: "The token opens this agent's observations and actions: of one episode, of one " +
    "run, or of all runs when neither is named",
});

export const tokenAnswer = z.object({ token: z.string() }).openapi("TokenAnswer");
