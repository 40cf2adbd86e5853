/**
 * What the JSON files of a run folder hold, checked when they are read: a file that a crash, a full
 * disk or a hand has damaged gives one sentence that names it.
 */
import { readFileSync } from "node:fs";
import { z } from "../deps.ts";
import { fileError, readJsonObject } from "../gpu-node/model/files.ts";
import { CollmError } from "../shared/errors.ts";
import { parse } from "../shared/wire/parse.ts";
import { type RunConfig, runConfig } from "./config_schema.ts";

const count = z.int().min(0);

/** Where a run can go on from. */
export const manifestFile = z.object({
  /** Batches learnt from. */
  iteration: count,
  joint_evaluations: count,
  /** Next item of the training split. */
  next_item: count,
  /** Completion-log cursor. */
  cursor: count,
  /** Rows of metrics.jsonl that belong to this state. */
  metrics_rows: count,
  /** Checkpoint folder of every model, relative to the run folder. */
  models: z.record(z.string(), z.string()),
});

export type Manifest = z.infer<typeof manifestFile>;

/** An evaluation with its episodes, as before.json keeps it. */
export const evaluationFile = z.object({
  played: z.array(z.object({
    item_id: z.string(),
    task: z.unknown(),
    return: z.number(),
    components: z.record(z.string(), z.number()),
    actions: z.array(z.record(z.string(), z.string())).min(1),
  })).min(1),
  return: z.object({
    mean: z.number(),
    ci95: z.tuple([z.number(), z.number()]).nullable(),
    n: z.int().min(1),
  }),
  iou_mean: z.number().nullable(),
  failed: count,
});

/** What a team's checkpoint plays. */
export const teamFile = z.object({
  environment: z.string(),
  options: z.record(z.string(), z.unknown()),
  agents: z.array(z.string()),
  max_tokens: z.int().min(1),
});

export type TeamFile = z.infer<typeof teamFile>;

/** The file as `schema` describes it. @throws CollmError naming the file and what is wrong */
export const readChecked = <S extends z.ZodType>(path: string, schema: S): z.output<S> =>
  parse(schema, readJsonObject(path), `'${path}'`);

/** config.json: complete, since a default in place of a lost section would be another run. */
export function readConfig(path: string): RunConfig {
  const given = readJsonObject(path);
  const lost = Object.keys(runConfig.shape).find((key) => !Object.hasOwn(given, key));
  if (lost === undefined) return parse(runConfig, given, `'${path}'`);
  throw new CollmError("invalid_request", `Cannot read '${path}': '${lost}' is missing`);
}

/** Objects of a JSON-lines file; a last line cut short by a crash is left out. */
export function readRows(path: string): Record<string, unknown>[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw fileError("read", path, cause);
  }
  return text.split("\n").slice(0, -1).map((line, i) => {
    const value = jsonOf(line);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
    throw new CollmError(
      "invalid_request",
      `Cannot read '${path}': line ${i + 1} holds no JSON object`,
    );
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
