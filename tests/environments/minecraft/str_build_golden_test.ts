/** StrBuild against the numbers of the published code: rewards, metrics, tasks, feedback facts. */
import assert from "node:assert/strict";
import { textRows } from "../../../shared/environments/minecraft/font.ts";
import { commandLimits } from "../../../shared/environments/minecraft/limits.ts";
import { readingOrder } from "../../../shared/environments/minecraft/world.ts";
import { textureFamily } from "../../../shared/environments/minecraft/textures.ts";
import { build } from "../../../shared/environments/minecraft/str_build/build.ts";
import {
  corrections,
  ownerOf,
  rewardText,
  subsetSize,
} from "../../../shared/environments/minecraft/str_build/feedback.ts";
import { targetCells, targetOf } from "../../../shared/environments/minecraft/str_build/task.ts";
import { createStrBuild } from "../../../shared/environments/minecraft/str_build/index.ts";
import { close, golden } from "../golden.ts";

interface Input {
  string: string;
  agent1: string;
  agent2: string;
  max_commands: number;
}

interface Case {
  name: string;
  input: Input;
  expected: number;
  metrics: Record<string, number>;
  accepted_per_agent: number[];
  rejected_reasons: string[][];
}

const rewards = golden<{ cases: Case[]; single_agent_cases: Case[] }>("str_build_reward");

Deno.test("build gives every published reward, metric and rejection of two agents", () => {
  assert.ok(rewards.cases.length >= 30);
  for (const { name, input, expected, metrics, ...lines } of rewards.cases) {
    const task = { word: input.string, max_commands: input.max_commands };
    const built = build(task, [input.agent1, input.agent2]);
    close(built.metrics.score_total, expected, name);
    assert.deepEqual(Object.keys(built.metrics).sort(), Object.keys(metrics).sort());
    for (const [key, value] of Object.entries(metrics)) {
      close(built.metrics[key as keyof typeof built.metrics], value, `${name} ${key}`);
    }
    assert.deepEqual(built.parsed.map((p) => p.accepted.length), lines.accepted_per_agent, name);
    const reasons = built.parsed.map((p) => p.rejected.map(({ reason }) => reason));
    assert.deepEqual(reasons, lines.rejected_reasons, name);
  }
});

Deno.test("score gives every published reward, for two agents and for one", () => {
  const [pair, single] = [createStrBuild(), createStrBuild({ agents: 1 })];
  for (const { input, expected, name } of rewards.cases) {
    const { task } = pair.task({ word: input.string, max_commands: input.max_commands });
    const result = pair.score(task, { agent_1: input.agent1, agent_2: input.agent2 });
    close(result.rewards["agent_1"]!, expected, name);
    close(result.rewards["agent_2"]!, expected, name);
    close(result.components["level_total"]!, expected, name);
  }
  assert.ok(rewards.single_agent_cases.length >= 2);
  for (const { input, expected, name } of rewards.single_agent_cases) {
    const { task } = single.task({ word: input.string, max_commands: input.max_commands });
    close(single.score(task, { agent_1: input.agent1 }).rewards["agent_1"]!, expected, name);
  }
});

interface GoldenTask {
  string: string;
  task_id: string;
  bbox_from: number[];
  bbox_to: number[];
  rows_topdown: string[];
  target_total: number;
  cells: number;
  checkerboard: { pos: [number, number, number]; block: string; owner: number }[];
}

const tasks = golden<
  { tasks: GoldenTask[]; render: { string: string; spacing: number; rows_topdown: string[] }[] }
>("str_build_tasks");

Deno.test("targetOf and ownerOf give the published tasks", () => {
  const environment = createStrBuild();
  assert.equal(tasks.tasks.length, 10);
  tasks.tasks.forEach((expected, index) => {
    const item = environment.item("paper", index);
    assert.deepEqual(item.task, { word: expected.string, max_commands: 300 });
    assert.equal(item.id, expected.task_id);
    assert.deepEqual(environment.task(expected.task_id), item);
    const target = targetOf(expected.string);
    assert.deepEqual(target.box, { from: expected.bbox_from, to: expected.bbox_to });
    assert.deepEqual(target.rows, expected.rows_topdown);
    assert.equal(target.cells.length, expected.target_total);
    assert.equal(target.width * target.rows.length, expected.cells);
    const owned = target.cells.map((pos) => {
      const { agent, block } = ownerOf(pos, 2);
      return { pos, block, owner: agent };
    });
    const byYThenX = owned.sort((a, b) => a.pos[1] - b.pos[1] || a.pos[0] - b.pos[0]);
    assert.deepEqual(byYThenX, expected.checkerboard);
  });
});

Deno.test("textRows sets lower case as capitals, other characters as blanks, any spacing", () => {
  assert.ok(tasks.render.length >= 5);
  for (const { string, spacing, rows_topdown } of tasks.render) {
    assert.deepEqual(textRows(string, spacing), rows_topdown, `'${string}'`);
  }
});

Deno.test("font and texture families are the published ones", () => {
  const constants = golden<{
    font_5x5: Record<string, string[]>;
    texture_aliases: Record<string, string>;
    suffix_rules: [string, string][];
  }>("minecraft_constants");
  assert.equal(Object.keys(constants.font_5x5).length, 26);
  for (const [letter, rows] of Object.entries(constants.font_5x5)) {
    const drawn = rows.map((row) => row.replaceAll("1", "#").replaceAll("0", "."));
    assert.deepEqual(textRows(letter), drawn, letter);
  }
  const families = [
    ...Object.entries(constants.texture_aliases),
    ...constants.suffix_rules.map(([suffix, family]) => [`some${suffix}`, family]),
  ] as [string, string][];
  for (const [block, family] of families) assert.equal(textureFamily(block), family, block);
  assert.equal(textureFamily("glass"), "glass");
});

interface FeedbackFacts {
  str_build_position_feedback: {
    cases: {
      string: string;
      positions: number[][];
      subset_target: number;
      max_commands: number[];
    }[];
  };
  str_build_perfect_feedback: {
    cases: (Omit<Input, "max_commands"> & {
      expected: { wrong: number[][]; extra: number[][] | null }[];
    })[];
  };
  str_build_score_feedback: {
    cases: (Omit<Input, "max_commands"> & { previous_reward_text: string })[];
  };
}

const facts = golden<FeedbackFacts>("feedback_facts");

Deno.test("feedback facts are the published ones", () => {
  for (const expected of facts.str_build_position_feedback.cases) {
    assert.deepEqual(readingOrder(targetCells(expected.string)), expected.positions);
    assert.equal(subsetSize(targetOf(expected.string)), expected.subset_target);
    assert.deepEqual(commandLimits(300, 2), expected.max_commands);
  }
  for (const { string, agent1, agent2, expected } of facts.str_build_perfect_feedback.cases) {
    const built = build({ word: string, max_commands: 300 }, [agent1, agent2]);
    const { wrong, extra } = corrections(built.target, built.world, 2);
    assert.deepEqual(wrong, expected.map((agent) => agent.wrong));
    assert.deepEqual(extra, expected[1]!.extra);
  }
  for (const expected of facts.str_build_score_feedback.cases) {
    const task = { word: expected.string, max_commands: 300 };
    const { metrics } = build(task, [expected.agent1, expected.agent2]);
    assert.equal(rewardText(metrics.score_total), expected.previous_reward_text);
  }
});
