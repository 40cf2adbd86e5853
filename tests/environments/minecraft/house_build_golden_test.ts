/** HouseBuild against the numbers of the published code: rewards, tasks, feedback facts. */
import assert from "node:assert/strict";
import { build } from "../../../shared/environments/minecraft/house_build/build.ts";
import {
  firstWrongCells,
  ownLayers,
  ownWrongCells,
  rewardText,
  schedule,
  targetCells,
  wrongCells,
  wrongRectangles,
} from "../../../shared/environments/minecraft/house_build/feedback.ts";
import { createHouseBuild } from "../../../shared/environments/minecraft/house_build/index.ts";
import {
  type Rectangle,
  rectangles,
} from "../../../shared/environments/minecraft/house_build/rectangles.ts";
import {
  houseOf,
  type HouseTask,
  resourceLimits,
} from "../../../shared/environments/minecraft/house_build/task.ts";
import { commandText } from "../../../shared/environments/minecraft/parse.ts";
import { close, golden } from "../golden.ts";

interface Case {
  name: string;
  input: {
    task: string;
    agent1: string;
    agent2: string;
    max_commands: number;
    limited_resource: boolean;
    player_hp: number;
    spider_atk: number[];
  };
  expected: number;
  match: number;
  match_correct: number;
  match_total: number;
  iou: number;
  penalty: number;
  accepted_per_agent: number[];
  rejected_reasons: string[][];
}

interface GoldenTask {
  task_id: string;
  bbox_from: number[];
  bbox_to: number[];
  layers_by_y: Record<string, string[]>;
  inventory: Record<string, string>;
  block_counts: Record<string, number>;
  limits_2_agents: Record<string, number>;
  limits_1_agent: Record<string, number>;
  rects: [y: number, x1: number, z1: number, x2: number, z2: number, block: string][];
}

const rewards = golden<{
  blocks_both_agents: string[];
  tiny_tasks: Record<string, Record<string, unknown>>;
  cases: Case[];
}>("house_build_reward");
const tasks = golden<{ tasks: GoldenTask[] }>("house_build_tasks").tasks;
const environment = createHouseBuild();

/** The task of a golden case: a published house by its id, another one by value. */
function taskOf({ task, max_commands, limited_resource, player_hp, spider_atk }: Case["input"]) {
  const house = Object.hasOwn(rewards.tiny_tasks, task) ? rewards.tiny_tasks[task] : { id: task };
  const rules = { max_commands, limited_resource, player_hp, spider_attacks: spider_atk };
  return environment.task({ ...house, ...rules }).task;
}

Deno.test("build gives every published reward, match, IoU, penalty and rejection", () => {
  assert.ok(rewards.cases.length >= 30);
  for (const { name, input, ...expected } of rewards.cases) {
    const { metrics, parsed } = build(taskOf(input), [input.agent1, input.agent2]);
    close(metrics.reward, expected.expected, name);
    for (const key of ["match", "match_correct", "match_total", "iou", "penalty"] as const) {
      close(metrics[key], expected[key], `${name} ${key}`);
    }
    assert.deepEqual(parsed.map((p) => p.accepted.length), expected.accepted_per_agent, name);
    const reasons = parsed.map((p) => p.rejected.map(({ reason }) => reason));
    assert.deepEqual(reasons, expected.rejected_reasons, name);
  }
});

Deno.test("score and step give every published reward, in both modes of compatibility", () => {
  for (const compat of ["fixed", "reference"]) {
    const pair = createHouseBuild({ compat });
    for (const { name, input, expected, match, penalty } of rewards.cases) {
      const actions = { agent_1: input.agent1, agent_2: input.agent2 };
      const task = taskOf(input);
      const scored = pair.score(task, actions);
      close(scored.rewards["agent_1"]!, expected, name);
      close(scored.components["match"]!, match, name);
      close(scored.components["level_2"]!, -penalty, name);
      const { state } = pair.reset(task, 0);
      assert.deepEqual(pair.step(task, state, actions).rewards, scored.rewards);
    }
  }
});

Deno.test("item gives the ten published houses with their counts, limits and rectangles", () => {
  const published = tasks.filter(({ task_id }) => task_id !== "tiny");
  assert.equal(published.length, 10);
  published.forEach((expected, index) => {
    const item = environment.item("paper", index);
    assert.equal(item.id, expected.task_id);
    assert.deepEqual(environment.task(item.id), item);
    const { task } = item;
    assert.deepEqual(task.local_bbox_from, expected.bbox_from);
    assert.deepEqual(task.local_bbox_to, expected.bbox_to);
    assert.deepEqual(task.layers_by_y, expected.layers_by_y, item.id);
    assert.deepEqual(task.inventory, expected.inventory);
  });
  const distinct = new Set(published.map(({ layers_by_y }) => JSON.stringify(layers_by_y)));
  assert.equal(distinct.size, 5);
  for (const expected of tasks) {
    const { bbox_from: local_bbox_from, bbox_to: local_bbox_to, inventory, layers_by_y } = expected;
    const { task } = environment.task({ local_bbox_from, local_bbox_to, inventory, layers_by_y });
    const house = houseOf(task);
    const { air: _, ...solid } = expected.block_counts;
    assert.deepEqual(house.counts, solid, expected.task_id);
    assert.deepEqual(resourceLimits(house, 2), expected.limits_2_agents, expected.task_id);
    assert.deepEqual(resourceLimits(house, 1), expected.limits_1_agent, expected.task_id);
    const rects = rectangles(house).map((
      { y, x1, z1, x2, z2, block },
    ) => [y, x1, z1, x2, z2, block]);
    assert.deepEqual(rects, expected.rects, expected.task_id);
  }
});

type Actions = { task: string; agent1: string; agent2: string };
type Listed = [y: number, corners: [x1: number, z1: number, x2: number, z2: number], block: string];
type Facts<More = unknown> = { cases: (Actions & More)[] };

const facts = golden<{
  house_build_score_feedback: Facts<{ previous_reward_text: string }>;
  house_build_position_feedback: Facts<
    { count: number; subset_target: number; first3: unknown[] }
  >;
  house_build_perfect_feedback: Facts<{ counts: number[]; first3: unknown[][] }>;
  house_build_position_modification: Facts<{ limit: number; positions: unknown[] }>;
  house_build_rect_modification: Facts<
    { limit: number; rects: Listed[][]; accepted: string[][] }
  >;
  house_build_resource_schedule: Facts<
    { rects: Listed[][]; remaining_shown: Record<string, number>[] }
  >;
}>("feedback_facts");

function built({ task, agent1, agent2 }: Actions) {
  return build(environment.task(task).task as HouseTask, [agent1, agent2]);
}

const listed = ({ y, x1, z1, x2, z2, block }: Rectangle): Listed => [y, [x1, z1, x2, z2], block];

Deno.test("score_feedback and position_feedback tell the published facts", () => {
  for (const { previous_reward_text, ...actions } of facts.house_build_score_feedback.cases) {
    assert.equal(rewardText(built(actions).metrics.reward), previous_reward_text, actions.task);
  }
  for (const expected of facts.house_build_position_feedback.cases) {
    const { task } = environment.task(expected.task);
    const cells = targetCells(houseOf(task));
    assert.equal(cells.length, expected.count);
    assert.deepEqual(cells.slice(0, 3), expected.first3);
    assert.equal(Math.max(1, Math.floor(houseOf(task).solid / 2)), expected.subset_target);
  }
});

Deno.test("perfect_feedback and position_modification list the published cells", () => {
  for (const { counts, first3, ...actions } of facts.house_build_perfect_feedback.cases) {
    const { house, world } = built(actions);
    const own = [0, 1].map((agent) => ownWrongCells(wrongCells(house, world), agent, 2));
    assert.deepEqual(own.map(({ length }) => length), counts, actions.task);
    assert.deepEqual(own.map((cells) => cells.slice(0, 3)), first3, actions.task);
  }
  for (const { limit, positions, ...rest } of facts.house_build_position_modification.cases) {
    const { house, world } = built(rest);
    assert.deepEqual(firstWrongCells(wrongCells(house, world), limit), positions, rest.task);
  }
});

Deno.test("rect_modification and resource_schedule list the published rectangles", () => {
  for (const { limit, rects, accepted, ...rest } of facts.house_build_rect_modification.cases) {
    const { house, world, parsed } = built(rest);
    const found = [0, 1].map((agent) =>
      wrongRectangles(house, world, ownLayers(house, agent, 2), limit).map(listed)
    );
    assert.deepEqual(found, rects, rest.task);
    assert.deepEqual(parsed.map((p) => p.accepted.map(commandText)), accepted);
  }
  for (const { rects, remaining_shown, ...rest } of facts.house_build_resource_schedule.cases) {
    const { house, world, parsed } = built(rest);
    for (const wrongOnly of [world, null]) {
      const advice = parsed.map(({ accepted }) => schedule(house, wrongOnly, accepted, 2));
      assert.deepEqual(advice.map((a) => a.rectangles.map(listed)), rects, rest.task);
      assert.deepEqual(advice.map(({ remaining }) => remaining), remaining_shown, rest.task);
    }
  }
});
