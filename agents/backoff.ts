/**
 * Growing pauses between tries, with a random part so that many hosts do not come back at once.
 */

/** Milliseconds before try `failures` + 1: 1/4 s, doubled up to 5 s, times 0.5 to 1. */
export function backoffMs(failures: number): number {
  return Math.min(5000, 250 * 2 ** Math.min(failures - 1, 10)) * (0.5 + Math.random() / 2);
}

/** Waits, or less when `signal` is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resume) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resume();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
