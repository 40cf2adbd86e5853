/** What programs and tests may take of time, memory and handles, and what is left after them. */
import assert from "node:assert/strict";
import { openSandbox } from "../../../shared/environments/coding/sandbox/index.ts";
import { sandboxTest } from "./sandbox.ts";

const ECHO = "def f(x): return x\n";
const GOOD = { code: ECHO, entry: "f", tests: ["assert f(1) == 1"] };

sandboxTest("run holds the limit of a whole program for slow tests too", async (sandbox) => {
  const slow = "import time\nend = time.time() + 0.7\nwhile time.time() < end: pass\n";
  const tests = Array.from({ length: 9 }, () => `${slow}assert f(1) == 1`);
  const verdict = await sandbox.run({ ...GOOD, tests, time_limit_s: 0.1 });
  // Each takes 0.7 s of the 2 s, whatever the machine.
  assert.ok(verdict.passed < 4, JSON.stringify(verdict));
  const types = verdict.tests.slice(verdict.passed).map(({ error }) => error?.type);
  assert.deepEqual(types, Array(9 - verdict.passed).fill("Ended"));
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

sandboxTest("run replaces a judge whose tests made its memory grow", async () => {
  const sandbox = openSandbox({ lanes: 1 });
  await sandbox.run(GOOD);
  const before = children();
  const code = "def f(x): return range(8 * 10 ** 6 if x else 1)\n";
  const hoard = await sandbox.run({ code, entry: "f", tests: ["assert len(list(f(1))) == 1"] });
  assert.deepEqual([hoard.passed, hoard.tests[0]!.error!.type], [0, "AssertionError"]);
  assert.equal((await sandbox.run(GOOD)).passed, 1);
  // One of these ends; how long the system takes to say so is not ours.
  while (Deno.build.os === "linux" && before.every((id) => children().includes(id))) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await sandbox.close();
});

sandboxTest("run keeps no handle of processes that ended", async () => {
  const sandbox = openSandbox({ lanes: 1 });
  const crash = { ...GOOD, code: "import os\ndef f(x): os._exit(0)\n" };
  const handles = () =>
    Deno.build.os === "linux" ? [...Deno.readDirSync("/proc/self/fd")].length : 0;
  await sandbox.run(crash);
  await sandbox.run(GOOD);
  const before = handles();
  for (let i = 0; i < 20; i++) assert.equal((await sandbox.run(crash)).passed, 0);
  await sandbox.run(GOOD);
  assert.ok(handles() < before + 12, `${before} handles, then ${handles()}`);
  await sandbox.close();
});

sandboxTest("run waits for no flood of the last program", async () => {
  const sandbox = openSandbox({ lanes: 1 });
  /** Instead of waiting for the next program, the process of this one does something else. */
  const instead = (what: string) =>
    `import os\nwrite = os.write\ndef again(*a):\n    while True: ${what}\n` +
    "def f(x):\n    os.read = again\n    return x\n";
  await sandbox.run(GOOD);
  const after = async (code: string): Promise<number> => {
    assert.equal((await sandbox.run({ ...GOOD, code })).passed, 1);
    const start = performance.now();
    assert.equal((await sandbox.run(GOOD)).passed, 1);
    return performance.now() - start;
  };
  // For a silent one it waits; both need a new process. Taken in turn, for the load changes.
  const [floods, silences]: [number[], number[]] = [[], []];
  for (let round = 0; round < 3; round++) {
    silences.push(await after(instead("pass")));
    floods.push(await after(instead("write(200, b'0\\n')")));
  }
  assert.ok(Math.min(...floods) < Math.min(...silences), `${floods} against ${silences}`);
  await sandbox.close();
});

sandboxTest("run refuses limits out of range", async (sandbox) => {
  for (const time_limit_s of [0, -1, 0.001, 601, NaN, Infinity]) {
    await assert.rejects(sandbox.run({ ...GOOD, time_limit_s }), {
      code: "invalid_request",
      message: `Cannot run program: time_limit_s is ${time_limit_s}, not from 0.01 to 600`,
    });
  }
  for (const most_timeouts of [0, 1.5, NaN, Infinity]) {
    await assert.rejects(sandbox.run({ ...GOOD, most_timeouts }), {
      code: "invalid_request",
      message: `Cannot run program: most_timeouts is ${most_timeouts}, not a whole number from 1`,
    });
  }
});

sandboxTest("close gives no verdict on programs that were running", async () => {
  const sandbox = openSandbox({ lanes: 1 });
  await sandbox.run(GOOD);
  const endless = { ...GOOD, code: "def f(x):\n    while True: pass\n" };
  const refused = [endless, GOOD].map((program) =>
    assert.rejects(sandbox.run(program), {
      code: "unavailable",
      message: "Cannot use sandbox: it is closed",
    })
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
  await sandbox.close();
  await Promise.all(refused);
});

/** Processes that this one started, on Linux. */
function children(): string[] {
  if (Deno.build.os !== "linux") return [];
  const tasks = [...Deno.readDirSync("/proc/self/task")];
  const lists = tasks.map(({ name }) => Deno.readTextFileSync(`/proc/self/task/${name}/children`));
  return lists.join(" ").split(/\s+/).filter((id) => id !== "");
}
