/** The real data sets: every task loads, every canonical solution passes, no empty one does. */
import assert from "node:assert/strict";
import { createCoding } from "../../../shared/environments/coding/index.ts";
import { openSandbox } from "../../../shared/environments/coding/sandbox/index.ts";
import { taskOfRow } from "../../../shared/environments/coding/task.ts";
import { registerDataSet } from "../../../shared/environments/data/data_set.ts";
import { readRows } from "../../../shared/environments/data/rows.ts";
import { dataTest } from "../../support/data.ts";

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
