/** StrBuild as an environment: episodes, prompts of both styles, tasks and refusals. */
import assert from "node:assert/strict";
import { CollmError } from "../../../shared/errors.ts";
import { compactPrompt } from "../../../shared/environments/minecraft/str_build/compact.ts";
import { createStrBuild } from "../../../shared/environments/minecraft/str_build/index.ts";
import { targetCells } from "../../../shared/environments/minecraft/str_build/task.ts";

const I = { word: "I", max_commands: 300 };
const NOTHING = { agent_1: "", agent_2: "" };

function perfect(word: string): { agent_1: string; agent_2: string } {
  const blocks = [["oak_planks", "stone"], ["white_concrete", "obsidian"]];
  const lines: [string[], string[]] = [[], []];
  targetCells(word).forEach(([x, y]) => {
    const agent = ((x + y) % 2) as 0 | 1;
    const block = blocks[agent]![lines[agent].length % 2];
    lines[agent].push(`/setblock ${x} ${y} 0 ${block}`);
  });
  return { agent_1: lines[0].join("\n"), agent_2: lines[1].join("\n") };
}

Deno.test("step plays all turns from air, whatever was built, and ends after the last", () => {
  const environment = createStrBuild();
  let { state, observations } = environment.reset(I, 7);
  const played = [perfect("I"), NOTHING, perfect("I"), NOTHING];
  const rewards = played.map((actions, index) => {
    assert.deepEqual(Object.keys(observations), ["agent_1", "agent_2"]);
    assert.equal(observations["agent_1"]!.turn, index + 1);
    const result = environment.step(I, JSON.parse(JSON.stringify(state)), actions);
    const ended = index === 3;
    assert.deepEqual(result.terminations, { agent_1: ended, agent_2: ended });
    assert.deepEqual(result.truncations, { agent_1: false, agent_2: false });
    assert.equal(result.rewards["agent_1"], result.rewards["agent_2"]);
    assert.deepEqual(result.components, environment.score(I, actions).components);
    ({ state, observations } = result);
    return result.rewards["agent_1"];
  });
  assert.deepEqual(rewards, [2, -0.5, 2, -0.5]);
  assert.deepEqual(observations, {});
  assert.throws(
    () => environment.step(I, state, NOTHING),
    { name: "CollmError", message: "Cannot step str_build: the episode ended after turn 4" },
  );
});

Deno.test("step tells each agent how its own lines were read and nothing of the other's", () => {
  const environment = createStrBuild();
  const { state } = environment.reset(I, 0);
  const { infos, observations, components } = environment.step(I, state, {
    agent_1: "/setblock 0 0 0 stone\nhello",
    agent_2: "/setblock 1 0 0 obsidian",
  });
  assert.deepEqual(infos["agent_1"], {
    accepted_lines: 1,
    rejected_lines: 1,
    rejected: [{ line: "hello", reason: "unsupported command: hello" }],
  });
  assert.deepEqual(infos["agent_2"], { accepted_lines: 1, rejected_lines: 0, rejected: [] });
  assert.deepEqual([components["accepted_lines"], components["rejected_lines"]], [2, 1]);
  assert.match(observations["agent_1"]!.text, /previous turn:\n\/setblock 0 0 0 stone$/);
  assert.match(observations["agent_2"]!.text, /previous turn:\n\/setblock 1 0 0 obsidian$/);
  assert.doesNotMatch(observations["agent_1"]!.text, /setblock 1 0 0/);
});

Deno.test("components add up: the four levels give the total", () => {
  const actions = { agent_1: "/setblock 0 0 0 stone\n/setblock 1 0 0 stone", agent_2: "" };
  const { components } = createStrBuild().score(I, actions);
  const levels = [1, 2, 3, 4].map((level) => components[`level_${level}`]!);
  assert.deepEqual(levels, [2 * (2 / 13), 0, -1, -0.5]);
  assert.ok(Math.abs(levels.reduce((a, b) => a + b) - components["level_total"]!) < 1e-12);
  assert.equal(components["iou"], 2 / 13);
});

Deno.test("reset in paper style shows grid, role and own blocks, as chat and as text", () => {
  const { observations } = createStrBuild().reset({ word: "LI", max_commands: 5 }, 0);
  const [first, second] = [observations["agent_1"]!, observations["agent_2"]!];
  assert.deepEqual(first.messages?.map(({ role }) => role), ["system", "user"]);
  assert.equal(first.text, first.messages!.map(({ content }) => content).join("\n\n"));
  assert.match(first.text, /\n#\.{6}#####\n#\.{8}#\.\.\n/);
  assert.match(first.text, /agent 1 of a team of 2/);
  assert.match(first.text, /oak_planks, stone, air/);
  assert.match(first.text, /at most 3 commands/);
  assert.doesNotMatch(first.text, /obsidian/);
  assert.match(second.text, /run after those of agent 1/);
  assert.match(second.text, /white_concrete, obsidian, air/);
  assert.match(second.text, /at most 2 commands/);
});

Deno.test("reset without the grid shows the same prompt for all words of one width", () => {
  const environment = createStrBuild({ provide_graph: false });
  const prompt = (word: string) =>
    environment.reset({ word, max_commands: 300 }, 0).observations["agent_1"]!.text;
  assert.equal(prompt("I"), prompt("L"));
  assert.doesNotMatch(prompt("I"), /#/);
  assert.notEqual(prompt("I"), prompt("MC"));
});

Deno.test("reset with one agent says that it builds alone", () => {
  const environment = createStrBuild({ agents: 1 });
  const { observations } = environment.reset(I, 0);
  assert.deepEqual(Object.keys(observations), ["agent_1"]);
  assert.match(observations["agent_1"]!.text, /You build the structure alone\./);
  assert.match(observations["agent_1"]!.text, /at most 300 commands/);
});

Deno.test("follow-up prompts are chats and carry the facts of the feedback mode", () => {
  const actions = { agent_1: "/setblock 0 1 0 stone", agent_2: perfect("I").agent_2 };
  const texts = (feedback: string) => {
    const environment = createStrBuild({ feedback });
    const { state } = environment.reset(I, 0);
    const { observations } = environment.step(I, state, actions);
    return ["agent_1", "agent_2"].map((agent) => {
      assert.deepEqual(observations[agent]!.messages?.map(({ role }) => role), ["system", "user"]);
      assert.match(observations[agent]!.text, /Turn 2 of 4/);
      return observations[agent]!.text;
    });
  };
  const [position] = texts("position_feedback");
  assert.match(position!, /about 6 of the target positions/);
  assert.match(position!, /\n\(0, 4, 0\) \(1, 4, 0\) .*\(4, 0, 0\)\n/);
  const [wrong, last] = texts("perfect_feedback");
  assert.match(wrong!, /right block:\n\(0, 4, 0\) \(2, 4, 0\) .*\(4, 0, 0\)\n/);
  assert.doesNotMatch(wrong!, /must be air/);
  // Agent 2 wrote all of its cells, some in white_concrete where the reference has obsidian.
  assert.match(last!, /must be air but held a block:\n\(0, 1, 0\)\n/);
  const [score] = texts("score_feedback");
  const reward = createStrBuild().score(I, actions).rewards["agent_1"]!;
  assert.ok(score!.includes(`previous turn was ${reward.toFixed(4)}.`));
});

Deno.test("compactPrompt lists the columns of the word from the bottom up", () => {
  assert.equal(
    compactPrompt(I, 0, 1, null),
    "t1 a1 0=#...# 1=#...# 2=##### 3=#...# 4=#...#\n",
  );
  assert.equal(
    compactPrompt({ word: "LF" }, 1, 2, 0.4567),
    "t2 r0.5 a2 0=##### 1=#.... 2=#.... 3=#.... 4=#.... " +
      "7=##### 8=..#.# 9=..#.# 10=..#.# 11=....#\n",
  );
  assert.ok(compactPrompt(I, 0, 3, -0.04).startsWith("t3 r0.0 a1 "));
});

Deno.test("compact style gives raw text and the previous reward from turn 2 on", () => {
  const environment = createStrBuild({ prompt_style: "compact", turns: 2 });
  const start = environment.reset(I, 0);
  const first = start.observations["agent_2"]!;
  assert.deepEqual(first, { turn: 1, text: compactPrompt(I, 1, 1, null), messages: null });
  const next = environment.step(I, start.state, perfect("I")).observations["agent_2"]!;
  assert.deepEqual(next, { turn: 2, text: compactPrompt(I, 1, 2, 2), messages: null });
});

Deno.test("task takes item ids and inline words and refuses everything else clearly", () => {
  const environment = createStrBuild({ max_commands: 40 });
  const inline = environment.task({ word: "ICML", max_commands: 300 });
  assert.deepEqual(inline.task, { word: "ICML", max_commands: 300 });
  assert.equal(environment.task({ word: "AB" }).task.max_commands, 40);
  assert.notEqual(inline.id, environment.task({ word: "ICML" }).id);
  assert.deepEqual(environment.task("str_build_0009").task, { word: "ICML", max_commands: 40 });
  const refused: [unknown, RegExp][] = [
    [{ word: "icml" }, /field 'word' is "icml": it must be 1 to 8 letters A-Z$/],
    [{ word: "" }, /1 to 8 letters/],
    [{ word: "ABCDEFGHI" }, /1 to 8 letters/],
    [{ word: "Ä" }, /1 to 8 letters/],
    [{ word: 3 }, /field 'word' is 3/],
    [{}, /field 'word' is undefined: it is missing$/],
    [{ word: "A", max_comands: 3 }, /unknown field 'max_comands', did you mean 'max_commands'\?/],
    [{ word: "A", max_commands: -1 }, /field 'max_commands' is -1/],
    [null, /must be an object, not null/],
    [["A"], /must be an object/],
    ["str_build_0011", /Cannot find item 10 of split 'paper': it has items 0 to 9/],
    ["ICML", /Cannot find item 'ICML'/],
  ];
  for (const [input, message] of refused) {
    assert.throws(() => environment.task(input), (error: unknown) => {
      assert.ok(error instanceof CollmError && error.status < 500);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("score refuses actions of unknown, missing or silent agents", () => {
  const environment = createStrBuild();
  const refuse = (actions: Record<string, string>, message: RegExp) =>
    assert.throws(() => environment.score(I, actions), { name: "CollmError", message });
  refuse({ ...NOTHING, agent_3: "" }, /unknown agent 'agent_3', did you mean 'agent_/);
  refuse({ agent_1: "" }, /agent 'agent_2' needs a text but has none/);
  refuse({ agent_1: "", agent_2: 3 as unknown as string }, /needs a text but has a number/);
});

Deno.test("compat reference scores turn 1 without the grid against the last word of its prompt", () => {
  const published = createStrBuild({ provide_graph: false, compat: "reference", turns: 2 });
  const { state, observations } = published.reset(I, 0);
  const first = published.step(I, state, perfect("L"));
  assert.equal(first.rewards["agent_1"], 2);
  assert.equal(published.step(I, first.state, perfect("I")).rewards["agent_1"], 2);
  assert.equal(published.score(I, perfect("I")).rewards["agent_1"], 2);
  assert.equal(observations["agent_1"]!.messages?.length, 2);
  assert.equal(first.observations["agent_1"]!.messages, null);
  const word = { word: "ICML", max_commands: 300 };
  assert.equal(published.step(word, state, perfect("CLIM")).rewards["agent_1"], 2);
  for (const options of [{ provide_graph: false }, { compat: "reference" }]) {
    assert.equal(createStrBuild(options).step(I, state, perfect("I")).rewards["agent_1"], 2);
  }
});
