/**
 * `--set path=value`: true/false/none/null in any case, else a literal as Python writes it
 * (literal.ts), else the trimmed text itself. Leaves out which paths exist (config.ts).
 */
import { CollmError } from "../shared/errors.ts";
import { parseValue } from "./literal.ts";

export type JsonObject = Record<string, unknown>;

/** Overrides as one nested object, later ones over earlier ones. */
export function parseOverrides(overrides: readonly string[]): JsonObject {
  return overrides.map(parseOverride).reduce(merge, {});
}

/** `over` laid over `under`: objects are merged key by key, anything else is replaced. */
export function merge(under: JsonObject, over: JsonObject): JsonObject {
  // Entries instead of assignment: a key named __proto__ stays an ordinary key.
  const merged = new Map(Object.entries(under));
  for (const [key, value] of Object.entries(over)) {
    const below = merged.get(key);
    merged.set(key, isObject(below) && isObject(value) ? merge(below, value) : value);
  }
  return Object.fromEntries(merged);
}

/** Whether a JSON value is an object with keys. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** One override as a nested object. @throws CollmError `invalid_request` for text that is none */
export function parseOverride(override: string): JsonObject {
  const at = override.indexOf("=");
  const path = override.slice(0, Math.max(0, at)).split(".").map((name) => name.trim());
  if (path.some((name) => name === "")) {
    throw new CollmError(
      "invalid_request",
      `Cannot read override '${override.slice(0, 80)}': it must look like path.to.key=value`,
    );
  }
  const value: unknown = parseValue(override.slice(at + 1));
  return path.reduceRight(
    (inner, name) => Object.fromEntries([[name, inner]]),
    value,
  ) as JsonObject;
}
