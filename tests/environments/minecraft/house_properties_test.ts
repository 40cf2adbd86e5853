/** Properties of HouseBuild that hold for any text: range, splitting, swapping, bounded work. */
import assert from "node:assert/strict";
import { loadFastCheck } from "../../../deps.ts";
import { createHouseBuild } from "../../../shared/environments/minecraft/house_build/index.ts";
import { uniforms } from "../../../shared/random.ts";

const fc = await loadFastCheck();
const environment = createHouseBuild();
const TASK = environment.item("paper", 8).task;
const FREE = environment.task({ id: "house_build_0108", limited_resource: false }).task;

const block = fc.constantFrom(
  "white_concrete",
  "obsidian",
  "stone_stairs",
  "planks",
  "air",
  "dirt",
);
const corner = fc.tuple(
  fc.integer({ min: 0, max: 5 }),
  fc.integer({ min: 0, max: 6 }),
  fc.integer({ min: 0, max: 6 }),
);
const fill = fc.tuple(corner, corner, block).map(([a, b, name]) =>
  `/fill ${a.join(" ")} ${b.join(" ")} ${name}`
);
const line = fc.oneof(
  { weight: 4, arbitrary: fill },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
  { weight: 1, arbitrary: fc.constantFrom("```", "/kill", "/fill 0 0 0 9 9 9 planks", "", "1.") },
);
const text = fc.array(line, { maxLength: 30 }).map((lines) => lines.join("\n"));

Deno.test("score stays in the reward range, with finite components, for any text", () => {
  fc.assert(fc.property(text, text, (agent_1, agent_2) => {
    const { rewards, components } = environment.score(TASK, { agent_1, agent_2 });
    assert.ok(rewards["agent_1"]! >= -0.1 - 1e-9 && rewards["agent_1"]! <= 1 + 1e-9);
    assert.equal(rewards["agent_1"], rewards["agent_2"]);
    assert.ok(Object.values(components).every(Number.isFinite));
    for (const part of ["match", "iou"]) {
      assert.ok(components[part]! >= 0 && components[part]! <= 1, part);
    }
    assert.equal(components["match"]! - components["penalty"]!, components["level_total"]);
  }));
});

Deno.test("match stays when a /fill is split into fills of one cell, without limits", () => {
  fc.assert(fc.property(corner, corner, block, text, (a, b, name, other) => {
    const cells: string[] = [];
    for (let x = Math.min(a[0], b[0]); x <= Math.max(a[0], b[0]); x++) {
      for (let y = Math.min(a[1], b[1]); y <= Math.max(a[1], b[1]); y++) {
        for (let z = Math.min(a[2], b[2]); z <= Math.max(a[2], b[2]); z++) {
          cells.push(`/fill ${x} ${y} ${z} ${x} ${y} ${z} ${name}`);
        }
      }
    }
    const whole = `/fill ${a.join(" ")} ${b.join(" ")} ${name}`;
    const match = (agent_2: string) =>
      environment.score(FREE, { agent_1: other, agent_2 }).components["match"];
    assert.equal(match(cells.join("\n")), match(whole));
  }));
});

Deno.test("reward stays when agents with disjoint regions are swapped", () => {
  const below = fc.tuple(corner, corner, block).map(([a, b, name]) =>
    `/fill ${a[0]} ${a[1] % 3} ${a[2]} ${b[0]} ${b[1] % 3} ${b[2]} ${name}`
  );
  const above = fc.tuple(corner, corner, block).map(([a, b, name]) =>
    `/fill ${a[0]} ${3 + a[1] % 4} ${a[2]} ${b[0]} ${3 + b[1] % 4} ${b[2]} ${name}`
  );
  const joined = (lines: string[]) => lines.join("\n");
  const lower = fc.array(below, { maxLength: 20 }).map(joined);
  const upper = fc.array(above, { maxLength: 20 }).map(joined);
  fc.assert(fc.property(lower, upper, (a, b) => {
    const reward = (agent_1: string, agent_2: string) =>
      environment.score(TASK, { agent_1, agent_2 }).rewards["agent_1"];
    assert.equal(reward(a, b), reward(b, a));
  }));
});

Deno.test("step gives the same observations for the same accepted commands in every mode", () => {
  for (
    const feedback of ["perfect_feedback", "rect_modification", "resource_schedule"] as const
  ) {
    const one = createHouseBuild({ feedback });
    fc.assert(
      fc.property(text, text, (agent_1, agent_2) => {
        const { state } = one.reset(TASK, 0);
        const first = one.step(TASK, state, { agent_1, agent_2 });
        const clean = (agent: string) => first.state.commands[agent]!.join("\n");
        const again = one.step(TASK, state, {
          agent_1: clean("agent_1"),
          agent_2: clean("agent_2"),
        });
        assert.deepEqual(again.state, first.state);
        assert.deepEqual(again.observations, first.observations);
      }),
      { numRuns: 40 },
    );
  }
});

Deno.test("score takes a megabyte of any text in bounded time and memory", () => {
  const size = 1 << 20;
  const random = uniforms(1);
  const texts = [
    Array.from({ length: size }, () => String.fromCharCode(random() * 65536)).join(""),
    "/fill " + "1".repeat(size) + " 0 0 1 1 1 planks",
    "/fill " + "1_".repeat(size / 2) + " 0 0 1 1 1 planks",
    "/fill 0 0 0 5 6 6 air\n".repeat(size / 22),
    "/kill\n".repeat(size / 6),
    "/kill " + "x ".repeat(size / 2),
    "/".repeat(size),
    "1.".repeat(size / 2),
  ];
  // Each takes about 0.1 s; with a quadratic pass over a megabyte the test would not end for hours.
  for (const agent_1 of texts) {
    const { state } = environment.reset(TASK, 0);
    const { state: next, infos } = environment.step(TASK, state, { agent_1, agent_2: "" });
    assert.ok(JSON.stringify([next, infos]).length < 100_000);
  }
});
