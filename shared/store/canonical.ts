/**
 * One text per JSON value (keys sorted), and its hash: two payloads are the same when their
 * hashes are. Leaves out everything JSON leaves out.
 */
import { createHash } from "node:crypto";

/** JSON text with the keys of every object in code unit order. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner) => {
    if (inner === null || typeof inner !== "object" || Array.isArray(inner)) return inner;
    const sorted: Record<string, unknown> = Object.create(null);
    for (const key of Object.keys(inner).sort()) sorted[key] = inner[key];
    return sorted;
  });
}

/** SHA-256 of a JSON value, in hexadecimal. */
export function hashOf(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}
