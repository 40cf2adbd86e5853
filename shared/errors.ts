/**
 * One error type and one table: stable code to HTTP status (RFC 9457 problem types).
 * Grammar of messages: sentence case, no full stop, what cannot be done, which argument, its
 * current value. Thrown inside, converted once at the edge.
 */

/** Stable error codes and the HTTP status each is answered with. */
export const STATUS = {
  invalid_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  payload_too_large: 413,
  too_many_requests: 429,
  internal: 500,
  unavailable: 503,
  deadline: 504,
} as const;

export type ErrorCode = keyof typeof STATUS;

/** An error a caller can act on: one clear sentence and a stable code. */
export class CollmError extends Error {
  constructor(readonly code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CollmError";
  }

  /** HTTP status of this error's code. */
  get status(): (typeof STATUS)[ErrorCode] {
    return STATUS[this.code];
  }
}

/** Nearest of `names` to `name` by edit distance, or `undefined` when none is close. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 2)) + 1;
  for (const candidate of names) {
    const distance = editDistance(name, candidate);
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/** "did you mean 'x'?" tail of a message, or "known names: …" when nothing is near. */
export function suggest(name: string, names: readonly string[]): string {
  const near = nearest(name, names);
  return near ? `did you mean '${near}'?` : `known: ${names.join(", ")}`;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
