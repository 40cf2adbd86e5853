/**
 * Runs as an edge shows them: configuration, agents, metrics. Hosts read the sampling parameters
 * of their run here. Leaves out writing: the learner owns its run.
 */
import { z } from "../../deps.ts";
import { digits, environmentId, environmentOptions, jsonObject, message, runId } from "./fields.ts";

const fields = {
  id: runId,
  environment: environmentId,
  options: environmentOptions,
  config: jsonObject.openapi({ description: "The resolved configuration of the run" }),
  created_at: z.int().openapi({ description: "Milliseconds since 1970" }),
};

export const runInfo = z.object({
  ...fields,
  agents: z.array(z.object({
    name: z.string(),
    policy: z.string().openapi({ description: "Handle of the policy on the GPU node" }),
  })),
}).openapi("Run");

export type RunInfo = z.infer<typeof runInfo>;

export const runsQuery = message({
  limit: digits.pipe(z.int().min(1).max(1000)).default(50)
    .openapi({ type: "integer", minimum: 1, maximum: 1000, default: 50 }),
});

export const runList = z.object({ runs: z.array(z.object(fields)) }).openapi("RunList");

export const metricsQuery = message({ name: z.string().optional() });

export const runMetrics = z.object({
  metrics: z.array(z.object({
    step: z.int().openapi({ description: "Joint evaluations so far" }),
    name: z.string(),
    value: z.number(),
  })),
}).openapi("RunMetrics");

/** The part of a run's configuration that its hosts sample with. */
export const runSampling = z.object({
  rollout: z.object({
    temperature: z.number().min(0).optional(),
    max_tokens: z.int().min(1).optional(),
  }),
});
