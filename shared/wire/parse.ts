/**
 * Untrusted JSON to typed messages: a zod schema's first complaint as one clear sentence with the
 * field, its value and, for an unknown field, the nearest known one. Work is bounded: a long list
 * of wrong entries is one complaint.
 */
import { z } from "../../deps.ts";
import { CollmError, type ErrorCode, suggest } from "../errors.ts";
import { parseJson, requireJson } from "./body.ts";

export type Issue = z.core.$ZodIssue;

/** `value` as `schema` describes it; throws CollmError naming the first wrong field. */
export function parse<S extends z.ZodType>(
  schema: S,
  value: unknown,
  what: string,
  code: ErrorCode = "invalid_request",
): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new CollmError(
    code,
    `Cannot read ${what}: ${complaint(result.error, value, schema)}`,
  );
}

/** Body of a request as JSON of this schema. */
export async function readBody<S extends z.ZodType>(
  request: { text(): Promise<string>; header(name: string): string | undefined },
  schema: S,
  what: string,
): Promise<z.output<S>> {
  requireJson(request.header("content-type"));
  const text = await request.text().catch((cause) => {
    if (cause instanceof CollmError) throw cause;
    // A client that went away: nobody reads this, but it is no error of ours.
    throw new CollmError("invalid_request", `Cannot read ${what}: its body ended early`, { cause });
  });
  return parse(schema, parseJson(text, what), what);
}

/** A list whose length is checked before its entries are looked at. */
export const listOf = <S extends z.ZodType>(entry: S, most: number, least = 0) =>
  z.preprocess((value, context) => {
    if (Array.isArray(value) && value.length > most) {
      context.issues.push({ code: "too_big", origin: "array", maximum: most, input: value });
    }
    return value;
  }, z.array(entry).min(least).max(most));

/**
 * What is wrong with `value`, a misspelt field before a missing one. Known names come from
 * `schema`, or from a schema that tells them itself (`message` in fields.ts).
 */
export function complaint(error: z.ZodError, value: unknown, schema?: z.ZodType): string {
  const issues = error.issues.map(deepest);
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0]!;
  if (issue.code === "unrecognized_keys") {
    const name = issue.keys[0]!.slice(0, 60);
    const place = issue.path.length ? ` of '${pathText(issue.path)}'` : "";
    const names = schema ? keysAt(schema, issue.path) : [];
    const told = issue.message.startsWith("Unrecognized") ? "" : issue.message;
    const hint = names.length ? suggest(name, names) : told;
    return `unknown field '${name}'${place}${hint && `, ${hint}`}`;
  }
  const field = issue.path.length ? `'${pathText(issue.path)}'` : "the body";
  return `${field} is ${brief(valueAt(value, issue.path))}, expected ${expectation(issue)}`;
}

/** Of a union, the issue of the branch that fits best: one that fails further inside. */
export function deepest(issue: Issue): Issue {
  if (issue.code !== "invalid_union") return issue;
  const rank = ({ code, path }: Issue) => code === "unrecognized_keys" ? Infinity : path.length;
  let best: Issue | undefined;
  for (const inner of issue.errors.flat().map(deepest)) {
    // A branch for another kind of value altogether says nothing.
    if (inner.path.length === 0 && inner.code === "invalid_type") continue;
    if (!best || rank(inner) > rank(best)) best = inner;
  }
  return best ? { ...best, path: [...issue.path, ...best.path] } : issue;
}

/** What a schema expected, as the end of a sentence. */
export function expectation(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return {
        int: "a whole number",
        array: "a list",
        record: "an object",
      }[issue.expected as string] ??
        `${/^[aeiou]/.test(issue.expected) ? "an" : "a"} ${issue.expected}`;
    case "invalid_value":
      // A schema that says why has its own message.
      return issue.message.startsWith("Invalid ")
        ? issue.values.map((v) => JSON.stringify(v)).join(" or ")
        : issue.message;
    case "too_small":
      return `${issue.inclusive === false ? "more than" : "at least"} ${issue.minimum}${
        unit(issue.origin)
      }`;
    case "too_big":
      return `${issue.inclusive === false ? "less than" : "at most"} ${issue.maximum}${
        unit(issue.origin)
      }`;
    default:
      // Schemas with a rule of their own say what they expect.
      return issue.message.replace(/^Invalid input$/, "another kind of value");
  }
}

const unit = (origin: string): string =>
  origin === "array" ? " entries" : origin === "string" ? " characters" : "";

/** A path as it is written in code: `a.b[0]`. */
export const pathText = (path: readonly PropertyKey[]): string =>
  path.map((key, i) => typeof key === "number" ? `[${key}]` : `${i ? "." : ""}${String(key)}`)
    .join("").slice(0, 120);

/** Field names that the object schema at `path` knows; empty where it cannot be told. */
export function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let at: unknown = schema;
  for (const key of path) {
    at = unwrap(at);
    if (at instanceof z.ZodObject) at = at.shape[String(key)];
    else if (at instanceof z.ZodArray) at = at.element;
    else return [];
  }
  at = unwrap(at);
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

function unwrap(schema: unknown): unknown {
  if (schema instanceof z.ZodPipe) return unwrap(schema.out);
  if (
    schema instanceof z.ZodOptional || schema instanceof z.ZodExactOptional ||
    schema instanceof z.ZodDefault || schema instanceof z.ZodNullable
  ) return unwrap(schema.unwrap());
  return schema;
}

/** What is at `path` in `value`. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  // A path leads on into a text where a query holds JSON.
  const inside = (at: unknown) =>
    (typeof at === "string" ? JSON.parse(at) : at) as Record<PropertyKey, unknown> | undefined;
  return path.reduce((at, key) => inside(at)?.[key], value);
}

function brief(value: unknown): string {
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value !== "string") return String(value);
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
}
