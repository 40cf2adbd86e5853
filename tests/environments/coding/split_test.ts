/** Tests of a task as they are found in its check function, and what they then say of programs. */
import assert from "node:assert/strict";
import type { Sandbox } from "../../../shared/environments/coding/sandbox/index.ts";
import { judge } from "../../../shared/environments/coding/reward.ts";
import { sandboxTest } from "./sandbox.ts";

/** Solutions of all forms below: the first right, the others wrong. */
const RIGHT = "def f(x):\n    return 2 * x\n";
const WRONG = "def f(x):\n    return None\n";

interface Split {
  tests: string[];
  error: unknown;
}

async function counts(sandbox: Sandbox, test: string): Promise<number[]> {
  const { tests } = (await sandbox.ask<Split>({ op: "split", entry: "f", test }))!;
  const run = async (code: string) => (await sandbox.run({ code, entry: "f", tests })).passed;
  return [tests.length, await run(RIGHT), await run(WRONG)];
}

const check = (...lines: string[]) =>
  ["def check(candidate):", ...lines.map((line) => `    ${line}`), ""].join("\n");
const VERIFY = "def verify(f, x, y):\n    assert f(x) == y\n";

sandboxTest(
  "ask split makes no test of definitions, and one of each call of them",
  async (sandbox) => {
    const helper = ["def verify(x, y):", "    assert candidate(x) == y"];
    assert.deepEqual(await counts(sandbox, check(...helper, "verify(1, 2)", "verify(2, 4)")), [
      ...[2, 2, 0],
    ]);
    const chain = ["def outer(x):", "    inner(x)", "def inner(x):", ...helper.slice(1)];
    const lines = [chain[0]!, chain[1]!, chain[2]!, "    assert candidate(x) == 2 * x", "outer(1)"];
    assert.deepEqual(await counts(sandbox, check(...lines)), [1, 1, 0]);
    assert.deepEqual(await counts(sandbox, check("import math", "assert candidate(1) == 2")), [
      ...[1, 1, 0],
    ]);
  },
);

sandboxTest("ask split finds the tests of every ordinary form", async (sandbox) => {
  const forms: [string, number][] = [
    [check("assert candidate(1) == 2", "assert candidate(2) == 4") + "\ncheck(f)\n", 2],
    [check("assert candidate(1) == 2") + "def main():\n    check(f)\nmain()\n", 1],
    [`${VERIFY}${check("verify(candidate, 1, 2)", "verify(candidate, 2, 4)")}`, 2],
    [
      "def assertion(out, exp, atol):\n    assert out == exp\n" + check(
        "inputs = [[1], [2]]",
        "results = [2, 4]",
        "for i, (inp, exp) in enumerate(zip(inputs, results)):",
        "    assertion(candidate(*inp), exp, 0)",
      ),
      1,
    ],
    [check("if candidate(1) != 2: raise AssertionError", "assert candidate(2) == 4"), 2],
    [check("res = []", "res.append(candidate(1))", "assert res == [2]", "assert True"), 1],
    [
      check(
        "for x in range(3):",
        "    if x == 2:",
        "        return",
        "    assert candidate(x) == 2 * x",
        "assert False",
      ),
      1,
    ],
    ["total = 0\n" + check("global total", "total += candidate(1)", "assert total == 2"), 1],
    [
      check(
        "n = 0",
        "def more():",
        "    nonlocal n",
        "    n += candidate(1)",
        "more()",
        "assert n == 2",
      ),
      1,
    ],
    [check("f = 2", "assert candidate(1) == f"), 1],
    [check("good = candidate(1) == 2", "if not good:", "    raise ValueError('no')"), 1],
    [check("1 / (candidate(1) == 2)"), 1],
    [`${VERIFY}verify(f, 1, 2)\nassert f(2) == 4\n`, 2],
  ];
  for (const [test, count] of forms) {
    const [found, right, wrong] = await counts(sandbox, test);
    assert.deepEqual([found, right], [count, count], test);
    assert.ok(wrong! < count, test);
  }
  const own = check("assert candidate(1) == 2") + "def verify(candidate, x): return candidate(x)\n";
  const { tests } = (await sandbox.ask<Split>({ op: "split", entry: "f", test: own }))!;
  assert.match(tests[0]!, /return candidate\(x\)/);
});

sandboxTest(
  "judge refuses tasks whose tests do not parse, and tasks without a test",
  async (sandbox) => {
    const run = (test: string) =>
      judge(sandbox, { prompt: "", entry_point: "f", test }, { aux: "", main: RIGHT }, {
        ...{ reference: false, time_limit_s: 5 },
      });
    const refused = (test: string, why: string) =>
      assert.rejects(run(test), {
        code: "invalid_request",
        message: `Cannot judge functions 'f': ${why}`,
      });
    await refused(
      "def check(candidate):\n    assert candidate(1 == 2\n",
      "the task's tests do not parse",
    );
    await refused("return 1\n", "the task's tests do not parse");
    await refused(check("pass"), "the task has no test");
    await refused(check("def verify(x):", "    assert candidate(x) == x"), "the task has no test");
    assert.equal((await run(check("assert candidate(1) == 2"))).passed, 1);
  },
);
