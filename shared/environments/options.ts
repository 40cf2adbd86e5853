/**
 * Checking of what callers hand to environments: options and inline tasks. One place, so that
 * every environment refuses the same way: unknown keys with the nearest name, bad values with
 * the value that was given. Leaves out which options there are.
 */
import { z } from "../../deps.ts";
import { CollmError, suggest } from "../errors.ts";
import { deepest, expectation, type Issue, keysAt, pathText, valueAt } from "../wire/parse.ts";

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
  const place = (path: readonly PropertyKey[]) => `${noun} '${pathText(path)}'`;
  const hidden = hiddenKey(input);
  if (hidden) throw new CollmError("invalid_request", `${what}: unknown ${place(hidden)}`);
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const first = result.error.issues[0]!;
  const issue = isUsual(first) ? deepest(first) : first;
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!.slice(0, 60);
    const hint = suggest(key, keysAt(schema, issue.path));
    throw new CollmError(
      "invalid_request",
      `${what}: unknown ${place([...issue.path, key])}, ${hint}`,
    );
  }
  const value = valueAt(input, issue.path);
  const reason = value === undefined ? "it is missing" : reasonOf(issue);
  throw new CollmError(
    "invalid_request",
    `${what}: ${place(issue.path)} is ${show(value)}: ${reason}`,
  );
}

/** A schema's own words where it has some, else what it expects. */
function reasonOf(issue: Issue): string {
  if (issue.code === "invalid_key") return lowerFirst(issue.issues[0]?.message ?? issue.message);
  return isUsual(issue) ? `expected ${expectation(issue)}` : lowerFirst(issue.message);
}

const isUsual = ({ message }: Issue) => /^(Invalid|Too (small|big)|Unrecognized)\b/.test(message);

/** Path of a key that a schema would drop without a word. */
function hiddenKey(value: unknown): string[] | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (Object.hasOwn(value, "__proto__")) return ["__proto__"];
  for (const [key, inner] of Object.entries(value)) {
    const found = hiddenKey(inner);
    if (found) return [key, ...found];
  }
  return undefined;
}

/** A value as JSON, short enough for one sentence. */
export function show(value: unknown): string {
  const text = jsonText(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Nothing for what is no JSON, which a sentence must be able to name too. */
function jsonText(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
