/**
 * A first-come-first-served limit on how many calls run at once; 1 makes it a lock.
 * Leaves out cancelling a call that waits.
 */
import type { Around } from "./guarded.ts";

/** At most `width` calls at once, started in the order they came. */
export function limit(width: number): Around {
  let free = width;
  const waiting: (() => void)[] = [];
  return async (call) => {
    if (free > 0) free--;
    else await new Promise<void>((start) => waiting.push(start));
    try {
      return await call();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}
