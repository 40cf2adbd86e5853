/** The real data sets: every task loads, every canonical solution passes, no empty one does. */
import assert from "node:assert/strict";
import { createCoding } from "../../../shared/environments/coding/index.ts";
import { judge } from "../../../shared/environments/coding/reward.ts";
import { openSandbox } from "../../../shared/environments/coding/sandbox/index.ts";
import { taskOfRow } from "../../../shared/environments/coding/task.ts";
import { registerDataSet } from "../../../shared/environments/data/data_set.ts";
import { readRows } from "../../../shared/environments/data/rows.ts";
import { dataTest } from "../../support/data.ts";
import { sandboxTest } from "./sandbox.ts";

const rowsOf = async (path: string) => await readRows(path, await Deno.readFile(path));

dataTest(
  "openSandbox passes 164 of 164 canonical solutions of HumanEval and no empty one",
  "data/humaneval/HumanEval.jsonl",
  async (path) => {
    const rows = await rowsOf(path);
    assert.equal(rows.length, 164);
    const sandbox = openSandbox({ lanes: 2 });
    const passes = async (body: (row: typeof rows[number]) => string) => {
      const verdicts = await Promise.all(rows.map(async (row) => {
        const { prompt, test, entry_point: entry } = taskOfRow(row, path);
        const { tests } = (await sandbox.ask<{ tests: string[] }>({ op: "split", test, entry }))!;
        assert.ok(tests.length > 0, entry);
        const code = `${prompt}${body(row)}`;
        return await sandbox.run({ code, entry, tests, setup: prompt });
      }));
      return verdicts.filter(({ passed, tests }) => passed === tests.length).length;
    };
    assert.equal(await passes((row) => String(row["canonical_solution"])), 164);
    assert.equal(await passes(() => "    return None\n"), 0);
    await sandbox.close();
  },
);

dataTest(
  "createCoding takes the tasks of CoopHumanEval: 82 of 82, in the published parts",
  "data/coophumaneval/coophumaneval.json",
  async (path) => {
    registerDataSet({ name: "coop", splits: { all: await rowsOf(path) } });
    const environment = createCoding("coophumaneval", {
      ...{ data: "coop", train_split: "all[:66]", eval_split: "all[66:]" },
    });
    const sizes = environment.splits().map(({ name, size }) => [name, size]);
    assert.deepEqual(sizes, [["train", 66], ["eval", 16], ["all", 82]]);
    for (let i = 0; i < 82; i++) {
      const { task } = environment.item("all", i);
      const { observations } = environment.reset(task, 0);
      assert.ok(observations["agent_2"]!.text.includes(task.entry_point));
      assert.match(task.test, /assert candidate\(/);
    }
  },
);

Deno.test("taskOfRow reads rows of MBPP", () => {
  const task = taskOfRow({
    text: "Write a function to find the shared elements.",
    code: "def similar_elements(a, b):\n  return tuple(set(a) & set(b))\n",
    test_list: ["assert set(similar_elements((3, 4), (4, 5))) == {4}"],
    test_imports: ["import math"],
  }, "row 0");
  assert.deepEqual(task, {
    prompt:
      'def similar_elements(a, b):\n    """Write a function to find the shared elements."""\n',
    test: "def check(candidate):\n    import math\n" +
      "    assert set(candidate((3, 4), (4, 5))) == {4}\n",
    entry_point: "similar_elements",
  });
  assert.throws(() => taskOfRow({ text: "x" }, "row 7"), { message: /^Cannot read.*row 7/ });
});

/** Rows in the forms of both versions of MBPP, whose own solutions pass and an empty one fails. */
const ROWS: Record<string, Record<string, unknown>> = {
  full: {
    ...{ task_id: 1, text: 'The "sum" of \\d and """more"', test_setup_code: "" },
    code: "def extra(n):\r\n    return n\r\ndef total(xs, by={'a': 1}):\r\n    return sum(xs)",
    test_list: ["assert total([1, 2]) == 3", "assert total([4]) == 4"],
    challenge_test_list: ["assert total([]) == 5"],
  },
  module_around: {
    ...{ prompt: "Area.", test_imports: ["import math"] },
    code: "import math\ndef area(r): return math.pi * r ** 2",
    test_list: ["assert math.isclose(area(1), math.pi)", "assert area(0) == math.gcd(0, 0)"],
  },
  module_of_the_solution: {
    ...{ prompt: "Count.", test_imports: [] },
    code: "from collections import Counter as C\ndef count(xs):\n    return dict(C(xs))",
    test_list: ["assert count([1, 1]) == dict(C([1, 1]))"],
  },
  lines: {
    ...{ prompt: "Twice.", test_imports: ["import re", "import math"] },
    code: "def twice(x: int,\n          n: dict = {1: 2}) -> int:\n    return x * n[1]",
    test_list: [
      "assert twice(\n  2\n) == 4",
      'x = """\ntwice(\n"""\nassert twice(x) == x + x',
      "for twice_of in [1,\n2]:\n    assert twice(twice_of, n={1: 2}) == 2 * twice_of",
    ],
  },
  constant_in_the_head: {
    ...{ prompt: "More.", test_imports: [] },
    code: "from typing import List\nN = 1\ndef more(x: List[int], n=N): return x[0] + n",
    test_list: ["assert not more([1]) != 2", "assert more([1], n=2) == 3"],
  },
  function_beside: {
    ...{ prompt: "Depth.", test_imports: [] },
    code: "def depth(t):\n    return 1 + max(map(depth, t), default=0)\n" +
      "def leaf():\n    return []\ndef tree(n):\n    return [leaf()] * n",
    test_list: ["assert depth(tree(2)) == 2", "assert depth(tree(0)) == len(tree(1))"],
  },
  setup: {
    ...{ text: "Longest.", test_setup_code: "words = ['a', 'bc']\nlimit = 2" },
    code: "def longest(ws):\n    return max(map(len, ws))",
    test_list: ["assert longest(words) == limit"],
  },
};

sandboxTest("taskOfRow makes tasks of rows of MBPP that their solutions pass", async (sandbox) => {
  for (const [name, row] of Object.entries(ROWS)) {
    const task = taskOfRow(row, name);
    assert.doesNotMatch(task.prompt, /return (?!\[)|sum\(|isclose/, name);
    const score = async (main: string) => {
      const setting = { reference: false, time_limit_s: 10 };
      return (await judge(sandbox, task, { aux: "", main }, setting)).reward;
    };
    assert.equal(await score(String(row["code"])), 2.1, `${name}: ${JSON.stringify(task)}`);
    const empty = await score(`def ${task.entry_point}(*args, **named):\n    return None`);
    assert.equal(empty, 1.1, name);
    const head = await score(`${task.prompt}    return None`);
    assert.equal(head, 1.1, `${name}: the prompt is no Python`);
  }
  assert.deepEqual(
    taskOfRow({ text: "x", test_list: ["assert math.floor(sorted(f(1))) == 2"] }, "").entry_point,
    "f",
  );
});

Deno.test("taskOfRow shows nothing of a solution that is no def", () => {
  const shown = (code: string, test = "assert area(2) == 4") =>
    taskOfRow({ text: "Area.", code, test_list: [test] }, "row 0").prompt;
  const prompt = (parameters: string) => `def area(${parameters}):\n    """Area."""\n`;
  assert.equal(shown("area = lambda r: r * r"), prompt("r"));
  assert.equal(shown("area = (lambda r, k={1: 2}, *a: r * k[1])"), prompt("r, k={1: 2}, *a"));
  assert.equal(shown("area: F = lambda r: lambda: r"), prompt("r"));
  assert.equal(shown("area = lambda: 4", "assert area() == 4"), prompt(""));
  for (
    const code of [
      ...["area = partial(lambda a, r: r * r, 1)", "from m import area", "area = other"],
      "class area:\n    def __init__(self, r):\n        self.r = r * r",
    ]
  ) assert.equal(shown(code), prompt("*args"), code);
  assert.equal(shown("def area(r):\n    return r * r\narea = memo(area)"), prompt("r"));
  assert.equal(shown("try:\n    def area(r): return r * r\nexcept E:\n    pass"), prompt("r"));
  assert.equal(
    shown("N = 2\nx = 1\narea = lambda r, n=N: r * n", "assert area(2) == 4"),
    `N = 2\n\n${prompt("r, n=N")}`,
  );
});

Deno.test("taskOfRow takes the function that tests are about where they call several", () => {
  const entry = (names: string, ...test_list: string[]) => {
    const code = names.split(" ").map((name) => `def ${name}(x):\n    return x`).join("\n");
    return taskOfRow({ text: "x", code, test_list }, "row 0").entry_point;
  };
  const depth = ["assert depth(tree([1])) == 1", "assert depth(tree([1, [2]])) == 2"];
  for (const names of ["tree depth", "depth tree", "helper depth tree"]) {
    assert.equal(entry(names, ...depth), "depth", names);
    assert.equal(entry(names, "assert 1 == depth(tree([1]))", depth[1]!), "depth");
    assert.equal(entry(names, "assert sorted(set(depth(tree(1)))) == [1]"), "depth");
    assert.equal(
      entry(names, "t = tree([1])\nassert depth(t) == 1", "assert depth([]) == 0"),
      "depth",
    );
  }
  // The one of all tests, wherever it stands.
  assert.equal(entry("f g", "assert g(f(1)) == 1", "assert f(2) == 2"), "f");
  assert.equal(entry("g f", "assert g(f(1)) == 1", "assert f(2) == 2"), "f");
  assert.equal(entry("g f", "assert g(1) == f(1)", "assert g(2) == f(2)"), "g");
  assert.equal(entry("f", "assert list(map(f, [1])) == [1]"), "f");
  assert.equal(entry("f g", "assert x.g(f(1)) == 1"), "f");
});

sandboxTest(
  "taskOfRow shows classes of a solution whose objects its tests give",
  async (sandbox) => {
    const code =
      "def longest(pairs, n):\n    pairs.sort(key=lambda p: p.b)\n    return pairs[n - 1].b";
    const task = taskOfRow({
      text: "Longest chain.",
      code: "import sys\nclass Pair(object):\n    def __init__(self, a, b):\n        self.a = a\n" +
        `        self.b = [b][0]\n${code}`,
      test_list: [
        "assert longest([Pair(5, 24), Pair(15, 25)], 2) == 25",
        "assert longest([Pair(None, 7)], n=1) == 7",
      ],
    }, "row 0");
    assert.equal(task.entry_point, "longest");
    assert.equal(
      task.prompt,
      "class Pair(object):\n    def __init__(self, a, b):\n        self.a = a\n" +
        '        self.b = [b][0]\n\ndef longest(pairs, n):\n    """Longest chain."""\n',
    );
    const setting = { reference: false, time_limit_s: 10 };
    const score = async (main: string) =>
      (await judge(sandbox, task, { aux: "", main }, setting)).reward;
    assert.equal(await score(code), 2.1);
    assert.equal(await score(`class Pair(int): pass\n\nP = Pair\n${code}`), 2.1);
    assert.equal(await score(code.replace("[n - 1].b", "[0].a")), 1.1);
  },
);
