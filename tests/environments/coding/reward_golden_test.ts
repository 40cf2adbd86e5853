/** The published reward on every case of the golden file, and where the repaired one differs. */
import assert from "node:assert/strict";
import { judge } from "../../../shared/environments/coding/reward.ts";
import { close, golden } from "../golden.ts";
import { sandboxTest } from "./sandbox.ts";

interface Case {
  name: string;
  input: {
    aux_completion: string;
    main_completion: string;
    test: string;
    entry_point: string;
    prompt: string;
  };
  expected: number;
  details: Record<string, unknown>;
}

const { cases } = golden<{ cases: Case[] }>("code_reward");
/** Rewards of the repaired rules where they differ, by case. */
const REPAIRED: Readonly<Record<string, number>> = {
  nested_def_truncates_outer_body: 2.1,
  import_inside_completion_dropped: 2.1,
  global_constant_dropped: 2.1,
  comment_at_base_indent_cuts_function: 2.1,
  // Plain asserts are tests too.
  no_tests_found: 4,
  // A loop of asserts is one test.
  loop_generated_asserts: 2.1,
  paren_equals_inside_string_argument: 2.1,
  // Functions run once per test: one that needs two runs fails every other test.
  function_called_twice_per_test: 3.5,
  // A call whose result is thrown away is seen.
  aux_without_return: 3.1,
  ignored_call_ordinary: 3.5,
  // A comment calls nothing.
  aux_mentioned_in_comment_only: 2.5,
};

for (const reference of [true, false]) {
  const how = reference ? "with compat reference" : "repaired";
  sandboxTest(`judge ${how} gives every golden reward`, async (sandbox) => {
    const wrong: string[] = [];
    await Promise.all(cases.map(async ({ name, input, expected, details }) => {
      const task = { prompt: input.prompt, test: input.test, entry_point: input.entry_point };
      const completions = { aux: input.aux_completion, main: input.main_completion };
      const report = await judge(sandbox, task, completions, { reference, time_limit_s: 1 });
      const wanted = reference ? expected : REPAIRED[name] ?? expected;
      if (Math.abs(report.reward - wanted) > 1e-9) {
        wrong.push(`${name}: ${report.reward} instead of ${wanted} ${JSON.stringify(report)}`);
      }
      if (reference && "passed" in details) {
        assert.equal(report.passed, details["passed"], name);
        assert.equal(report.tests.length, details["tests_total"], name);
        assert.equal(report.timeouts, details["timeouts"], name);
      }
      if (reference) assert.equal(report.aux_defined, details["aux_defined"], name);
    }));
    assert.deepEqual(wrong, []);
    close(cases.length > 0 ? 0 : 1, 0, "there are cases");
  });
}

sandboxTest(
  "judge gives tests the problem's helpers, as published its imports alone",
  async (sandbox) => {
    const task = {
      prompt: "from math import floor as low\n\ndef double(x):\n    return 2 * x\n\ndef f(x):\n",
      test: "def check(candidate):\n    assert candidate(2) == double(2)\n" +
        "    assert candidate(1) == low(2.5)\n",
      entry_point: "f",
    };
    const passed = async (reference: boolean) => {
      const completions = { aux: "", main: "def f(x):\n    return x + x\n" };
      const report = await judge(sandbox, task, completions, { reference, time_limit_s: 10 });
      return report.tests.map((test) => test.passed);
    };
    assert.deepEqual(await passed(false), [true, true]);
    assert.deepEqual(await passed(true), [false, true]);
  },
);
