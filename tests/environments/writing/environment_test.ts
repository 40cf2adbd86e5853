/** The writing environments: episodes, prompts, options, tasks, shipped texts and refusals. */
import assert from "node:assert/strict";
import { createEnvironment } from "../../../shared/environments/registry.ts";
import { createArxiv, createTldr } from "../../../shared/environments/writing/index.ts";
import { splitParagraphs } from "../../../shared/environments/writing/paragraphs.ts";
import { CollmError } from "../../../shared/errors.ts";

const POST = { post: "I lost my keys in a lake. Can I still get home?" };
const SHORT = "One two three four five six seven eight keys";
const LONG = "However the keys fell deep because lakes are wide and nobody dives there, so we " +
  "walk around until somebody comes home";

Deno.test("step of tldr ends after one turn and tells each agent its own measures", () => {
  const environment = createTldr();
  const { state, observations } = environment.reset(POST, 1);
  assert.deepEqual(Object.keys(observations), ["agent_1", "agent_2"]);
  const step = environment.step(POST, JSON.parse(JSON.stringify(state)), {
    agent_1: SHORT,
    agent_2: LONG,
  });
  assert.deepEqual(step.terminations, { agent_1: true, agent_2: true });
  assert.deepEqual(step.observations, {});
  assert.deepEqual(step.infos, {
    agent_1: { tokens: 9, characters: SHORT.length },
    agent_2: { tokens: 21, characters: LONG.length },
  });
  assert.equal(step.rewards["agent_1"], step.components["gated_total_reward"]);
  assert.equal(step.rewards["agent_1"], step.rewards["agent_2"]);
  assert.deepEqual(
    environment.score(POST, { agent_1: SHORT, agent_2: LONG }),
    { rewards: step.rewards, components: step.components },
  );
  assert.throws(
    () => environment.step(POST, step.state, { agent_1: SHORT, agent_2: LONG }),
    { name: "CollmError", message: "Cannot step tldr: the episode ended after turn 1" },
  );
});

Deno.test("score of one agent takes its two paragraphs as two texts", () => {
  const [pair, alone] = [createTldr(), createTldr({ agents: 1 })];
  assert.deepEqual(alone.agents, ["agent_1"]);
  const answer = `Paragraph 1: ${SHORT}\n[PARAGRAPH_SPLIT]\nparagraph 2:  ${LONG} `;
  assert.deepEqual(splitParagraphs(answer), [SHORT, LONG]);
  const { components } = alone.score(POST, { agent_1: answer });
  assert.deepEqual(components, pair.score(POST, { agent_1: SHORT, agent_2: LONG }).components);
  assert.ok(components["gated_total_reward"]! > 1.5);
  const { state } = alone.reset(POST, 0);
  assert.deepEqual(alone.step(POST, state, { agent_1: answer }).infos["agent_1"], {
    paragraphs: [
      { tokens: 9, characters: SHORT.length },
      { tokens: 21, characters: LONG.length },
    ],
  });
});

Deno.test("reset of tldr asks one agent for a concise and one for a detailed summary", () => {
  const { observations } = createTldr().reset(POST, 0);
  const [first, second] = [observations["agent_1"]!, observations["agent_2"]!];
  for (const { text, messages, turn } of [first, second]) {
    assert.deepEqual([messages, turn, text.at(-1)], [null, 1, "\n"]);
    assert.ok(text.includes(`Query:\n${POST.post}\n`));
  }
  assert.match(first.text, /concise summary/);
  assert.doesNotMatch(first.text, /transition/);
  assert.match(second.text, /detailed summary[^]*Original Query:[^]*transition words/);
});

Deno.test("reset of arxiv tells each agent its part and the other agent's", () => {
  const { observations } = createArxiv().reset({ abstract: "We study keys." }, 0);
  const [first, second] = [observations["agent_1"]!.text, observations["agent_2"]!.text];
  assert.match(first, /Abstract:\nWe study keys\.\n/);
  assert.match(first, /agent writes about methodology[^]*Write about background and motivation/);
  assert.match(second, /agent writes about background[^]*Write about methodology and implications/);
});

Deno.test("reset of one agent asks for two paragraphs around the delimiter", async () => {
  for (const id of ["tldr", "arxiv"]) {
    const environment = createEnvironment(id, { agents: 1 });
    const { task } = environment.task(`${id}_train_000003`);
    const { text } = (await environment.reset(task, 0)).observations["agent_1"]!;
    assert.match(text, /exactly two paragraphs[^]*Paragraph 1: \.\.\.\n\[PARAGRAPH_SPLIT\]\nPara/);
  }
});

Deno.test("reset in compact style is one line and says which part is whose", async () => {
  const texts = async (id: string, agents: number, task: unknown) => {
    const environment = createEnvironment(id, { agents, prompt_style: "compact" });
    return Object.values((await environment.reset(task, 0)).observations).map(({ text }) => text);
  };
  assert.deepEqual(await texts("tldr", 2, { post: "Hi" }), ["tldr short: Hi\n", "tldr long: Hi\n"]);
  assert.deepEqual(await texts("tldr", 1, { post: "Hi" }), ["tldr both: Hi\n"]);
  assert.deepEqual(await texts("arxiv", 2, { abstract: "A" }), [
    "arxiv background: A\n",
    "arxiv method: A\n",
  ]);
});

Deno.test("compat reference logs other metrics for the same reward, and knows empty posts", () => {
  const fixed = createTldr();
  const reference = createTldr({ compat: "reference" });
  // Length ratio 5 exactly: rewarded with 0 at level 2 and not stopped, logged as stopped.
  const actions = {
    agent_1: "a b c d e f g h",
    agent_2: "i j k l m n o p q r s t u v w x ".repeat(3).slice(0, 75),
  };
  const [ours, theirs] = [fixed.score(POST, actions), reference.score(POST, actions)];
  assert.deepEqual(ours.rewards, { agent_1: 1, agent_2: 1 });
  assert.deepEqual(theirs.rewards, ours.rewards);
  assert.equal(ours.components["gated_total_reward"], 1);
  assert.equal(theirs.components["gated_total_reward"], 0.5);
  const { task } = reference.task({});
  assert.equal(
    reference.reset(task, 0).observations["agent_2"]!.text,
    "Error: No prompt provided.",
  );
  assert.throws(() => fixed.task({ post: "" }), /field 'post' is "": it must not be empty$/);
});

Deno.test("item gives shipped texts: hundreds, all distinct, none in both splits", () => {
  for (const [id, field] of [["tldr", "post"], ["arxiv", "abstract"]] as const) {
    const environment = createEnvironment(id);
    const texts = environment.splits().map(({ name, size }) =>
      Array.from({ length: size! }, (_, i) => {
        const { id: name_, task } = environment.item(name, i);
        assert.deepEqual(environment.task(name_).task, task);
        return (task as unknown as Record<string, string>)[field]!;
      })
    );
    assert.deepEqual(environment.splits().map(({ name }) => name), ["train", "eval"]);
    assert.ok(texts[0]!.length >= 256 && texts[1]!.length === 64);
    assert.equal(new Set(texts.flat()).size, texts.flat().length);
    const words = texts.flat().map((text) => text.split(" ").length);
    const [least, most] = id === "tldr" ? [15, 40] : [100, 300];
    assert.ok(words.every((count) => count >= least && count <= most));
    assert.ok(texts.flat().every((text) => !/[{}]|undefined/.test(text)));
  }
});

Deno.test("train_split and eval_split choose parts of the data", () => {
  const environment = createTldr({ train_split: "train[10:20]", eval_split: "eval[50%:]" });
  assert.deepEqual(environment.splits().map(({ size }) => size), [10, 32]);
  assert.deepEqual(environment.item("train", 0).task, createTldr().item("train", 10).task);
  assert.throws(() => environment.item("train", 10), /^CollmError: Cannot find item 10 of split/);
});

Deno.test("task and options refuse what they cannot take, with the nearest name", () => {
  const tldr = createTldr();
  const refused: [() => unknown, RegExp][] = [
    [() => tldr.task({}), /field 'post' is undefined: it is missing$/],
    [() => tldr.task({ abstract: "x" }), /unknown field 'abstract'/],
    [() => tldr.task({ pots: "x" }), /unknown field 'pots', did you mean 'post'\?$/],
    [() => tldr.task({ post: 7 }), /field 'post' is 7/],
    [() => tldr.task({ post: "x".repeat(200_001) }), /at most 200000 characters$/],
    [() => tldr.task("tldr_train_999999"), /Cannot find item 999999 of split 'train'/],
    [() => tldr.task("tldr_trian_000001"), /did you mean 'train'\?$/],
    [() => tldr.task("arxiv_train_000001"), /ids of 'tldr' look like tldr_train_000012$/],
    [() => tldr.item("test", 0), /Cannot find split 'test'/],
    [() => tldr.item("train[a:b]", 0), /Cannot read split 'train\[a:b\]'/],
    [() => createTldr({ agents: 3 }), /option 'agents' is 3: it must be 1 or 2$/],
    [() => createTldr({ promt_style: "x" }), /did you mean 'prompt_style'\?$/],
    [() => createTldr({ data: "/etc/passwd" }).splits(), /Cannot find data set '\/etc\/passwd'/],
  ];
  for (const [call, message] of refused) {
    assert.throws(call, (error: unknown) => {
      assert.ok(error instanceof CollmError && error.status < 500, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});
