/** What programs and tests may take of time, memory and handles, and what is left after them. */
import assert from "node:assert/strict";
import { openSandbox } from "../../../shared/environments/coding/sandbox/index.ts";
import { sandboxTest } from "./sandbox.ts";

const ECHO = "def f(x): return x\n";
const GOOD = { code: ECHO, entry: "f", tests: ["assert f(1) == 1"] };

sandboxTest("run holds the limit of a whole program for slow tests too", async (sandbox) => {
  const slow = "import time\nend = time.time() + 1.2\nwhile time.time() < end: pass\n";
  const tests = Array.from({ length: 9 }, () => `${slow}assert f(1) == 1`);
  const start = performance.now();
  const verdict = await sandbox.run({ ...GOOD, tests, time_limit_s: 0.1 });
  assert.ok(performance.now() - start < 5000);
  assert.deepEqual(verdict.tests.map((test) => test.passed), tests.map((_, i) => i === 0));
  assert.match(verdict.cause!, /^Tests stopped: the whole program took more than 2 s$/);
  assert.equal((await sandbox.run(GOOD)).passed, 1);
});

sandboxTest("run bounds the answers of a program, not only each of them", async (sandbox) => {
  const code = `import os
def f(x):
    line = b'{"v": "' + b"7" * (7 * 2 ** 20) + b'"}\\n'
    while line: line = line[os.write(200, line):]
    return 0
`;
  const tests = Array.from({ length: 80 }, (_, n) => `assert f(${n}) == 0`);
  const verdict = await sandbox.run({ code, entry: "f", tests });
  assert.equal(verdict.passed, 0);
  assert.match(verdict.cause!, /^Program stopped: its answers are more than 32 MiB in all$/);
  assert.equal((await sandbox.run(GOOD)).passed, 1);
});
