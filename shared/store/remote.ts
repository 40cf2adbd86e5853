/**
 * A database on a libSQL server, over fetch or WebSocket: no FFI, no disk. Every call has a time
 * limit and is tried again on errors that pass; all writes of the store have keys, so a write
 * that did arrive is not done twice. Leaves out pragmas: a server refuses them.
 */
import { type LibsqlClient, loadLibsqlWeb } from "../../deps.ts";
import { CollmError } from "../errors.ts";
import { faultOf, guarded } from "./guarded.ts";
import { limit } from "./limit.ts";

export interface RemoteOptions {
  /** Token of the server, when it asks for one. */
  auth_token?: string;
  /** Time limit of one try in milliseconds (default 15 000: a server may queue for 10 s). */
  timeout_ms?: number;
  /** Tries after the first (default 6, over about 3 s). */
  retries?: number;
}

/** A server at its defaults can wedge under 8 or more concurrent callers. */
const CONCURRENT_CALLS = 4;
const PASSING_CODES =
  /^(SQLITE_BUSY|SQLITE_LOCKED|STREAM_EXPIRED|TRANSACTION_TIMEOUT|TRANSACTION_CLOSED|HRANA_.*)$/;
const PASSING_NAMES = /^(TimeoutError|AbortError|ConnectionReset|ConnectionRefused|BrokenPipe)$/;
const PASSING_MESSAGES =
  /HTTP status (429|502|503|504)|no transaction is active|fetch failed|sending request|connection (closed|reset|refused|error)|reading a body/i;

/** Whether the same call may succeed a little later. */
export function passes(error: unknown): boolean {
  const { code, message } = faultOf(error);
  return PASSING_CODES.test(code) || PASSING_NAMES.test(code) || PASSING_MESSAGES.test(message);
}

/** Opens a remote database; the server is not contacted yet. */
export async function openRemote(
  url: string,
  name: string,
  options: RemoteOptions,
): Promise<LibsqlClient> {
  const { auth_token, timeout_ms = 15_000, retries = 6 } = options;
  const { createClient } = await loadLibsqlWeb();
  const raw = createClient({
    url,
    concurrency: 0,
    fetch: (request: Request) => fetch(request, { signal: AbortSignal.timeout(timeout_ms) }),
    ...(auth_token === undefined ? {} : { authToken: auth_token }),
  });
  const queue = limit(CONCURRENT_CALLS);
  return guarded(raw, async (call) => {
    for (let attempt = 0;; attempt++) {
      try {
        return await queue(() => inTime(call, timeout_ms));
      } catch (error) {
        const { message } = faultOf(error);
        if (/HTTP status (401|403)/.test(message)) {
          throw new CollmError(
            "unauthorized",
            `Cannot use database '${name}': the server refused the token`,
            { cause: error },
          );
        }
        if (!passes(error)) throw error;
        if (attempt >= retries) {
          throw new CollmError(
            "unavailable",
            `Cannot reach database '${name}' in ${attempt + 1} tries: ${message}`,
            { cause: error },
          );
        }
        const wait = Math.min(50 * 2 ** attempt, 2000) * (0.5 + Math.random() / 2);
        await new Promise((resume) => setTimeout(resume, wait));
      }
    }
  });
}

/** Fails with a TimeoutError after `ms`: a WebSocket call has no time limit of its own. */
async function inTime<T>(call: () => Promise<T>, ms: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new DOMException(`no answer within ${ms} ms`, "TimeoutError")),
      ms,
    );
  });
  try {
    return await Promise.race([call(), late]);
  } finally {
    clearTimeout(timer);
  }
}
