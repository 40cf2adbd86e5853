/**
 * Bearer tokens: reading one from a request and comparing secrets in constant time. What a token
 * opens is the matter of whoever asks.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { CollmError } from "../errors.ts";

/** Whether two secrets are equal, in a time that tells nothing about where they differ. */
export function sameSecret(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** The token of `Authorization: Bearer …`, or null. */
export function bearerOf(headers: Headers): string | null {
  const header = headers.get("authorization") ?? "";
  return header.slice(0, 7).toLowerCase() === "bearer " ? header.slice(7).trim() : null;
}

/** Throws unauthorized unless the request carries `token`. */
export function requireBearer(headers: Headers, token: string): void {
  const given = bearerOf(headers);
  if (given !== null && sameSecret(given, token)) return;
  throw new CollmError(
    "unauthorized",
    `Cannot answer this request: its bearer token is ${given === null ? "missing" : "wrong"}`,
  );
}
