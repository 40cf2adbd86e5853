/**
 * What a probe sees of an edge. Leaves out metrics.
 */
import { z } from "../../deps.ts";

export const health = z.object({
  status: z.literal("ok"),
  version: z.string().openapi({ example: "0.1.0" }),
  store: z.enum(["file", "remote"]).nullable().openapi({
    description: "Kind of the episode store; null: this edge has none",
  }),
  evaluations: z.boolean().openapi({ description: "Whether hosted evaluations run here" }),
}).openapi("Health");
