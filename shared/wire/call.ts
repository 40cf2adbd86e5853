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
  /** Further attempts after a failed connection. */
  retries?: number;
}

/** Pause before attempt k + 1, in milliseconds. */
const pause = (attempt: number): number => Math.min(2000, 100 * 2 ** attempt);

/**
 * What `read` makes of the response, whatever its status. `init` makes the request of one attempt,
 * since the stream of a body serves once. Throws unavailable when the server cannot be reached in
 * `retries` + 1 attempts, or does not answer in time (which is not tried again).
 */
export async function callServer<T>(
  url: string,
  init: () => RequestInit | Promise<RequestInit>,
  options: CallOptions,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  const { token, timeoutMs = 600_000, retries = 4 } = options;
  for (let attempt = 0;; attempt++) {
    const request = await init();
    const headers = new Headers(request.headers);
    if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      return await read(await fetch(url, { ...request, headers, signal }));
    } catch (cause) {
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
    await new Promise((resume) => setTimeout(resume, pause(attempt)));
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
