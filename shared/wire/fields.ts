/**
 * Fields that several messages share, and the one sentence in which a message that does not fit
 * its schema is refused. Leaves out the messages: one file per noun beside this one.
 */
import { z } from "../../deps.ts";
import { CollmError, suggest } from "../errors.ts";

/** A request object: unknown fields are refused with the nearest name. */
export function message<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? unknownField(String(issue.keys[0]), Object.keys(shape))
        : undefined,
  });
}

function unknownField(name: string, known: string[]): string {
  const short = name.slice(0, 60);
  return `unknown field '${short}', ${suggest(short, known)}`;
}

/** Ids are chosen by callers: 1 to 200 characters without control characters. */
export const id = (description: string, example: string) =>
  z.string().regex(
    // deno-lint-ignore no-control-regex -- control characters are what it refuses
    /^[^\u0000-\u001f\u007f]{1,200}$/,
    "it must be 1 to 200 printable characters",
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
export const taskInput = z.union([z.string(), jsonObject]).openapi({
  description: "Item id of any split, or the task itself",
  example: { word: "ICML", max_commands: 300 },
});

export const seed = z.int().openapi({ description: "Seed of every random choice", example: 1 });

/** A value per agent. */
export const perAgent = <Value extends z.ZodType>(value: Value) => z.record(z.string(), value);

export const texts = perAgent(z.string()).openapi({
  description: "Action text of every agent",
  example: { agent_1: "/setblock 0 0 0 black_concrete", agent_2: "" },
});

/**
 * Why a message was refused, in one sentence.
 * @param where What the fields are part of: `field`, `query parameter`, `path parameter`.
 */
export function refusal(error: z.ZodError, where = "field"): CollmError {
  const { path, message } = deepest(error.issues[0]!);
  const reason = message.slice(0, 1).toLowerCase() + message.slice(1);
  const name = path.map((key) => String(key).slice(0, 60)).join(".");
  return new CollmError(
    "invalid_request",
    name === "" ? `Cannot read request: ${reason}` : `Cannot read ${where} '${name}': ${reason}`,
  );
}

/** Of a union, the issue of the branch that fits best: the one that fails furthest inside. */
function deepest(issue: z.core.$ZodIssue): { path: PropertyKey[]; message: string } {
  if (issue.code !== "invalid_union") return issue;
  const [best] = issue.errors.flatMap(([first]) => first ? [deepest(first)] : [])
    .sort((a, b) => b.path.length - a.path.length);
  if (!best || best.path.length === 0 && issue.errors.length > 1 && isType(issue)) return issue;
  return { ...best, path: [...issue.path, ...best.path] };
}

/** Whether no branch of a union takes this kind of value at all. */
function isType(issue: z.core.$ZodIssueInvalidUnion): boolean {
  return issue.errors.every(([first]) => first?.code === "invalid_type" && !first.path.length);
}
