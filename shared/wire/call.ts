/**
 * One JSON call to a server of ours: deadline, bearer token, bounded retries when the connection
 * fails. Only for calls that may be repeated: pure ones, and writes that carry their key.
 */
import { CollmError } from "../errors.ts";
import { fromAnswer } from "./problem.ts";

export interface CallOptions {
  token?: string | undefined;
  /** Milliseconds that one attempt may take. */
  timeoutMs?: number;
  /** Further attempts after a failed connection or a full queue. */
  retries?: number;
  /** Gives the call up; it then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** Pause before attempt k + 1, in milliseconds. */
export const pauseMs = (attempt: number): number => Math.min(2000, 100 * 2 ** attempt);

/**
 * What `read` makes of the response, whatever its status. `init` makes the request of one attempt,
 * since the stream of a body serves once. Throws unavailable when the server cannot be reached in
 * `retries` + 1 attempts, or does not answer in time (which is not tried again). A server that has
 * too much to do (429) is asked again when it says.
 */
export async function callServer<T>(
  url: string,
  init: () => RequestInit | Promise<RequestInit>,
  options: CallOptions,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  const { token, timeoutMs = 600_000, retries = 4, signal: given } = options;
  for (let attempt = 0;; attempt++) {
    const request = await init();
    const headers = new Headers(request.headers);
    if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
    // The server drops what nobody waits for any more.
    headers.set("request-timeout", String(timeoutMs / 1000));
    let wait = pauseMs(attempt);
    try {
      const timeout = AbortSignal.timeout(timeoutMs);
      const signal = given ? AbortSignal.any([given, timeout]) : timeout;
      const response = await fetch(url, { ...request, headers, signal });
      if (response.status !== 429 || attempt >= retries) return await read(response);
      await response.body?.cancel();
      wait = 1000 * Math.min(60, Number(response.headers.get("retry-after")) || 1);
    } catch (cause) {
      if (given?.aborted) throw given.reason;
      if (cause instanceof CollmError) throw cause;
      if (cause instanceof DOMException && cause.name === "TimeoutError") {
        throw new CollmError("unavailable", `Cannot call ${url}: no answer in ${timeoutMs} ms`, {
          cause,
        });
      }
      if (attempt >= retries) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new CollmError("unavailable", `Cannot reach ${url}: ${reason}`, { cause });
      }
    }
    await new Promise((resume) => setTimeout(resume, wait));
  }
}

/** JSON answer to a JSON call; a refusal is thrown as the CollmError that the server had. */
export function callJson(
  method: string,
  url: string,
  body: unknown,
  options: CallOptions,
): Promise<unknown> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "content-type": "application/json" };
  }
  return callServer(url, () => init, options, async (response) => {
    const text = await response.text();
    if (!response.ok) throw fromAnswer(response.status, text, `Cannot call ${url}`);
    try {
      return text === "" ? null : JSON.parse(text);
    } catch (cause) {
      throw new CollmError("unavailable", `Cannot call ${url}: its answer is not JSON`, { cause });
    }
  });
}
