/**
 * One text per JSON value (keys sorted), and its hash: two payloads are the same when their
 * hashes are. Leaves out everything JSON leaves out.
 */
import { createHash } from "node:crypto";

/** JSON text with the keys of every object in code unit order. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(sorted(value));
}

const nested = (value: unknown) => value !== null && typeof value === "object";

function sorted(value: unknown): unknown {
  if (!nested(value)) return value;
  // Token ids and logprobs are long and flat: nothing in them to sort.
  if (Array.isArray(value)) return value.some(nested) ? value.map(sorted) : value;
  const object = value as Record<string, unknown>;
  const copy: Record<string, unknown> = Object.create(null);
  for (const key of Object.keys(object).sort()) copy[key] = sorted(object[key]);
  return copy;
}

/** SHA-256 of a JSON value, in hexadecimal. */
export function hashOf(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}
