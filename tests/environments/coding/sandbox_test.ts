/** The sandbox as its users see it: verdicts, values across the border, lanes, its cache. */
import assert from "node:assert/strict";
import { openSandbox, type Program } from "../../../shared/environments/coding/sandbox/index.ts";
import { sandboxTest } from "./sandbox.ts";

const SQUARE: Program = {
  code: "def solve(x):\n    return x * x\n",
  entry: "solve",
  tests: ["assert solve(3) == 9", "assert solve(4) == 17, 'no'", "assert solve(", "solve(0)"],
};

sandboxTest("run gives a verdict per test with its reason", async (sandbox) => {
  const verdict = await sandbox.run(SQUARE);
  assert.deepEqual(verdict.tests.map((test) => test.passed), [true, false, false, true]);
  assert.deepEqual(verdict.tests.map((test) => test.error?.type), [
    undefined,
    "AssertionError",
    "SyntaxError",
    undefined,
  ]);
  assert.equal(verdict.tests[1]!.error!.message, "no");
  const broken = await sandbox.run({ ...SQUARE, code: "def solve(x) return 1" });
  assert.deepEqual([broken.parsed, broken.error?.type, broken.passed], [false, "SyntaxError", 0]);
  const missing = await sandbox.run({ ...SQUARE, code: "import nothing\n" });
  assert.deepEqual([missing.parsed, missing.error?.type], [true, "ModuleNotFoundError"]);
});

sandboxTest(
  "run carries plain values both ways, and what was done to arguments",
  async (sandbox) => {
    const code = `
import collections, decimal, fractions
def same(*args, **named): return args[0] if args else named
def fill(items): items.append(4); items.sort()
def fail(kind): raise {"v": ValueError, "k": KeyError, "s": StopIteration}[kind]("why")
def count(n):
    for i in range(n): yield i
def counter(text): return collections.Counter(text)
def third(): return fractions.Fraction(1, 3), decimal.Decimal("0.1"), 1 / 3
class Own: pass
def own(): return Own()
`;
    const tests = [
      "for v in [None, True, 7, -2**70, 1.5, float('inf'), 'ä\\ud800', b'\\xff', 2j, (1, (2,)), " +
      "[[]], {1: {2}}, {(1, 2): [3]}, frozenset({4}), range(3), set()]:\n" +
      "    assert same(v) == v and type(same(v)) is type(v)",
      "x = float('nan')\nassert same(x) != same(x)",
      "x = [9, 2]\nfill(x)\nassert x == [2, 4, 9]",
      "assert same(a=1, b=[2]) == {'a': 1, 'b': [2]}",
      "try:\n    fail('v')\n    assert False\nexcept ValueError as e:\n    assert str(e) == 'why'",
      "assert list(count(3)) == [0, 1, 2] and count(3) != [0, 1, 2]",
      "assert counter('aab') == {'a': 2, 'b': 1}",
      "from fractions import Fraction\nfrom decimal import Decimal\n" +
      "assert third() == (Fraction(1, 3), Decimal('0.1'), 1 / 3)",
      "assert same(1.0) == 1 and same(1) is not True",
    ];
    const verdict = await sandbox.run({ code, entry: "same", tests });
    assert.deepEqual(verdict.tests.map((test) => test.error), tests.map(() => null));
    const strange = await sandbox.run({ code, entry: "own", tests: ["own()", "same(print)"] });
    assert.match(strange.tests[0]!.error!.message, /returned a value of type Own/);
    assert.match(strange.tests[1]!.error!.message, /a value of type builtin_function/);
  },
);

sandboxTest("run uses the setup in tests, and never shows it to the program", async (sandbox) => {
  const setup = "SECRET = 42\ndef double(n):\n    return 2 * n\ndef solve(n):\n    ...\n";
  const tests = ["assert solve(5) == double(5)", "assert solve(SECRET) == double(SECRET)"];
  const run = (code: string) => sandbox.run({ code, entry: "solve", tests, setup });
  assert.equal((await run("def solve(n): return n + n")).passed, 2);
  assert.equal((await run("def double(n): return 0\ndef solve(n): return 0")).passed, 0);
  const nosy = await run("def solve(n): return double(n)");
  assert.deepEqual(nosy.tests.map((test) => test.error?.type), ["NameError", "NameError"]);
});

sandboxTest("run stops what takes too long, test by test", async (sandbox) => {
  const code = "def solve(x):\n    while x > 1: pass\n    return x\n";
  const tests = [0, 1, 2, 3, 4, 1].map((n) => `assert solve(${n}) == ${n}`);
  const limits = { time_limit_s: 0.3, most_timeouts: 2 };
  const verdict = await sandbox.run({ code, entry: "solve", tests, ...limits });
  assert.deepEqual(verdict.tests.map((test) => test.error?.type ?? "ok"), [
    ...["ok", "ok", "TimeoutError", "TimeoutError", "Skipped", "Skipped"],
  ]);
  assert.equal(verdict.timeouts, 2);
  const loop = ["while True: solve(0)", "assert solve(1) == 1"];
  const endless = await sandbox.run({ code, entry: "solve", tests: loop, ...limits });
  assert.equal(endless.passed, 0);
  assert.match(endless.cause!, /^Program stopped: .*time limit|^Tests stopped: /);
});

sandboxTest("run fails a test that took too long, whatever the test catches", async (sandbox) => {
  const code =
    "def solve(x):\n    if x < 0: raise ValueError\n    while x > 1: pass\n    return x\n" +
    "def own(x):\n    try:\n        return solve(x)\n    except:\n        return x\n";
  const hide = (test: string) => `try:\n    ${test}\nexcept:\n    pass`;
  const late = [
    hide("assert solve(2) == 2"),
    "import contextlib\nwith contextlib.suppress(BaseException):\n    assert solve(2) == 2",
    `for n in [2] * 99:\n    ${hide("solve(n)").replaceAll("\n", "\n    ")}\nassert solve(1) == 1`,
    "assert own(2) == 2",
    hide("while True: pass"),
  ];
  const tests = [...late, hide("solve(-1)"), "assert solve(1) == 1"];
  const program = { code, entry: "solve", tests, time_limit_s: 1, most_timeouts: 9 };
  const verdict = await sandbox.run(program);
  const types = verdict.tests.map(({ passed, error }) => passed ? "ok" : error!.type);
  assert.deepEqual(types, [...late.map(() => "TimeoutError"), "ok", "ok"], JSON.stringify(verdict));
  assert.equal(verdict.timeouts, late.length);
});

sandboxTest("run lets no exception of a program end a loop of the tests", async (sandbox) => {
  const test = "assert all(map(lambda n: solve(n) == n, [1, 2]))";
  for (const kind of ["StopIteration", "StopAsyncIteration", "GeneratorExit"]) {
    const classes = `class Own(${kind}): pass\n`;
    for (const raised of [kind, "Own"]) {
      const code = `${classes}def solve(x): raise ${raised}('why')\n`;
      const tests = [test, "assert [*map(solve, [1])] == []", "solve(1)"];
      const verdict = await sandbox.run({ code, entry: "solve", tests });
      const types = verdict.tests.map(({ error }) => error?.type);
      assert.deepEqual(types, Array(3).fill("RuntimeError"), raised);
    }
  }
});

sandboxTest("run gives no test the outcome of another's call", async (sandbox) => {
  const code = "def f(x):\n    while x == 9: pass\n    return 2 * x\n";
  const tests = [
    "assert f(9) == 18 and f(2) == 4 and f(3) == 6 and f(4) == 8",
    ...[2, 3, 4, 5].map((n) => `assert f(${n}) == ${2 * n}`),
  ];
  const verdict = await sandbox.run({ code, entry: "f", tests, time_limit_s: 0.3 });
  assert.deepEqual([verdict.passed, verdict.timeouts], [4, 1], JSON.stringify(verdict));
});

sandboxTest(
  "run makes the calls of a function with a memory as the tests make them",
  async (sandbox) => {
    const code = "seen = []\ndef f(x):\n    seen.append(x)\n    return list(seen)\n";
    const tests = [
      "assert f(1) == [1]",
      "assert f(2) == [] or f(3) == [1, 2, 3]",
      "assert f(4) == [] and f(5) == []",
      "n = 6\nassert f(n) == [1, 2, 3, 4, 6]",
      "assert f(7)[-1] == 7",
      "assert (0 if f(8) else f(9)) == 0",
      "assert len(f(10)) == 8",
    ];
    const verdict = await sandbox.run({ code, entry: "f", tests });
    const passed = verdict.tests.map((test) => test.passed);
    assert.deepEqual(passed, [true, true, false, true, true, true, true]);
  },
);

sandboxTest("run gives tests of one program nothing of another's", async (sandbox) => {
  const tests = [
    "import math\nmath.sqrt = None\nimport random\nrandom.seed(1)\nassert solve(1) == 1",
  ];
  for (let round = 0; round < 3; round++) {
    assert.equal((await sandbox.run({ ...SQUARE, tests })).passed, 1);
    const clean = ["assert math.sqrt(solve(2)) == 2", "hidden = solve(2)"];
    assert.equal((await sandbox.run({ ...SQUARE, tests: clean })).passed, 2);
    const leak = await sandbox.run({ ...SQUARE, tests: ["assert hidden == 4"] });
    assert.equal(leak.passed, 0);
  }
});

sandboxTest("run fails tests that break the judge, and judges on", async (sandbox) => {
  for (
    const test of [
      "import os\nos._exit(0)",
      "import js\njs.x",
      "import os\nos.write(200, b'null\\n')",
      `import os\nos.write(200, b'{"call": [0, "solve", {}]}\\n')`,
      `import os\nos.write(200, b'{"call": ' + b'[' * 10**6 + b']' * 10**6 + b'}\\n')`,
    ]
  ) {
    const verdict = await sandbox.run({ ...SQUARE, tests: [test] });
    assert.equal(verdict.passed, 0, test);
    assert.match(verdict.cause!, /^Tests stopped: /);
    assert.equal((await sandbox.run(SQUARE)).passed, 2);
  }
});

sandboxTest("ask about a text too deep to be read costs no other program", async (sandbox) => {
  // 2,000 are read and then too deep to be let go of, 8,000 too deep to be read.
  for (const [terms, read] of [[500, true], [2000, true], [8000, false]] as const) {
    const code = `def f(x):\n    return ${Array(terms).fill("1").join("+")}\n`;
    const question = { op: "notes", helper: "aux", reference: true, code };
    assert.equal(await sandbox.ask(question) !== undefined, read, `${terms} terms`);
    assert.equal((await sandbox.run(SQUARE)).passed, 2, `after ${terms} terms`);
    const split = { op: "split", test: `assert solve(1) == ${code.slice(22)}`, entry: "solve" };
    await sandbox.ask(split);
    assert.equal((await sandbox.run(SQUARE)).passed, 2, `after tests of ${terms} terms`);
  }
});

Deno.test("openSandbox remakes a damaged snapshot and ends all its processes", async () => {
  const cache = await Deno.makeTempDir({ prefix: "collm-sandbox-" });
  const snapshots = () =>
    [...Deno.readDirSync(cache)].filter(({ name }) => name.endsWith(".snapshot"));
  for (const round of ["made", "damaged"]) {
    const sandbox = openSandbox({ lanes: 3, cache });
    const programs = Array.from({ length: 9 }, (_, i) => ({
      ...SQUARE,
      tests: [`assert solve(${i}) == ${i * i}`, `assert solve(1) == ${i}`],
    }));
    const verdicts = await Promise.all(programs.map((program) => sandbox.run(program)));
    const passed = verdicts.map((verdict) => verdict.passed);
    assert.deepEqual(passed, [1, 2, 1, 1, 1, 1, 1, 1, 1], round);
    await sandbox.close();
    assert.equal(snapshots().length, 1);
    const path = `${cache}/${snapshots()[0]!.name}`;
    const bytes = await Deno.readFile(path);
    bytes[bytes.length >> 1]! ^= 255;
    await Deno.writeFile(path, bytes);
  }
  await Deno.remove(cache, { recursive: true });
});

Deno.test("openSandbox works without a cache folder, and refuses bad numbers of lanes", async () => {
  const sandbox = openSandbox({ lanes: 1, cache: "/proc/nowhere" });
  assert.equal((await sandbox.run(SQUARE)).passed, 2);
  await sandbox.close();
  assert.throws(() => openSandbox({ lanes: 0 }), { message: "Cannot open sandbox: lanes is 0" });
});
