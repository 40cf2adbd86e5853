/** Reading of the golden reward files; a number is right within 1e-9. */
import assert from "node:assert/strict";

/** Parsed `tests/golden/rewards/<name>.json`. */
export function golden<T>(name: string): T {
  const url = new URL(`../golden/rewards/${name}.json`, import.meta.url);
  return JSON.parse(Deno.readTextFileSync(url)) as T;
}

export function close(actual: number, expected: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= 1e-9, `${what}: ${actual} instead of ${expected}`);
}
