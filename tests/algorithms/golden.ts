/** Reading of the golden numbers and comparison within a tolerance, for the tests beside it. */
import assert from "node:assert/strict";

// deno-lint-ignore no-explicit-any
type Json = any;

/** One section of tests/golden/algorithms.json. */
export function section(name: string): Json {
  const url = new URL("../golden/algorithms.json", import.meta.url);
  const found = JSON.parse(Deno.readTextFileSync(url))[name];
  assert.ok(found, `golden section ${name}`);
  return found;
}

/** Cases of a section; fails when there are none, so that no test passes by being empty. */
export function cases(name: string, list = "cases"): { input: Json; expected: Json }[] {
  const found = section(name)[list];
  assert.ok(Array.isArray(found) && found.length > 0, `golden section ${name}.${list}`);
  return found;
}

/** Same structure, and every number within `tolerance` (absolute). */
export function close(actual: unknown, expected: unknown, tolerance = 1e-9, at = "value"): void {
  if (typeof expected === "number") {
    assert.equal(typeof actual, "number", at);
    assert.ok(
      Math.abs((actual as number) - expected) <= tolerance,
      `${at}: ${actual} is not ${expected}`,
    );
  } else if (Array.isArray(expected)) {
    assert.ok(Array.isArray(actual), at);
    assert.equal(actual.length, expected.length, `${at}.length`);
    expected.forEach((item, i) => close(actual[i], item, tolerance, `${at}[${i}]`));
  } else if (expected !== null && typeof expected === "object") {
    assert.deepEqual(Object.keys(actual as object).sort(), Object.keys(expected).sort(), at);
    for (const [key, item] of Object.entries(expected)) {
      close((actual as Record<string, unknown>)[key], item, tolerance, `${at}.${key}`);
    }
  } else assert.equal(actual, expected, at);
}
