/** Tasks whose tests hold none are refused when they are made, and no others are. */
import assert from "node:assert/strict";
import { createCoding } from "../../../shared/environments/coding/index.ts";
import { taskOfRow } from "../../../shared/environments/coding/task.ts";
import { holdsTest } from "../../../shared/environments/coding/test_text.ts";
import { sandboxTest } from "./sandbox.ts";

const UNITTEST = `import unittest
class TestF(unittest.TestCase):
    def test_one(self):
        self.assertEqual(f(1), 2)
`;
const PYTEST = `import pytest
@pytest.mark.parametrize("x", [f(1)])
def test_f(x):
    assert f(x) == 2
class TestF:
    def test_two(self): assert f(2) == 4
`;
/** Texts without a test. */
const NONE = [
  ...["", "# nothing\n", '"""f"""\n', "x = 5\nprint(x)\n", UNITTEST, PYTEST],
  `${UNITTEST}if __name__ == "__main__":\n    unittest.main()\n`,
  `${UNITTEST}\nunittest.main(argv=[''])\n`,
  "def check(candidate): pass\n",
  "def check(candidate) -> None:\n    # candidate\n    ...\n",
  "def check(candidate):\n    def verify(x):\n        assert candidate(x) == 2\n",
  "def check(candidate):\r\n    class T:\r\n        def t(self): assert candidate(1) == 2\r\n",
  "def check(candidate):\n    pass\nassert f(1) == 2\n",
];
/** Texts with one. */
const SOME = [
  ...[
    "assert f(1) == 2",
    "\n\nimport math; assert f(1) == 2\n",
    "x = f(1)\n",
    "\fassert f(1) == 2",
  ],
  "def test_f():\n    assert f(1) == 2\ntest_f()\n",
  "go = lambda x: f(x)\nassert go(1) == 2\n",
  "for x in [1]:\n    def g(): assert f(x) == 2\n    g()\n",
  "if True:\n    def g():\n        return f(1)\n",
  "def check(candidate): assert candidate(1) == 2",
  "def check(candidate):\r    assert candidate(1) == 2\r",
  "def check(fn: object = None):\n    # nothing\n    x = 1; assert fn(x) == 2\n",
  "def check():\n    assert f(1) == 2\n",
  "def check(candidate):\n    verify(1)\ndef verify(x): assert f(x) == 2\n",
  "def check(candidate):\n    @print\n    def g(): pass\n    if candidate(1) != 2: raise ValueError\n",
];

sandboxTest("holdsTest finds none only where the sandbox finds none", async (sandbox) => {
  for (const [texts, some] of [[NONE, false], [SOME, true]] as const) {
    for (const test of texts) {
      const split = await sandbox.ask<{ tests: string[]; error: unknown }>({
        ...{ op: "split", test, entry: "f" },
      });
      assert.deepEqual([split!.error, split!.tests.length > 0], [null, some], test);
      assert.equal(holdsTest(test, "f"), some, test);
    }
  }
  assert.ok(holdsTest("assert f(1 == 2\n$", "f"), "what does not parse is told by the sandbox");
});

Deno.test("a task whose tests hold none is refused when it is made, in one sentence", () => {
  const why =
    "checks nothing: there is no assert in check(candidate) or outside of functions and classes";
  const task = { prompt: "def f(x):\n", entry_point: "f", test: UNITTEST };
  assert.throws(() => createCoding("humaneval").task(task), {
    code: "invalid_request",
    message: `Cannot read humaneval task: field 'test' ${why}`,
  });
  // As published, such a task is played for its form alone.
  assert.deepEqual(createCoding("humaneval", { compat: "reference" }).task(task).task, task);
  assert.throws(() => taskOfRow(task, "row 3"), {
    message: `Cannot read coding task of row 3: its test ${why}`,
  });
  assert.throws(() => taskOfRow({ text: "x", test_list: [PYTEST] }, "row 4"), {
    message: `Cannot read coding task of row 4: its test_list ${why}`,
  });
});
