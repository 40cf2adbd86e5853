/**
 * Every hostile program ends as failed, gains no test, and leaves nothing that the next program
 * notices: after each of them a good one passes, at the cost of at most a restart.
 */
import assert from "node:assert/strict";
import { openSandbox, type Program } from "../../shared/environments/coding/sandbox/index.ts";
import { HOSTILE } from "./programs.ts";

/** Literal arguments, computed ones, comparisons by operators and by functions. */
const TESTS = [
  "assert solve(3) == 9",
  "assert solve(4) == 16, 'square'",
  "n = 2 + 3\nassert abs(solve(n) - 25) < 1e-9",
  "assert math.isclose(solve(6), 36)",
  "assert not solve(7) != 49",
];
const GOOD: Program = {
  code: `import colorsys, os, random, sys
def solve(x):
    assert os.getcwd() == "/home/pyodide" and os.listdir("/tmp") == []
    assert len(os.listdir("/home/pyodide")) == 0 and "left" not in sys.modules
    assert [n for n in range(3)] == [0, 1, 2] and random.random() < 1
    return x * x
`,
  entry: "solve",
  tests: TESTS,
};

const sandbox = openSandbox({ lanes: 1 });
const programs = Object.values(HOSTILE).reduce((n, group) => n + Object.keys(group).length, 0);

for (const [aim, group] of Object.entries(HOSTILE)) {
  Deno.test({
    name: `openSandbox fails every program that ${aim}, and the next program passes`,
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async (t) => {
      for (const [name, code] of Object.entries(group)) {
        await t.step(name, async () => {
          const verdict = await sandbox.run({
            ...{ code, entry: "solve", tests: TESTS, time_limit_s: 0.3, most_timeouts: 1 },
          });
          const seen = JSON.stringify(verdict);
          assert.equal(verdict.passed, 0, seen);
          assert.equal(verdict.tests.length, TESTS.length);
          for (const test of verdict.tests) assert.ok(!test.passed && test.error, seen);
          const next = await sandbox.run(GOOD);
          assert.equal(next.passed, TESTS.length, JSON.stringify(next));
        });
      }
    },
  });
}

Deno.test({
  name: "openSandbox is tried with at least 60 hostile programs, and ends its processes on close",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    assert.ok(programs >= 60, `${programs}`);
    await sandbox.close();
    await assert.rejects(sandbox.run(GOOD), { code: "unavailable", message: /it is closed$/ });
  },
});
