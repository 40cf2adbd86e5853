/**
 * Hosted evaluations: what is asked, how far it is, what came out.
 * Leaves out the numbers' meaning: they are those of `deno task evaluate`.
 */
import { z } from "../../deps.ts";
import { environmentId, id, jsonObject, message } from "./fields.ts";

export const evaluationId = id("Id of an evaluation", "evaluation-1");

export const evaluationRequest = message({
  id: evaluationId.optional().openapi({
    description: "Chosen by the caller, so that a retry finds the evaluation; default: a new one",
  }),
  checkpoint: z.string().min(1).max(4096).openapi({
    description: "Checkpoint folder",
    example: "runs/first/checkpoints/final",
  }),
  environment: environmentId,
  options: jsonObject.optional().openapi({
    description: "Options of the environment that differ from the checkpoint's",
  }),
  split: z.string().default("eval").openapi({ example: "eval" }),
  episodes: z.int().min(2).max(100_000).default(64),
  samples: z.int().min(1).max(1000).optional().openapi({
    description: "Episodes of each item before the next (1), which pass@k is counted from",
  }),
  seed: z.int().min(0).max(2 ** 32 - 1).default(1),
  greedy: z.boolean().default(false),
}).openapi("EvaluationRequest");

export type EvaluationRequest = Omit<z.infer<typeof evaluationRequest>, "id">;

export const evaluation = z.object({
  id: evaluationId,
  status: z.enum(["queued", "running", "succeeded", "failed"]),
  progress: z.number().openapi({ description: "Fraction done, 0 to 1" }),
  request: jsonObject,
  result: jsonObject.nullable().openapi({ description: "The numbers, once it has succeeded" }),
  error: z.string().nullable().openapi({ description: "Why it failed, in one sentence" }),
  created_at: z.int().openapi({ description: "Milliseconds since 1970" }),
  updated_at: z.int(),
}).openapi("Evaluation");
