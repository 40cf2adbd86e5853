/**
 * Batch forms of step and score: a list of requests, answered by one line of JSON for each as it
 * is done. Leaves out the requests themselves (environments.ts).
 */
import { z } from "../../deps.ts";
import { scoreRequest, scoreResult, stepRequest, stepResult } from "./environments.ts";
import { MOST } from "./observations.ts";
import { listOf } from "./parse.ts";
import { problemSchema } from "./problem.ts";

/** Content type of answers that are one JSON object a line. */
export const NDJSON = "application/x-ndjson";

/** Checked one by one, so that a bad one fails itself only. */
export const anyList = listOf(z.unknown(), MOST, 1);

export const stepList = z.array(stepRequest).min(1).max(MOST).openapi("StepRequests");
export const scoreList = z.array(scoreRequest).min(1).max(MOST).openapi("ScoreRequests");

const line = <Result extends z.ZodType>(result: Result) =>
  z.union([
    z.object({ index: z.int().openapi({ description: "0-based place in the request" }), result }),
    z.object({ index: z.int(), error: problemSchema }),
  ]);

export const stepLine = line(stepResult).openapi("StepLine");
export const scoreLine = line(scoreResult).openapi("ScoreLine");
