/**
 * Errors on the wire: RFC 9457 problem documents, made in this one place from whatever was
 * thrown, and read back into a CollmError by clients. Leaves out which errors there are
 * (errors.ts) and logging, but says what deserves it.
 */
import { HTTPException, z } from "../../deps.ts";
import { CollmError, type ErrorCode, STATUS } from "../errors.ts";

const CODES = Object.keys(STATUS) as [ErrorCode, ...ErrorCode[]];
export const PROBLEM_TYPE = "application/problem+json";

export const problemSchema = z.object({
  type: z.string().openapi({ example: "urn:collm:problem:not_found" }),
  title: z.string().openapi({ example: "Not found" }),
  status: z.int().openapi({ example: 404 }),
  detail: z.string().openapi({ example: "Cannot read episode 'e1': it does not exist" }),
  code: z.enum(CODES).openapi({ description: "Stable name of the error" }),
}).openapi("Problem");

export type Problem = z.infer<typeof problemSchema>;

const TITLES: Record<ErrorCode, string> = {
  invalid_request: "Invalid request",
  unauthorized: "Unauthorized",
  forbidden: "Forbidden",
  not_found: "Not found",
  method_not_allowed: "Method not allowed",
  conflict: "Conflict",
  payload_too_large: "Payload too large",
  too_many_requests: "Too many requests",
  internal: "Internal error",
  unavailable: "Unavailable",
  deadline: "Deadline passed",
};

/** The CollmError in what was thrown (the database driver wraps it), or what stands for it. */
export function toCollmError(thrown: unknown): CollmError {
  let at: unknown = thrown;
  for (let depth = 0; depth < 5 && at instanceof Error; depth++) {
    if (at instanceof CollmError) return at;
    if (at instanceof HTTPException) {
      const { status, message } = at;
      const code = CODES.find((code) => STATUS[code] === status) ?? "invalid_request";
      return new CollmError(status < 500 ? code : "internal", message || TITLES[code]);
    }
    at = at.cause;
  }
  // What went wrong may hold text that is not the caller's business: it goes to the log only.
  return new CollmError("internal", "Cannot answer: an unexpected error occurred", {
    cause: thrown,
  });
}

export function toProblem(thrown: unknown): Problem {
  const { code, status, message } = toCollmError(thrown);
  return { type: `urn:collm:problem:${code}`, title: TITLES[code], status, detail: message, code };
}

/** The answer to a request that failed. */
export function problemResponse(thrown: unknown): Response {
  const problem = toProblem(thrown);
  const headers: Record<string, string> = { "content-type": PROBLEM_TYPE };
  if (problem.code === "unauthorized") headers["www-authenticate"] = "Bearer";
  if (problem.code === "too_many_requests") headers["retry-after"] = "1";
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}

/**
 * The error that a server answered with: its code and sentence, or what its status says.
 * @param what Start of the sentence for answers that are no problem document.
 */
export function fromAnswer(status: number, body: string, what: string): CollmError {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    parsed = null;
  }
  const problem = problemSchema.safeParse(parsed);
  if (problem.success) return new CollmError(problem.data.code, problem.data.detail);
  const code = CODES.find((code) => STATUS[code] === status) ??
    (status >= 500 ? "unavailable" : "invalid_request");
  return new CollmError(code, `${what}: the server answered ${status}`);
}
