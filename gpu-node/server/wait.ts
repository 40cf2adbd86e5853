/**
 * How long a request is waited for: until its client goes away, or until the deadline that it
 * names (header `request-timeout`, seconds). Leaves out stopping the work: the node does.
 */
import { CollmError } from "../../shared/errors.ts";

/** Longest deadline, in seconds. */
const LONGEST = 86_400;

/** Seconds of a `request-timeout` header, or null. @throws CollmError invalid_request */
export function timeoutOf(header: string | undefined): number | null {
  if (header === undefined) return null;
  const seconds = /^\d{1,9}(\.\d{1,9})?$/.test(header) ? Number(header) : 0;
  if (seconds > 0 && seconds <= LONGEST) return seconds;
  throw new CollmError(
    "invalid_request",
    `Cannot read request: request-timeout is '${header.slice(0, 40)}', expected seconds, more ` +
      `than 0 and at most ${LONGEST}`,
  );
}

export interface Wait {
  /** Aborted, with a CollmError as reason, when nobody waits any more. */
  readonly signal: AbortSignal;
  giveUp(reason: CollmError): void;
  /** The answer is a stream that goes on after its first byte, until this settles. */
  until(streamed: Promise<unknown>): void;
  /** The first byte is there. Resolves when all are, and nothing is waited for. */
  end(): Promise<void>;
}

/** What `work` gives, unless `signal` comes first: the work then goes on without being waited for. */
export function within<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(signal!.reason);
    if (signal?.aborted) giveUp();
    signal?.addEventListener("abort", giveUp);
    work.then(resolve, reject).finally(() => signal?.removeEventListener("abort", giveUp));
  });
}

export const clientGone = () =>
  new CollmError("unavailable", "Cannot answer: the client went away");

export function openWait(client: AbortSignal | null, seconds: number | null): Wait {
  const ending = new AbortController();
  let stream: Promise<unknown> = Promise.resolve();
  const gone = () => ending.abort(clientGone());
  if (client?.aborted) gone();
  client?.addEventListener("abort", gone);
  const late = () =>
    ending.abort(new CollmError("deadline", `Cannot answer within ${seconds} s as asked`));
  const timer = seconds === null ? undefined : setTimeout(late, 1000 * seconds);
  return {
    signal: ending.signal,
    giveUp: (reason) => ending.abort(reason),
    until: (streamed) => void (stream = streamed),
    async end() {
      await stream.catch(() => {});
      clearTimeout(timer);
      client?.removeEventListener("abort", gone);
    },
  };
}
