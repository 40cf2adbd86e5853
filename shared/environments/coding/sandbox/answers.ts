/**
 * What the two processes of a lane may answer, checked: a program can write any line in its
 * harness's place, so nothing of the player's is passed on that has another form.
 */
import type { PythonError } from "./program.ts";

/** Call of a program's function: index of its test, name, packed arguments. */
export type Call = [test: number, name: string, packed: string];

/** How loading went. */
export interface Loaded {
  error: PythonError | null;
  /** Whether the error is one of syntax. */
  syntax: boolean;
  late: boolean;
}

/** What a call led to: a packed value, an exception, or a reason for neither. */
export interface Outcome {
  v?: string;
  /** Packed arguments, where the call changed them. */
  after?: string;
  /** Why a value could not cross. */
  o?: string;
  /** Names of an exception's classes, nearest first. */
  x?: string[];
  error?: PythonError;
  late?: true;
}

/** The judge's plan: calls known ahead, whether more may come, whether its memory stays clean. */
export interface Plan {
  ahead: Call[];
  live: boolean;
  plain: boolean;
}

/** The judge's word on one test. */
export interface TestLine {
  ok: boolean;
  late: boolean;
  error: PythonError | null;
}

type Fields = Record<string, unknown>;

function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Fields
    : undefined;
}

function readError(value: unknown): PythonError | undefined {
  const { type, message, line } = fieldsOf(value) ?? {};
  if (typeof type !== "string" || typeof message !== "string") return undefined;
  const at = typeof line === "number" ? line : null;
  return { type: type.slice(0, 100), message: message.slice(0, 500), line: at };
}

export function readLoaded(value: unknown): Loaded | undefined {
  const fields = fieldsOf(value);
  if (typeof fields?.["syntax"] !== "boolean" || typeof fields["late"] !== "boolean") {
    return undefined;
  }
  const { syntax, late } = fields as { syntax: boolean; late: boolean };
  const error = fields["error"] === null ? null : readError(fields["error"]);
  return error === undefined ? undefined : { error, syntax, late };
}

export function readOutcome(value: unknown): Outcome | undefined {
  const fields = fieldsOf(value);
  if (!fields) return undefined;
  const { v, after, o, x, late } = fields;
  if (late === true) return { late };
  if (typeof o === "string") return { o };
  if (typeof v === "string") return typeof after === "string" ? { v, after } : { v };
  const error = readError(fields["error"]);
  if (!error || !Array.isArray(x)) return undefined;
  return { x: x.filter((name) => typeof name === "string").slice(0, 20), error };
}

function readCall(value: unknown): Call | undefined {
  const [test, name, packed] = Array.isArray(value) ? value : [];
  const right = typeof test === "number" && typeof name === "string" && typeof packed === "string";
  return right ? [test, name, packed] : undefined;
}

export function readPlan(value: unknown): Plan | undefined {
  const fields = fieldsOf(value);
  const ahead = Array.isArray(fields?.["ahead"]) ? fields["ahead"].map(readCall) : [undefined];
  if (ahead.includes(undefined)) return undefined;
  return {
    ahead: ahead as Call[],
    live: fields?.["live"] !== false,
    plain: fields?.["plain"] === true,
  };
}

/** The word on a test, or a call that a test needs. */
export function readJudged(value: unknown): TestLine | Call | undefined {
  const fields = fieldsOf(value);
  if (!fields) return undefined;
  if ("call" in fields) return readCall(fields["call"]);
  const { ok, late } = fields;
  const error = ok === true ? null : readError(fields["error"]);
  return error === undefined ? undefined : { ok: ok === true, late: late === true, error };
}

/** Takes any object. */
export function readObject<T extends object>(value: unknown): T | undefined {
  return fieldsOf(value) as T | undefined;
}
