/** The published helpers on every case of the golden file; those that need a parser ask it. */
import assert from "node:assert/strict";
import {
  ignoredReference,
  isWrapperReference,
  usesAuxReference,
  visibleTests,
} from "../../../shared/environments/coding/analysis.ts";
import {
  cleanReference,
  functionReference,
  importsReference,
  testsReference,
} from "../../../shared/environments/coding/clean_reference.ts";
import { extract } from "../../../shared/environments/coding/clean.ts";
import { parametersOf } from "../../../shared/environments/coding/prompts.ts";
import { passAtK } from "../../../train/statistics.ts";
import { close, golden } from "../golden.ts";
import { sandboxTest } from "./sandbox.ts";

interface Case<Input> {
  input: Input;
  expected: unknown;
}
interface Helpers {
  extract_imports: Case<string>[];
  cleanup_code: Case<string>[];
  extract_specific_function: Case<{ code: string; name: string }>[];
  extract_test_cases: Case<{ test: string; entry_point: string }>[];
  is_wrapper: Case<string>[];
  uses_aux: Case<string>[];
  ignored_calls_as_shipped: Case<string>[];
  aux_result_analyser_for_feedback: Case<string>[];
  sandbox_slice: Case<{ tests: string[]; slice: number | "all" | null }>[];
  pass_at_k: Case<{ n: number; c: number; k: number }>[];
}

const { unit } = golden<{ unit: Helpers }>("code_helpers");

function check<Input>(name: string, cases: Case<Input>[], helper: (input: Input) => unknown): void {
  Deno.test(`${name} gives every golden value`, () => {
    assert.ok(cases.length > 0);
    for (const { input, expected } of cases) {
      assert.deepEqual(helper(input), expected, JSON.stringify(input));
    }
  });
}

check("importsReference", unit.extract_imports, importsReference);
check("cleanReference", unit.cleanup_code, cleanReference);
check(
  "functionReference",
  unit.extract_specific_function,
  ({ code, name }) => functionReference(code, name),
);
check(
  "testsReference",
  unit.extract_test_cases,
  ({ test, entry_point }) => testsReference(test, entry_point),
);
check("isWrapperReference", unit.is_wrapper, isWrapperReference);
check("usesAuxReference", unit.uses_aux, usesAuxReference);
check("ignoredReference", unit.ignored_calls_as_shipped, ignoredReference);
check(
  "visibleTests",
  unit.sandbox_slice,
  ({ tests, slice }) => visibleTests(tests, slice),
);

Deno.test("passAtK gives every golden value", () => {
  for (const { input: { n, c, k }, expected } of unit.pass_at_k) {
    close(passAtK(n, c, k), expected as number, `${n} ${c} ${k}`);
  }
});

sandboxTest("ask gives the published notes on unused results, and right ones", async (sandbox) => {
  const notes = (code: string, reference: boolean) =>
    sandbox.ask<{ notes: string[] }>({ op: "notes", code, helper: "aux", reference });
  for (const { input, expected } of unit.aux_result_analyser_for_feedback) {
    assert.deepEqual((await notes(input, true))!.notes, expected, input);
  }
  const used = "def f(x):\n    y = aux(x)\n    return y";
  assert.deepEqual((await notes(used, false))!.notes, []);
  const lost = "def f(x):\n    y = aux(x)\n    aux(x)\n    return x";
  assert.deepEqual((await notes(lost, false))!.notes, [
    "Line 2: assigned to y but never used",
    "Line 3: standalone call (not assigned)",
  ]);
});

Deno.test("extract and parametersOf take a megabyte of anything in time that follows its length", () => {
  // With time that follows its square these would take hours.
  const units = ["\r", "\u2028", "\n", " ", "\t", "```", "\r```", "def f(", "def f(x):\r", "@d\r"];
  units.push('"""', "f'{", "x;", "g()\n", "[", "else: ", " def f():\n", "- ```\n");
  for (const unit of units) {
    const text = unit.repeat(Math.ceil(1e6 / unit.length));
    for (const before of ["", "```python\n", "def f(x):\n    return "]) {
      assert.equal(typeof extract(before + text, "f").code, "string");
    }
    assert.equal(parametersOf(text), unit === "def f(x):\r" ? "x" : "");
  }
  assert.equal(parametersOf("def f():\n    def g ( a, b ): pass"), "a, b");
});
