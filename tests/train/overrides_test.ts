/** `--set path=value` against golden numbers, and how overrides are merged. */
import assert from "node:assert/strict";
import { parseValue } from "../../train/literal.ts";
import { merge, parseOverrides } from "../../train/overrides.ts";
import { cases } from "../algorithms/golden.ts";

Deno.test("parseOverrides gives the golden objects", () => {
  for (const { input, expected } of cases("override_parsing")) {
    assert.deepEqual(parseOverrides(input), expected);
  }
});

Deno.test("parseValue reads nested literals as Python does", () => {
  const expected: [string, unknown][] = [
    ["{'a': [1, (2,), ()], \"b\": {'c': None}}", { a: [1, [2], []], b: { c: null } }],
    ["(3)", 3],
    ["(3,)", [3]],
    ["0.9, 0.98", [0.9, 0.98]],
    ["[True, False]", [true, false]],
    ["-.5", -0.5],
    ["+7.", 7],
    ["0", 0],
    ["'it\\'s'", "it's"],
    ["'a\\nb\\q'", "a\nb\\q"],
    ["[]", []],
    ["{}", {}],
  ];
  for (const [text, value] of expected) assert.deepEqual(parseValue(text), value, text);
});

Deno.test("parseValue keeps text that is no literal", () => {
  const texts = ["[1", "1 2", "[1,,2]", "007", "{1: 2", "'open", "1e", ",", "(,)", "[a]", "--1"];
  for (const text of [...texts, "models/x", "train[:8]", "inf", "{'a'}", "Trueish"]) {
    assert.equal(parseValue(`  ${text} `), text);
  }
});

Deno.test("parseValue ends on very long and very deep text", () => {
  const long = `[${"1,".repeat(50_000)}]`;
  assert.equal((parseValue(long) as number[]).length, 50_000);
  for (const deep of ["[".repeat(50_000), "(".repeat(50_000), "'".repeat(50_001)]) {
    assert.equal(parseValue(deep), deep);
  }
});

Deno.test("merge lays objects over each other and replaces anything else", () => {
  assert.deepEqual(merge({ a: { b: 1, c: [1] }, d: 1 }, { a: { c: [2] }, d: { e: 1 } }), {
    a: { b: 1, c: [2] },
    d: { e: 1 },
  });
});

Deno.test("parseOverrides refuses text without a path and a value", () => {
  for (const bad of ["seed", "=1", "a..b=1", ".a=1", ""]) {
    assert.throws(() => parseOverrides([bad]), /Cannot read override '.*': it must look like/);
  }
});

Deno.test("parseOverrides keeps a key named __proto__ an ordinary key", () => {
  const parsed = parseOverrides(["__proto__.polluted=1"]);
  assert.deepEqual(Object.keys(parsed), ["__proto__"]);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});
