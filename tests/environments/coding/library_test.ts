/** Parts of the standard library that the wall would end a process for: they work, or they raise. */
import assert from "node:assert/strict";
import { sandboxTest } from "./sandbox.ts";

const run = (...lines: string[]) => ["def f(x):", ...lines.map((line) => `    ${line}`)].join("\n");
const WORKS: Record<string, string> = {
  sleep: run("import time", "time.sleep(0.01)", "return x"),
  imported_sleep: "from time import sleep\n" + run("sleep(0)", "return x"),
  coroutine: "import asyncio\nasync def g(x):\n    await asyncio.sleep(0.01)\n    return x\n" +
    run("return asyncio.run(g(x))"),
  gather: "import asyncio\nasync def g(x): return x\nasync def h(x):\n" +
    "    return max(await asyncio.gather(g(x), g(0)))\n" +
    run("return asyncio.run(asyncio.wait_for(h(x), 1))"),
  own_loop: "import asyncio\nasync def g(x): return x\n" +
    run("loop = asyncio.new_event_loop()", "return loop.run_until_complete(g(x))"),
  unique: run("import uuid", "uuid.uuid1()", "return x"),
};
const RAISES: Record<string, [code: string, type: string]> = {
  negative: [run("import time", "time.sleep(-1)"), "ValueError"],
  long: [run("import time", "time.sleep(30)"), "TimeoutError"],
  endless: [
    "import asyncio\nasync def g():\n    while True: await asyncio.sleep(0)\n" +
    run("asyncio.run(g())"),
    "TimeoutError",
  ],
  forever: [
    "import asyncio\nasync def g(): await asyncio.Event().wait()\n" + run("asyncio.run(g())"),
    "RuntimeError",
  ],
  foreign: [run("import ctypes", "ctypes.c_int32(5)"), "ModuleNotFoundError"],
  names: [run("import socket", "socket.getaddrinfo('example.org', 80)"), "OSError"],
};

sandboxTest("run gives programs time.sleep, asyncio without input, and uuid", async (sandbox) => {
  for (const [name, code] of Object.entries(WORKS)) {
    const tests = ["assert f(1) == 1", "assert f(2) == 2"];
    const verdict = await sandbox.run({ code, entry: "f", tests, time_limit_s: 2 });
    assert.equal(verdict.passed, 2, `${name}: ${JSON.stringify(verdict)}`);
  }
});

sandboxTest("run raises in a program that waits too long or reaches outside", async (sandbox) => {
  for (const [name, [code, type]] of Object.entries(RAISES)) {
    const verdict = await sandbox.run({ code, entry: "f", tests: ["f(1)"], time_limit_s: 0.5 });
    const { error } = verdict.tests[0]!;
    assert.equal(verdict.cause, null, name);
    assert.ok([error!.type, error!.message].join(" ").includes(type), JSON.stringify(verdict));
  }
});
