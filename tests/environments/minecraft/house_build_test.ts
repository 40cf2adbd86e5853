/** HouseBuild as an environment: episodes, prompts of both styles, feedback, tasks, refusals. */
import assert from "node:assert/strict";
import {
  createHouseBuild,
  type HouseTask,
} from "../../../shared/environments/minecraft/house_build/index.ts";
import { rectangles } from "../../../shared/environments/minecraft/house_build/rectangles.ts";
import { houseOf } from "../../../shared/environments/minecraft/house_build/task.ts";

const NOTHING = { agent_1: "", agent_2: "" };
const PAPER = createHouseBuild();
const TASK = PAPER.item("paper", 0).task;

/** Each agent writes every second rectangle; the first one kills the spiders. */
function shared(task: HouseTask): { agent_1: string; agent_2: string } {
  const lines = rectangles(houseOf(task)).filter(({ block }) => block !== "air")
    .map(({ y, x1, z1, x2, z2, block }) => `/fill ${x1} ${y} ${z1} ${x2} ${y} ${z2} ${block}`);
  const half = (agent: number) => lines.filter((_, i) => i % 2 === agent).join("\n");
  return { agent_1: `/kill\n${half(0)}`, agent_2: half(1) };
}

Deno.test("step plays all turns from air, whatever was built, and ends after the last", () => {
  const free = PAPER.task({ id: "house_build_0101", limited_resource: false }).task;
  let { state, observations } = PAPER.reset(free, 7);
  const played = [shared(free), NOTHING, shared(free), NOTHING];
  const rewards = played.map((actions, index) => {
    assert.deepEqual(Object.keys(observations), ["agent_1", "agent_2"]);
    assert.equal(observations["agent_2"]!.turn, index + 1);
    const result = PAPER.step(free, JSON.parse(JSON.stringify(state)), actions);
    const ended = index === 3;
    assert.deepEqual(result.terminations, { agent_1: ended, agent_2: ended });
    assert.deepEqual(result.components, PAPER.score(free, actions).components);
    ({ state, observations } = result);
    return result.rewards["agent_1"]!;
  });
  assert.deepEqual([rewards[0], rewards[2]], [1, 1]);
  assert.ok(Math.abs(rewards[1]! - (86 / 294 - 0.1)) < 1e-12);
  assert.deepEqual(observations, {});
  assert.throws(
    () => PAPER.step(free, state, NOTHING),
    { name: "CollmError", message: "Cannot step house_build: the episode ended after turn 4" },
  );
});

Deno.test("step under limits gives less than a perfect team without, and tells why", () => {
  const { state } = PAPER.reset(TASK, 0);
  const { rewards, infos, components } = PAPER.step(TASK, state, shared(TASK));
  assert.ok(rewards["agent_1"]! > 0.95 && rewards["agent_1"]! < 1);
  assert.equal(components["penalty"], 0);
  assert.deepEqual(infos["agent_2"], {
    accepted_lines: 17,
    rejected_lines: 1,
    rejected: [{
      line: "/fill 2 1 1 3 1 1 planks",
      reason: "exceeds resource limit for planks: 2>1",
    }],
  });
});

Deno.test("one agent builds alone, has all resources and half more, and pays no penalty", () => {
  const single = createHouseBuild({ agents: 1 });
  assert.deepEqual(single.agents, ["agent_1"]);
  assert.deepEqual(single.rewardRange, [0, 1]);
  const { agent_1, agent_2 } = shared(TASK);
  const all = single.score(TASK, { agent_1: `${agent_1}\n${agent_2}` });
  assert.equal(all.rewards["agent_1"], 1);
  assert.equal(single.score(TASK, { agent_1: "" }).rewards["agent_1"], 122 / 294);
  const text = single.reset(TASK, 0).observations["agent_1"]!.text;
  assert.match(text, /alone/);
  assert.doesNotMatch(text, /spider/);
  assert.match(text, /planks 3/);
});

Deno.test("reset in paper style shows house, role, threat and limits, as chat and as text", () => {
  const { observations } = PAPER.reset(TASK, 0);
  const [first, second] = [observations["agent_1"]!, observations["agent_2"]!];
  assert.deepEqual(first.messages?.map(({ role }) => role), ["system", "user"]);
  assert.equal(first.text, first.messages!.map(({ content }) => content).join("\n\n"));
  assert.match(first.text, /agent 1 of a team of 2/);
  assert.match(second.text, /agent 2 of a team of 2/);
  assert.match(first.text, /\ny=0: \{\(0, 0, 1, 5, 0, 5 white_concrete\)\}\n/);
  assert.match(first.text, /3 spiders attack with 3, 1, 1, 5 damage together; you have 5 hit/);
  assert.match(first.text, /obsidian 9, planks 1/);
  assert.match(first.text, /at most 300 commands/);
  const { task } = PAPER.task({
    id: "house_build_0101",
    spider_attacks: [],
    limited_resource: false,
  });
  const calm = PAPER.reset(task, 0).observations["agent_1"]!.text;
  assert.doesNotMatch(calm, /spider|You have/);
});

Deno.test("follow-ups carry the facts of their mode and the agent's own commands only", () => {
  const facts: Record<string, [first: RegExp, second: RegExp]> = {
    score_feedback: [/score on the previous turn was 0.4286\./, /was 0.4286\./],
    position_feedback: [/about 86 of the cells/, /\(0, 6, 2 stone_stairs\)/],
    perfect_feedback: [
      /Your cells that did not hold.*\n\(0, 6, 2 stone_stairs\) \(0, 6, 4/,
      /\n\(0, 6, 3 /,
    ],
    position_modification: [/wrong, with the right block:\n\(0, 0, 4 w/, /\n\(0, 0, 4 w/],
    rect_modification: [/y 0 to 2:\n\(0, 0, 1, 5, 0, 5 white/, /y 2 to 6:\n\(0, 2, 1, 0, 2, 1 o/],
    resource_schedule: [/list: .*planks 1, /, /list: .*planks 0, /],
  };
  const actions = {
    agent_1: "/kill\n/fill 0 0 1 0 0 3 white_concrete",
    agent_2: "/fill 2 1 1 2 1 1 planks\n/fill 3 1 1 3 1 1 white_concrete",
  };
  for (const [feedback, patterns] of Object.entries(facts)) {
    const environment = createHouseBuild({ feedback });
    const { state } = environment.reset(TASK, 0);
    const { observations } = environment.step(TASK, state, actions);
    ["agent_1", "agent_2"].forEach((agent, index) => {
      const { text, messages, turn } = observations[agent]!;
      assert.equal(turn, 2);
      assert.equal(messages?.length, 2);
      assert.match(text, /Turn 2 of 4\. The world is empty again/);
      assert.match(text, patterns[index]!, feedback);
    });
    assert.match(
      observations["agent_1"]!.text,
      /turn:\n\/kill\n\/fill 0 0 1 0 0 3 white_concrete$/,
    );
    assert.doesNotMatch(observations["agent_2"]!.text, /0 0 1 0 0 3/);
  }
  const reference = createHouseBuild({ compat: "reference" });
  const { state, observations } = reference.reset(TASK, 0);
  assert.equal(observations["agent_1"]!.messages?.length, 2);
  assert.equal(reference.step(TASK, state, actions).observations["agent_1"]!.messages, null);
});

Deno.test("feedback lists nothing after a perfect build", () => {
  for (const feedback of ["perfect_feedback", "position_modification", "rect_modification"]) {
    const environment = createHouseBuild({ feedback, limited_resource: false });
    const { task } = environment.item("paper", 0);
    const { state } = environment.reset(task, 0);
    const { observations } = environment.step(task, state, shared(task));
    assert.match(observations["agent_1"]!.text, /:\nnone\n/, feedback);
  }
});

Deno.test("compact style gives the arguments of the fills, the threat and the last reward", () => {
  const environment = createHouseBuild({ prompt_style: "compact", turns: 2 });
  const { task } = environment.task({
    local_bbox_from: [0, 0, 0],
    local_bbox_to: [2, 1, 1],
    inventory: { C: "white_concrete", O: "obsidian", A: "air" },
    layers_by_y: { "0": ["CCC", "COC"], "1": ["AAA", "AOA"] },
  });
  const { state, observations } = environment.reset(task, 0);
  assert.deepEqual(observations["agent_1"], {
    turn: 1,
    messages: null,
    text: "t1 a1 d5/5\n0 0 0 2 0 0 white_concrete\n0 0 1 0 0 1 white_concrete\n" +
      "1 0 1 1 0 1 obsidian\n2 0 1 2 0 1 white_concrete\n1 1 1 1 1 1 obsidian\n",
  });
  assert.match(observations["agent_2"]!.text, /^t1 a2 /);
  const lines = observations["agent_1"]!.text.trim().split("\n").slice(1).map((l) => `/fill ${l}`);
  const actions = {
    agent_1: `/kill\n${lines[0]}\n${lines[2]}`,
    agent_2: [1, 3, 4].map((i) => lines[i]).join("\n"),
  };
  const next = environment.step(task, state, actions);
  assert.equal(next.rewards["agent_1"], 1);
  assert.match(next.observations["agent_2"]!.text, /^t2 r1\.00 a2 d5\/5\n0 0 0 2 0 0 white/);
});

Deno.test("compact style lists row by row what an agent cannot pay for at once", () => {
  const house = {
    local_bbox_from: [0, 0, 0],
    local_bbox_to: [2, 0, 1],
    inventory: { C: "white_concrete" },
    layers_by_y: { "0": ["CCC", "CCC"] },
  };
  const prompt = (options: Record<string, unknown>) => {
    const environment = createHouseBuild({ prompt_style: "compact", ...options });
    return environment.reset(environment.task(house).task, 0).observations["agent_1"]!.text;
  };
  // Each of two agents may spend 3 + 1 of the 6 cells; one alone, or without limits, all of them.
  const rows = "t1 a1 d5/5\n0 0 0 2 0 0 white_concrete\n0 0 1 2 0 1 white_concrete\n";
  assert.equal(prompt({}), rows);
  for (const options of [{ agents: 1 }, { limited_resource: false }]) {
    assert.equal(prompt(options), "t1 a1 d5/5\n0 0 0 2 0 1 white_concrete\n");
  }
});

Deno.test("task takes ids and houses with rules of their own, under ids that tell them apart", () => {
  assert.deepEqual(PAPER.task({ id: "house_build_0104" }), PAPER.task("house_build_0104"));
  const changed = PAPER.task({ id: "house_build_0104", player_hp: 10, spider_attacks: [9] });
  assert.match(changed.id, /^house_build_0104_[0-9a-f]{16}$/);
  assert.deepEqual(changed.task.spider_attacks, [9]);
  assert.ok(Math.abs(PAPER.score(changed.task, NOTHING).components["penalty"]! - 0.09) < 1e-12);
  const house = {
    local_bbox_from: [10, 64, -5],
    local_bbox_to: [11, 64, -5],
    inventory: { A: "air", g: "minecraft:glass" },
    layers_by_y: { "64": ["gA"] },
    spider_attacks: [],
  };
  const { id, task } = PAPER.task(house);
  assert.match(id, /^house_build_inline_[0-9a-f]{16}$/);
  assert.equal(PAPER.task({ ...house, max_commands: 600 }).id, id);
  assert.notEqual(PAPER.task({ ...house, max_commands: 60 }).id, id);
  assert.match(PAPER.task({ ...house, task_id: "mine" }).id, /^house_build_mine_/);
  const action = { agent_1: "/fill 10 64 -5 10 64 -5 glass", agent_2: "" };
  assert.equal(PAPER.score(task, action).rewards["agent_1"], 1);
  assert.deepEqual(PAPER.task(JSON.parse(JSON.stringify(task))), { id, task });
});

Deno.test("task refuses unknown ids and broken houses and names the field", () => {
  const good = {
    local_bbox_from: [0, 0, 0],
    local_bbox_to: [1, 0, 0],
    inventory: { A: "air", C: "stone" },
    layers_by_y: { "0": ["AC"] },
  };
  const refuse = (change: Record<string, unknown>, message: RegExp) =>
    assert.throws(() => PAPER.task({ ...good, ...change }), {
      name: "CollmError",
      code: "invalid_request",
      message,
    });
  refuse({ layers_by_z: {} }, /unknown field 'layers_by_z', did you mean 'layers_by_y'\?/);
  refuse({ local_bbox_from: [0, 0] }, /field 'local_bbox_from' is \[0,0\]/);
  refuse({ local_bbox_to: [-1, 0, 0] }, /field 'local_bbox_to' is \[-1,0,0\]: .* not be less/);
  refuse({ local_bbox_to: [999, 0, 0] }, /at most 64 cells a side/);
  refuse({ layers_by_y: { "0": ["AC"], "1": ["AC"] } }, /field 'layers_by_y' is "1": layers are/);
  refuse({ layers_by_y: {} }, /layer 0 must have 1 rows/);
  refuse({ layers_by_y: { "0": ["ACA"] } }, /must have 2 cells/);
  refuse({ layers_by_y: { "0": ["AX"] } }, /letter 'X' is not in the inventory/);
  refuse({ inventory: { A: "air", C: "Stone" } }, /lower-case/);
  refuse({ spider_attacks: [-1] }, /field 'spider_attacks\[0\]'/);
  refuse({ max_commands: 0 }, /field 'max_commands' is 0/);
  for (
    const input of [null, 3, [], "house_build_9999", "house_build_eval_6x7x7_064", { id: "x" }]
  ) {
    assert.throws(() => PAPER.task(input), { name: "CollmError" }, JSON.stringify(input));
  }
});

Deno.test("createHouseBuild refuses options that do not go together", () => {
  const refuse = (options: Record<string, unknown>, message: RegExp) =>
    assert.throws(() => createHouseBuild(options), { name: "CollmError", message });
  refuse({ prompt_style: "compact", feedback: "perfect_feedback" }, /needs prompt_style 'paper'/);
  refuse({ feedback: "resource_schedule", limited_resource: false }, /needs limited_resource true/);
  refuse({ sizes: [[6, 7, 99]] }, /option 'sizes\[0\]\[2\]' is 99/);
  refuse({ agents: 3 }, /it must be 1 or 2/);
});

Deno.test("render draws the build with the cells that are missing and wrong", () => {
  const svg = PAPER.render!(TASK, { agent_1: "/fill 0 0 0 0 0 1 obsidian", agent_2: "" }, "before");
  assert.match(svg, /^<svg /);
  assert.match(svg, /before/);
  assert.match(svg, /#e0342b/);
  assert.match(svg, /stroke-dasharray/);
});
