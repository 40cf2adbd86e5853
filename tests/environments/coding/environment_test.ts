/** The coding environments: episodes, prompts, every kind of feedback, bad actions, refusals. */
import assert from "node:assert/strict";
import { type CodingTools, createCoding } from "../../../shared/environments/coding/index.ts";
import { compactPrompt } from "../../../shared/environments/coding/prompts.ts";
import { solutionOf } from "../../../shared/environments/coding/small_set.ts";
import type { CodingTask } from "../../../shared/environments/coding/task.ts";
import { createEnvironment } from "../../../shared/environments/registry.ts";
import { close } from "../golden.ts";
import { sandboxTest } from "./sandbox.ts";

const ADD = {
  prompt: 'def add(a, b):\n    """Sum of two numbers."""\n',
  test:
    "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(5, 7) == 12\n",
  entry_point: "add",
};
const AUX = "def aux(a, b):\n    return a + b\n";
const GOOD = { agent_1: AUX, agent_2: "def add(a, b):\n    r = aux(a, b)\n    return r + 0\n" };
const POOR = { agent_1: AUX, agent_2: "def add(a, b):\n    return aux(a, b) if a < 5 else 13\n" };

/** Second-turn prompts after a joint action. */
async function told(
  actions: Record<string, string>,
  options: Record<string, unknown>,
  tools: CodingTools,
): Promise<[string, string]> {
  const environment = createCoding("humaneval", options, tools);
  const { task } = environment.task(ADD);
  const { state } = environment.reset(task, 0);
  const { observations } = await environment.step(task, state, actions);
  return [observations["agent_1"]!.text, observations["agent_2"]!.text];
}

sandboxTest(
  "createCoding plays two turns and rewards helper and main function",
  async (sandbox) => {
    const environment = createCoding("coophumaneval", {}, { sandbox });
    assert.deepEqual(environment.rewardRange, [0, 4]);
    const { task } = environment.task(ADD);
    const start = environment.reset(task, 0);
    assert.match(start.observations["agent_1"]!.text, /helper function.*named aux.*aux\(a, b\)/s);
    assert.match(
      start.observations["agent_2"]!.text,
      /main function.*add\(a, b\).*you may call it/s,
    );
    assert.ok(!start.observations["agent_1"]!.text.includes("assert"), "tests stay unseen");
    const first = await environment.step(task, start.state, POOR);
    close(first.rewards["agent_1"]!, 0.4 + 0.6 + 0.5 + 0.5 + 0.5 + 1, "one test of two");
    assert.equal(first.terminations["agent_1"], false);
    const last = await environment.step(task, JSON.parse(JSON.stringify(first.state)), GOOD);
    assert.equal(last.rewards["agent_2"], 4);
    assert.deepEqual(last.observations, {});
    assert.equal(last.terminations["agent_2"], true);
    assert.equal(last.components["tests_passed"], 2);
    assert.deepEqual(last.components, (await environment.score(task, GOOD)).components);
    await assert.rejects(async () => await environment.step(task, last.state, GOOD), {
      code: "conflict",
      message: "Cannot step coophumaneval: the episode ended after turn 2",
    });
  },
);

sandboxTest(
  "createCoding with one agent rewards the main function, at most 2.1",
  async (sandbox) => {
    const environment = createCoding("humaneval", { agents: 1 }, { sandbox });
    close(environment.rewardRange[1], 2.1, "range");
    const main = { agent_1: "def add(a, b):\n    return a + b" };
    close((await environment.score(ADD, main)).rewards["agent_1"]!, 2.1, "reward");
    const text = environment.reset(ADD, 0).observations["agent_1"]!.text;
    assert.ok(!text.includes("aux"), text);
  },
);

sandboxTest(
  "createCoding tells what the mode of feedback says and nothing more",
  async (sandbox) => {
    const tools = { sandbox };
    const [aux, main] = await told(POOR, { sandbox_slice: "all" }, tools);
    assert.match(
      main,
      /Tests passed: 1 of 2\n- Failed \(AssertionError\): assert add\(5, 7\) == 12/,
    );
    assert.ok(!main.includes("only passes on"), main);
    const passing = { agent_1: AUX, agent_2: "def add(a, b):\n    return aux(a, b)\n" };
    assert.match((await told(passing, {}, tools))[1], /only passes on what aux returns/);
    assert.ok(aux.includes("return a + b") && !aux.includes("13"), "own answers only");
    const [, slice] = await told(POOR, {}, tools);
    assert.match(slice, /Tests passed: 1 of 1/);
    assert.ok(!slice.includes("12"), "later tests stay unseen");
    const [, plain] = await told(POOR, { feedback: "plain" }, tools);
    assert.ok(!plain.includes("Feedback") && plain.includes("Revise"), plain);
    const [, passed] = await told(POOR, { feedback: "passed", sandbox_slice: 0 }, tools);
    assert.match(passed, /Feedback:\n- Tests: not all passed\n\nRevise/);
    const [, level] = await told(POOR, { feedback: "level_passed", sandbox_slice: -1 }, tools);
    assert.match(level, /Syntax.*correct\n- Tests: not all passed/);
    const broken = { agent_1: "", agent_2: "def add(a, b):\n    return (\n" };
    assert.match((await told(broken, {}, tools))[1], /aux: missing.*Syntax.*SyntaxError/s);
    const unused = { agent_1: AUX, agent_2: "def add(a, b):\n    c = aux(a, b)\n    return c" };
    assert.ok(!(await told(unused, {}, tools))[1].includes("never used"));
    const compat = { compat: "reference" };
    assert.match((await told(unused, compat, tools))[1], /Line 2: assigned to c but never used/);
  },
);

sandboxTest("createCoding scores functions however deep or long they are", async (sandbox) => {
  const environment = createCoding("humaneval", { time_limit_s: 5 }, { sandbox });
  const deep = Array(2000).fill("1").join("+");
  for (
    const [name, body, reward] of [
      ["deep", `    z = ${deep}\n    r = aux(a, b)\n    return r + 0\n`, 4],
      ["comments", "#\n".repeat(200_000) + "    r = aux(a, b)\n    return r + 0\n", 4],
      ["attributes", `    return a${".x".repeat(20_000)}\n`, 1.5],
      ["brackets", `    return ${"(".repeat(50_000)}\n`, 1],
    ] as const
  ) {
    const { state } = environment.reset(ADD, 0);
    const actions = { agent_1: AUX, agent_2: `def add(a, b):\n${body}` };
    const step = await environment.step(ADD, state, actions);
    close(step.rewards["agent_1"]!, reward, name);
    assert.equal((await environment.score(ADD, GOOD)).rewards["agent_1"], 4, `after ${name}`);
  }
  const task = { ...ADD, test: `def check(candidate):\n    assert candidate(1, 2) == ${deep}\n` };
  await assert.rejects(async () => await environment.score(task, GOOD), {
    code: "invalid_request",
    message: "Cannot judge functions 'add': the task's tests are too deep or too long",
  });
});

sandboxTest("createCoding reads functions in fences of every kind", async (sandbox) => {
  const environment = createCoding("humaneval", {}, { sandbox });
  const main = GOOD.agent_2.trim();
  for (
    const text of [
      `\`\`\`python\n${main}\n\`\`\``,
      `\`\`\`${main}\`\`\``,
      `\`\`\`python ${main}\n\`\`\``,
      `Here it is:\n\`\`\`py\n${main}`,
      `\`\`\`\nx\n\`\`\`\nor\n  \`\`\`python \r\n${main}\r\n  \`\`\`\r\nThat is all.`,
      `~~~\n${main}\n~~~`,
    ]
  ) {
    const { rewards } = await environment.score(ADD, { agent_1: AUX, agent_2: text });
    assert.equal(rewards["agent_1"], 4, text);
  }
});

sandboxTest("createCoding passes on edits of an expert at any endpoint", async (sandbox) => {
  const asked: { path: string; body: string }[] = [];
  let reply = '{"aux": "def aux(a, b):\\n    return b + a", "main": ""}';
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    asked.push({ path: new URL(request.url).pathname, body: await request.text() });
    return Response.json({ choices: [{ message: { content: `Here:\n${reply}\n` } }] });
  });
  const url = `http://127.0.0.1:${server.addr.port}/v1`;
  const tools = { sandbox, expert: { url, model: "m1" } };
  const options = { feedback: "expert_edits" };
  const [aux, main] = await told(POOR, options, tools);
  assert.match(aux, /expert proposes this version.*return b \+ a/s);
  assert.match(main, /proposes no change/);
  assert.equal(asked[0]!.path, "/v1/chat/completions");
  const body = JSON.parse(asked[0]!.body);
  assert.equal(body.model, "m1");
  assert.match(body.messages[0].content, /Sum of two numbers.*else 13/s);
  assert.ok(!body.messages[0].content.includes("assert"), "the expert sees no tests");
  reply = "I would rather not";
  await assert.rejects(told(POOR, options, tools), {
    code: "unavailable",
    message: /no JSON object with aux and main$/,
  });
  await server.shutdown();
});

Deno.test("createCoding calls no expert that the operator did not name", () => {
  const create = (expert_url: string | null) => () =>
    createEnvironment("mbpp", { feedback: "expert_edits", expert_url });
  const unused = () => createEnvironment("mbpp", { expert_url: "http://10.0.0.1" });
  const before = Deno.env.get("COLLM_EXPERT_URL");
  try {
    Deno.env.delete("COLLM_EXPERT_URL");
    assert.throws(create(null), {
      code: "invalid_request",
      message: /COLLM_EXPERT_URL is not set$/,
    });
    assert.throws(create("http://10.0.0.1"), { code: "forbidden" });
    assert.throws(unused, { code: "forbidden" });
    Deno.env.set("COLLM_EXPERT_URL", "https://expert.example/v1");
    assert.throws(create("http://10.0.0.1"), { code: "forbidden", message: /'http:\/\/10.0.0.1'/ });
    assert.throws(unused, { code: "forbidden", message: /'http:\/\/10.0.0.1'/ });
    assert.equal(create(null)().id, "mbpp");
    assert.equal(create("https://expert.example/v1")().id, "mbpp");
  } finally {
    if (before === undefined) Deno.env.delete("COLLM_EXPERT_URL");
    else Deno.env.set("COLLM_EXPERT_URL", before);
  }
});

sandboxTest("createCoding solves its small tasks with an expression per agent", async (sandbox) => {
  const options = { prompt_style: "compact", turns: 1 };
  const environment = createCoding("humaneval", options, { sandbox });
  const sizes = Object.fromEntries(environment.splits().map(({ name, size }) => [name, size]));
  assert.ok(sizes["train"]! > 500 && sizes["eval"]! > 50, JSON.stringify(sizes));
  const of = (split: string) =>
    Array.from({ length: sizes[split]! }, (_, i) => environment.item(split, i).task.prompt);
  assert.deepEqual(of("eval").filter((prompt) => of("train").includes(prompt)), []);
  const rewards = await Promise.all(Array.from({ length: 40 }, async (_, i) => {
    const { id, task } = environment.item("eval", i);
    assert.deepEqual(environment.task(id).task, task);
    const { first, second } = solutionOf(task)!;
    // The argument x, not a letter between quotes.
    const onAux = second.replaceAll(/\bx\b(?!')/g, "aux(x)");
    const actions = { agent_1: `${first}\n`, agent_2: `(${onAux})\n` };
    return (await environment.score(task, actions)).rewards["agent_1"]!;
  }));
  assert.deepEqual(rewards.filter((reward) => reward !== 4), []);
  const text =
    environment.reset(environment.item("train", 0).task, 0).observations["agent_2"]!.text;
  assert.match(text, /^t1 a2 [A-Z][^\n]*, then [^\n.]*\n$/);
});

Deno.test("createCoding tells the parameters of the wanted function, not of a helper in the problem", () => {
  const prompt = "def help(a, b):\n    return a\n\ndef add(c):\n    pass\n";
  for (const [compat, parameters] of [["fixed", "c"], ["reference", "a, b"]]) {
    const environment = createCoding("humaneval", { compat });
    const { observations } = environment.reset({ ...ADD, prompt }, 0);
    const [aux, main] = ["agent_1", "agent_2"].map((agent) => observations[agent]!.text);
    assert.ok(aux!.includes(`: aux(${parameters})\n`) && main!.includes(`: add(${parameters})\n`));
  }
});

Deno.test("compactPrompt tells the first line of a docstring that says something", () => {
  const told = (docstring: string) =>
    compactPrompt({ ...ADD, prompt: `def add(a, b):\n    ${docstring}\n` }, 1, 1, null);
  const [three, single] = ['"""', "'''"];
  for (
    const docstring of [
      `${three}Add two numbers.${three}`,
      `${three}\n    Add two numbers.\n    >>> add(1, 2)\n    ${three}`,
      `${three}  \r\n\n    Add two numbers\r\n    ${three}`,
      `r${single}\n    Add two numbers.${single}`,
      `${three}\n    Add two numbers.`,
    ]
  ) assert.equal(told(docstring), "t1 a2 Add two numbers\n", docstring);
  assert.equal(told(`${three}Say "hi".${three}`), 't1 a2 Say "hi"\n');
  assert.equal(told(three + three), `t1 a2 def add(a, b):\n    ${three}${three}\n`);
});

sandboxTest("createCoding scores bad actions without breaking", async (sandbox) => {
  const environment = createCoding("mbpp", { time_limit_s: 2 }, { sandbox });
  const bad = [
    "",
    "x".repeat(1_000_000),
    " ".repeat(1_000_000),
    "def add(".repeat(100_000),
    "```".repeat(300_000),
    '"""'.repeat(300_000),
    "import " + " ".repeat(500_000) + "!",
    String.fromCharCode(...Array.from({ length: 4096 }, (_, i) => i % 256)),
    "\ud800\udfff\ud800",
    "Напиши функцию сложения.",
    "```python\ndef add(a, b):\n    return a + b",
    "def add(a, b):\n    return (" + "(".repeat(100_000),
    "def add(a, b):\n    import os; os._exit(1)\n    return 1",
  ];
  for (const text of bad) {
    for (const actions of [{ agent_1: text, agent_2: text }, { agent_1: AUX, agent_2: text }]) {
      const { rewards, components } = await environment.score(ADD, actions);
      assert.ok(rewards["agent_1"]! >= 0 && rewards["agent_1"]! <= 2.5, text.slice(0, 40));
      for (const value of Object.values(components)) assert.ok(Number.isFinite(value));
    }
  }
  await assert.rejects(async () => await environment.score(ADD, { agent_1: "" }), {
    code: "invalid_request",
    message: "Cannot take actions: agent 'agent_2' needs a text but has none",
  });
});

Deno.test("createCoding refuses bad tasks and options by name", () => {
  const environment = createEnvironment("humaneval");
  const refused = (call: () => unknown, message: RegExp) =>
    assert.throws(call, { name: "CollmError", message });
  refused(() => environment.task({ prompt: "", test: "" }), /field 'entry_point'.*missing$/);
  refused(() => environment.task({ ...ADD, entry_point: "a b" }), /'entry_point' is "a b"/);
  refused(() => environment.task({ ...ADD, tests: "" }), /unknown field 'tests'.*'test'/);
  refused(() => environment.task("humaneval_train_999999"), /^Cannot find item 999999 of split/);
  refused(() => environment.item("test", 0), /^Cannot find split 'test' of 'humaneval'/);
  refused(() => createEnvironment("mbpp", { data: "nowhere" }).splits(), /data set 'nowhere'/);
  refused(
    () => createEnvironment("mbpp", { prompt_style: "compact", feedback: "plain" }),
    /feedback 'plain' needs prompt_style 'paper'/,
  );
});

Deno.test("createCoding exchanges answers between tasks of its own set over the same kind of values", () => {
  const environment = createEnvironment("humaneval");
  const tasks = Array.from(
    { length: 30 },
    (_, i) => environment.item("eval", i).task as CodingTask,
  );
  const texts = (task: CodingTask) => /candidate\("/.test(task.test);
  const { comparable, blindBound } = environment.probes!;
  assert.equal(blindBound, undefined);
  assert.ok(tasks.some(texts) && !tasks.every(texts));
  for (const a of tasks) {
    for (const b of tasks) assert.equal(comparable(a, b), texts(a) === texts(b));
  }
  assert.equal(comparable(ADD, ADD), false);
});

Deno.test("createCoding judges what a completion says besides its function as what it is", async () => {
  const environment = createEnvironment("humaneval", { agents: 1, turns: 1 });
  const { task } = environment.task({
    prompt: 'Note: n = 5 items\nresult = f(1)\nBASE = 1\n\ndef f(x):\n    """One more"""\n',
    test: "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(2) == 3\n",
    entry_point: "f",
  });
  const f = "def f(x):\n    return x + 1";
  for (
    const text of [
      `${f}\n\n# Example usage\nresult = f(1)\nprint(result)`,
      `\`\`\`python\n${f}\n\`\`\`\nand then\n\`\`\`python\nresult = f(1)\nprint(result)\n\`\`\``,
      `${f}\n\nn = int(input())\nprint(f(n))`,
      `${f}\n\nNote: for x = 1 it gives 2.\nComplexity: O(1) time, n = input\nfrom there, we add one`,
      "from __future__ import annotations\nimport math\ndef f(x: Later) -> int:\n    return x + 1",
      "class A:\n    v = 1\n\ndef g(x):\n    return x + A.v\n\ndef f(x):\n    return g(x)",
      "A, B = 1, 2\nπ = A\ndef f(x):\n    return x + π",
      "C = 1\ndef f(x):\n    return(x + C)",
      "def f(x):\n    return x + BASE",
    ]
  ) {
    const { components } = await environment.score(task, { agent_1: text });
    assert.equal(components["tests_passed"], 2, text);
    assert.equal(components["score_total"], 2.1, text);
  }
});

Deno.test("createCoding lets no agent take the place of the other's helper", async () => {
  const environment = createEnvironment("humaneval", { turns: 1 });
  const { task } = environment.task({
    prompt: 'def f(x):\n    """One more"""\n',
    test: "def check(candidate):\n    assert candidate(1) == 2\n",
    entry_point: "f",
  });
  const wrong = "def aux(x):\n    return 0\n\nresult = aux(3)\nprint(result)";
  for (const own of ["aux = lambda x: x + 1", "def aux(x):\n    return x + 1", "aux, b = abs, 1"]) {
    const main = `${own}\n\ndef f(x):\n    y = aux(x)\n    return y + 0`;
    const { components } = await environment.score(task, { agent_1: wrong, agent_2: main });
    assert.equal(components["tests_passed"], 0, own);
    const right = wrong.replace("return 0", "return x + 1");
    const team = await environment.score(task, { agent_1: right, agent_2: main });
    assert.equal(team.components["tests_passed"], 1, own);
  }
});
