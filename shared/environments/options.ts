/**
 * Checking of what callers hand to environments: options and inline tasks. One place, so that
 * every environment refuses the same way: unknown keys with the nearest name, bad values with
 * the value that was given. Leaves out which options there are.
 */
import { z } from "../../deps.ts";
import { CollmError, suggest } from "../errors.ts";

/**
 * `input` with the defaults of `schema` filled in.
 * @param what Start of the error sentence, such as `Cannot create environment 'str_build'`.
 * @param noun What one key is called, such as `option`.
 * @throws CollmError `invalid_request` for an unknown key or a value the schema refuses.
 */
export function readFields<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  input: unknown,
  what: string,
  noun: string,
): z.output<z.ZodObject<Shape>> {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw new CollmError(
      "invalid_request",
      `${what}: ${noun}s must be an object, not ${show(input)}`,
    );
  }
  const known = Object.keys(schema.shape);
  for (const key of Object.keys(input)) {
    if (!known.includes(key)) {
      throw new CollmError(
        "invalid_request",
        `${what}: unknown ${noun} '${key.slice(0, 60)}', ${suggest(key.slice(0, 60), known)}`,
      );
    }
  }
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const key = String(issue.path[0] ?? "");
  const value = (input as Record<string, unknown>)[key];
  const reason = value === undefined ? "it is missing" : lowerFirst(issue.message);
  throw new CollmError("invalid_request", `${what}: ${noun} '${key}' is ${show(value)}: ${reason}`);
}

/** A value as JSON, short enough for one sentence. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
