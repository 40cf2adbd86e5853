/**
 * What one agent sees, as its host gets it: one view per episode. Leaves out what other agents
 * see, rewards of others and the state.
 */
import { z } from "../../deps.ts";
import { agentName, digits, episodeId, message, runId, seed } from "./fields.ts";

export const observation = z.object({
  turn: z.int().openapi({ description: "1-based turn", example: 1 }),
  text: z.string().openapi({ description: "Prompt as plain text" }),
  messages: z.array(z.object({
    role: z.enum(["system", "user", "assistant"]),
    content: z.string(),
  })).nullable().openapi({ description: "The same prompt for chat models, where there is one" }),
}).openapi("Observation");

export const agentView = z.object({
  episode_id: episodeId,
  agent: agentName,
  status: z.enum(["waiting", "acted", "finished", "failed"]).openapi({
    description: "waiting for this agent's action, acted and waiting for others, or ended",
  }),
  turn: z.int(),
  observation: observation.nullable().openapi({ description: "null once the episode has ended" }),
  seed: seed.openapi({ description: "What this agent samples with on this turn" }),
  cause: z.string().nullable().openapi({ description: "Why the episode failed" }),
}).openapi("AgentView");

/** Most views of one answer, and most actions of one post. */
export const MOST = 1024;

export const pendingQuery = message({
  run_id: runId.optional(),
  limit: digits.pipe(z.int().min(1).max(MOST)).default(64)
    .openapi({ type: "integer", minimum: 1, maximum: MOST, default: 64 }),
});

export const pendingViews = z.object({ observations: z.array(agentView) }).openapi("PendingViews");

export const streamQuery = message({ run_id: runId.optional() });

/** What the stream of an agent sends: look again with GET …/observations. */
export const waitingNotice = z.object({
  type: z.literal("waiting"),
  agent: agentName,
  episodes: z.array(episodeId).openapi({ description: "Episodes that newly wait for this agent" }),
}).openapi("WaitingNotice");

export type WaitingNotice = z.infer<typeof waitingNotice>;
