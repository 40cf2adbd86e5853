/**
 * Fields that several messages share. Long lists and maps are one rule each, so that a long list
 * of wrong entries is one complaint. Leaves out the messages: one file per noun beside this one.
 */
import { z } from "../../deps.ts";
import { suggest } from "../errors.ts";

/** A request object: unknown fields are refused with the nearest name. */
export function message<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? suggest(issue.keys[0]!.slice(0, 60), Object.keys(shape))
        : undefined,
  });
}

/** Ids are chosen by callers: 1 to 255 characters without control characters. */
export const id = (description: string, example: string) =>
  z.string().regex(
    // deno-lint-ignore no-control-regex -- control characters are what it refuses
    /^[^\u0000-\u001f\u007f]{1,255}$/,
    "1 to 255 printable characters",
  ).openapi({ description, example });

export const jsonObject = z.record(z.string(), z.unknown());

export const agentName = id("Name of an agent", "agent_1");
export const environmentId = id("Name of an environment", "str_build");
export const episodeId = id("Id of an episode", "e1");
export const runId = id("Id of a run", "run-1");

export const environmentOptions = jsonObject.openapi({
  description: "Options of the environment; it checks them itself",
  example: { turns: 1 },
});

/** An item of a split by id, or a task given by value. */
export const taskInput = z.union([z.string(), jsonObject], {
  error: "the id of an item or a task",
}).openapi({
  description: "Item id of any split, or the task itself",
  example: { word: "ICML", max_commands: 300 },
});

export const seed = z.int().openapi({ description: "Seed of every random choice", example: 1 });

/** A number of a query, of digits alone: what else `Number` reads is more often a slip than meant. */
export const digits = z.string().regex(/^\d{1,16}$/, "a whole number in digits").transform(Number);

/** A value per agent. */
export const perAgent = <Value extends z.ZodType>(value: Value) => z.record(z.string(), value);

/** A text per agent; of several that are none the first is told. */
export const texts = z.custom<Record<string, string>>().superRefine((value: unknown, context) => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const message = "an object with a text per agent";
    return context.addIssue({ code: "custom", message, input: value });
  }
  const wrong = Object.entries(value).find(([, text]) => typeof text !== "string");
  if (!wrong) return;
  const [agent, input] = wrong;
  context.addIssue({ code: "invalid_type", expected: "string", path: [agent], input });
}).openapi({ type: "object", additionalProperties: { type: "string" } });

const integers = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((entry) => Number.isSafeInteger(entry));

export const tokenIds = z.custom<number[]>(
  (value) => integers(value) && value.every((id) => id >= 0),
  { error: "a list of token ids" },
).openapi({ type: "array", items: { type: "integer", minimum: 0 } });

export const seeds = z.custom<number[]>(integers, { error: "a list of integers" })
  .openapi({ type: "array", items: { type: "integer" } });

export const numbers = z.custom<number[]>(
  (value) => Array.isArray(value) && value.every((entry) => typeof entry === "number"),
  { error: "a list of numbers" },
).openapi({ type: "array", items: { type: "number" } });
