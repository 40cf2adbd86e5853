/** Properties that hold for any text: range, order of commands, bounded work. */
import assert from "node:assert/strict";
import { loadFastCheck } from "../../../deps.ts";
import { createStrBuild } from "../../../shared/environments/minecraft/str_build/index.ts";
import { shuffle, uniforms } from "../../../shared/random.ts";

const fc = await loadFastCheck();
const environment = createStrBuild();
const TASK = { word: "LI", max_commands: 60 };
const AGENTS = ["agent_1", "agent_2"] as const;

const block = fc.constantFrom("oak_planks", "stone", "white_concrete", "obsidian", "air", "dirt");
const cell = fc.record({ x: fc.integer({ min: -1, max: 12 }), y: fc.integer({ min: -1, max: 5 }) });
const command = fc.tuple(cell, block).map(([{ x, y }, name]) => `/setblock ${x} ${y} 0 ${name}`);
const line = fc.oneof(
  { weight: 4, arbitrary: command },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
  { weight: 1, arbitrary: fc.constantFrom("```", "- /setblock 0 0 0 stone", "/", "", "1.") },
);
const text = fc.array(line, { maxLength: 60 }).map((lines) => lines.join("\n"));

Deno.test("score stays in the reward range, with finite components, for any text", () => {
  const [least, greatest] = environment.rewardRange;
  fc.assert(fc.property(text, text, (agent_1, agent_2) => {
    const { rewards, components } = environment.score(TASK, { agent_1, agent_2 });
    for (const agent of AGENTS) {
      assert.ok(rewards[agent]! >= least - 1e-9 && rewards[agent]! <= greatest + 1e-9);
    }
    assert.ok(Object.values(components).every(Number.isFinite));
    for (const part of ["iou", "coverage", "extra", "adjacent_same"]) {
      assert.ok(components[part]! >= 0 && components[part]! <= 1, part);
    }
  }));
});

Deno.test("score does not depend on the order of one agent's commands on distinct cells", () => {
  const cells = fc.uniqueArray(cell, { selector: ({ x, y }) => `${x} ${y}`, maxLength: 30 });
  fc.assert(
    fc.property(cells, fc.array(block, { minLength: 30 }), text, fc.nat(), (at, of, b, n) => {
      const lines = at.map(({ x, y }, i) => `/setblock ${x} ${y} 0 ${of[i]}`);
      const score = (own: string[]) =>
        environment.score(TASK, { agent_1: own.join("\n"), agent_2: b }).rewards;
      assert.deepEqual(score(shuffle([...lines], uniforms(n))), score(lines));
    }),
  );
});

Deno.test("step gives the observations of the same accepted commands, however they were written", () => {
  fc.assert(fc.property(text, text, (agent_1, agent_2) => {
    const { state } = environment.reset(TASK, 0);
    const first = environment.step(TASK, state, { agent_1, agent_2 });
    const clean = AGENTS.map((agent) => first.state.commands[agent]!.join("\n"));
    const again = environment.step(TASK, state, { agent_1: clean[0]!, agent_2: clean[1]! });
    assert.deepEqual(again.state, first.state);
    assert.deepEqual(again.observations, first.observations);
  }));
});

Deno.test("score takes a megabyte of any text in bounded time and memory", () => {
  const size = 1 << 20;
  const random = uniforms(1);
  const binary = Array.from({ length: size }, () => String.fromCharCode(random() * 65536)).join("");
  const texts = [
    binary,
    " ".repeat(size) + "x",
    "/setblock " + "1".repeat(size) + " 0 0 stone",
    "/setblock " + "1_".repeat(size / 2) + " 0 0 stone",
    "x".repeat(size),
    "-".repeat(size),
    "1".repeat(size),
    "a\n".repeat(size / 2),
    "```".repeat(size / 3),
    "```" + "a".repeat(size) + "```",
    "```a" + " ".repeat(size) + "x```",
    "/setblock 0 0 0 stone\n".repeat(size / 22),
    "/setblock 0 0 0 minecraft:" + "y".repeat(size),
  ];
  // Each takes about 0.1 s; with a quadratic pass over a megabyte the test would not end for hours.
  for (const agent_1 of texts) {
    const { state } = environment.reset(TASK, 0);
    const { state: next, infos } = environment.step(TASK, state, { agent_1, agent_2: "" });
    assert.ok(JSON.stringify([next, infos]).length < 20_000);
  }
});
