/**
 * Column kinds shared by all tables. Free text (prompts, completions) is stored as JSON: the
 * driver cuts plain strings at a NUL, and JSON also keeps lone surrogates exactly.
 */
import { integer, text } from "../../../deps.ts";

/** Any JSON object. */
export type JsonObject = Record<string, unknown>;

/** A JSON value, written and read through `JSON`. */
export const json = <T>() => text({ mode: "json" }).$type<T>();

/** Milliseconds since 1970. */
export const time = () => integer({ mode: "number" });
