/** Environments of one's own: what a definition becomes, and every way to write a wrong one. */
import assert from "node:assert/strict";
import addUp from "../../docs/add_up.ts";
import { defineEnvironment, type Definition } from "../../shared/environments/define.ts";
import { CollmError } from "../../shared/errors.ts";

function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof CollmError, String(error));
    return error.message;
  }
  throw new Error("nothing was refused");
}

Deno.test("docs/environments.md shows docs/add_up.ts, of 40 lines", async () => {
  const read = (path: string) => Deno.readTextFile(new URL(`../../docs/${path}`, import.meta.url));
  const [example, text] = [await read("add_up.ts"), await read("environments.md")];
  assert.ok(text.includes("```ts\n" + example + "```\n"));
  assert.ok(example.trimEnd().split("\n").length <= 40);
});

Deno.test("defineEnvironment makes an environment of its functions", async () => {
  const environment = addUp.create({ agents: 3 });
  assert.deepEqual(environment.options, { agents: 3, turns: 2 });
  assert.deepEqual(environment.agents, ["agent_1", "agent_2", "agent_3"]);
  assert.deepEqual(environment.splits().map(({ name, size }) => [name, size]), [
    ["train", 81],
    ["eval", 9],
  ]);
  const item = environment.item("eval", 1);
  assert.deepEqual(item, { id: "add_up_eval_1", task: { target: 27 } });
  assert.deepEqual(environment.task("add_up_eval_1"), item);
  const { state, observations } = await environment.reset(item.task, 0);
  assert.equal(observations["agent_2"]!.text, "2 of 3 sum 27:");
  const first = { agent_1: "10", agent_2: "I say 10", agent_3: "none" };
  const step = await environment.step(item.task, state, first);
  assert.deepEqual(step.components, { error: 7 });
  assert.deepEqual(step.rewards, {
    agent_1: 1 - 7 / 27,
    agent_2: 1 - 7 / 27,
    agent_3: 1 - 7 / 27,
  });
  assert.match(step.observations["agent_1"]!.text, /^1 of 3 sum 27 last 20:$/);
  assert.deepEqual(await environment.score(item.task, first), {
    rewards: step.rewards,
    components: step.components,
  });
  const last = await environment.step(item.task, JSON.parse(JSON.stringify(step.state)), {
    ...first,
    agent_3: "7",
  });
  assert.deepEqual(last.observations, {});
  assert.equal(last.terminations["agent_1"], true);
  await assert.rejects(async () => await environment.step(item.task, last.state, first), {
    code: "conflict",
  });
});

const SMALL: Definition<number, unknown> = {
  id: "small",
  rewardRange: [0, 1],
  items: { train: [1] },
  prompt: () => "",
  step: () => 0,
};

Deno.test("defineEnvironment carries a state, rewards per agent and chat messages", async () => {
  const environment = defineEnvironment<{ n: number }, number[]>({
    id: "carried",
    agents: ["a", "b"],
    turns: 3,
    rewardRange: [0, 9],
    items: { train: (index) => ({ n: index }) },
    readTask: ({ n }) => ({ n: Number(n) }),
    start: ({ n }, seed) => [n, seed],
    prompt: ({ state, agent }) => [
      { role: "system", content: agent },
      { role: "user", content: state.join() },
    ],
    step: ({ state, turn, actions }) => ({
      reward: { a: turn, b: actions["b"]!.length },
      state: [...state, turn],
    }),
  }).create({});
  const { task, id } = environment.item("train", 5);
  assert.deepEqual([id, task, environment.splits()[0]!.size], ["carried_train_5", { n: 5 }, null]);
  assert.deepEqual(environment.task({ n: "4" }).task, { n: 4 });
  const { state, observations } = await environment.reset(task, 8);
  assert.deepEqual(observations["b"], {
    ...{ turn: 1, text: "b\n\n5,8" },
    messages: [{ role: "system", content: "b" }, { role: "user", content: "5,8" }],
  });
  const step = await environment.step(task, state, { a: "", b: "four" });
  assert.deepEqual(step.rewards, { a: 1, b: 4 });
  assert.equal(step.observations["a"]!.text, "a\n\n5,8,1");
});

Deno.test("defineEnvironment refuses wrong definitions and says what is wrong", () => {
  const refused = (changes: object, reason: RegExp) => {
    const message = refusal(() => defineEnvironment({ ...SMALL, ...changes }));
    assert.match(message, /^Cannot define environment '/);
    assert.match(message, reason);
  };
  refused({ id: "Small!" }, /id must be lower-case letters, digits and _, not "Small!"$/);
  refused({ promt: () => "" }, /'small': unknown field 'promt', did you mean 'prompt'\?$/);
  refused({ prompt: "x" }, /prompt must be a function$/);
  refused({ step: undefined }, /step must be a function$/);
  refused({ start: 3 }, /start must be a function$/);
  refused({ agents: 0 }, /agents must be 1 to 16, or as many names, not 0$/);
  refused({ agents: 17 }, /not 17$/);
  refused({ agents: 1.5 }, /not 1.5$/);
  refused({ agents: ["a", "a"] }, /not \["a","a"\]$/);
  refused({ agents: ["a b"] }, /not \["a b"\]$/);
  refused({ turns: 0 }, /turns must be a whole number from 1 to 1000, not 0$/);
  refused({ rewardRange: [1, 1] }, /rewardRange must be .*, not \[1,1\]$/);
  refused({ items: {} }, /items must have a split, not \{\}$/);
  refused(
    { items: { train: [] } },
    /items of split 'train' must be a function or a list that has some, not \[\]$/,
  );
  refused({ options: { turns: 1 } }, /the option 'turns' is there already, set turns$/);
});

Deno.test("defineEnvironment fails a step whose rewards, components or prompts are wrong", async () => {
  const played = async (changes: object) => {
    const environment = defineEnvironment({ ...SMALL, turns: 2, ...changes }).create({});
    const { state } = await environment.reset(1, 0);
    return await environment.step(1, state, { agent_1: "", agent_2: "" });
  };
  const gives = (found: unknown) => ({ step: () => found });
  for (
    const [changes, reason] of [
      [gives(NaN), /step gave reward NaN for 'agent_1', expected a finite number$/],
      [gives("1"), /step gave "1", expected a reward$/],
      [gives(undefined), /step gave undefined, expected a reward$/],
      [gives({}), /step gave reward undefined for 'agent_1'/],
      [gives({ reward: { agent_1: 1 } }), /rewards for \["agent_1"\], expected \["agent_1","agent/],
      [gives({ reward: { agent_1: 1, agent_3: 1 } }), /rewards for \["agent_1","agent_3"\]/],
      [gives({ reward: { agent_1: 1, agent_2: Infinity } }), /reward Infinity for 'agent_2'/],
      [gives({ reward: 1, components: { error: NaN } }), /component NaN for 'error'/],
      [{ prompt: () => 5 }, /prompt gave 5, expected a text or messages$/],
      [{ prompt: () => [{ role: "x", content: "" }] }, /prompt gave \[\{"role":"x"/],
    ] as const
  ) {
    await assert.rejects(played(changes), { code: "internal", message: reason });
  }
  const { state } = await played({
    step({ actions }: { actions: Record<string, string> }) {
      actions["agent_1"] = "another";
      return 1;
    },
  });
  assert.deepEqual((state as { last: { actions: unknown } }).last.actions, {
    agent_1: "",
    agent_2: "",
  });
});

Deno.test("defineEnvironment refuses wrong options, items and tasks", () => {
  const { create } = defineEnvironment({ ...SMALL, options: { size: 3, words: ["a"] } });
  assert.match(refusal(() => create({ sise: 3 })), /unknown option 'sise', did you mean 'size'\?$/);
  assert.match(refusal(() => create({ size: "3" })), /option 'size' is "3": expected a number$/);
  assert.match(refusal(() => create({ words: {} })), /option 'words' is \{\}: expected a list$/);
  assert.match(
    refusal(() => create({ turns: 1001 })),
    /option 'turns' is 1001: expected 1 to 1000$/,
  );
  assert.match(refusal(() => addUp.create({ agents: 17 })), /agents must be 1 to 16/);
  const environment = create({});
  assert.match(refusal(() => environment.item("train", 1)), /item 1 of split 'train': it has 1$/);
  assert.match(refusal(() => environment.item("trian", 0)), /did you mean 'train'\?$/);
  assert.match(refusal(() => environment.task("small_train_1")), /item 1 of split 'train'/);
  assert.match(
    refusal(() => environment.task("other_1")),
    /Cannot find item 'other_1' of 'small'$/,
  );
  const { id } = environment.item("train", 0);
  assert.equal(environment.task(id).id, id);
  for (
    const name of [
      ...["small_train_00", "small_train_", "small_train_-0", "small_train_0 ", "small_train_0_0"],
      ...["small_eval_0", "small__0", "smal_train_0", "other_train_0", "xsmall_train_0", "train_0"],
    ]
  ) {
    assert.equal(
      refusal(() => environment.task(name)),
      `Cannot find item '${name}' of 'small'`,
    );
  }
  assert.match(refusal(() => environment.task({ a: 1 })), /'small' has items only$/);
});
