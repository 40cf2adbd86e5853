/** ResourceGathering: its rules turn by turn, what agents see, maps, and any text as an action. */
import assert from "node:assert/strict";
import { loadFastCheck } from "../../../deps.ts";
import { createResourceGathering } from "../../../shared/environments/minecraft/resource_gathering/index.ts";

const fc = await loadFastCheck();
const environment = createResourceGathering({ turns: 6 });
const NOTHING = { agent_1: "", agent_2: "" };
const { task: MAP } = environment.task({
  map: ["W......S", "........", ".......I"],
  starts: [[3, 1], [4, 1]],
  goal: { W: 1, S: 1, I: 1 },
});
const mapOf = (text: string) => text.split("down:\n")[1]!.trim().split("\n").slice(0, 3);
const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-12, `${a} instead of ${b}`);

Deno.test("step pays progress, zones, messages and the goal, each its published weight", () => {
  const start = environment.reset(MAP, 0).state;
  assert.deepEqual(mapOf(environment.reset(MAP, 0).observations["agent_1"]!.text), [
    "?.....??",
    "?.....??",
    "?.....??",
  ]);
  // agent_1 walks west until wood is in sight and in range (0.15), agent_2 east.
  const first = environment.step(MAP, start, { agent_1: "/move W", agent_2: "/move E" });
  near(first.rewards["agent_1"]!, 0.15 + 0.15 + 0.15);
  assert.deepEqual(first.state.members[0]!.at, [2, 1]);
  const second = environment.step(MAP, first.state, {
    agent_1: "/move W\n/gather 0 0\n/gather 7 0",
    agent_2: "/gather 0 0",
  });
  // A third of the goal, and one step nearer.
  near(second.rewards["agent_1"]!, 10 / 3 + 0.05);
  assert.deepEqual(second.infos["agent_1"], {
    accepted_lines: 2,
    rejected_lines: 1,
    rejected: [{ line: "/gather 7 0", reason: "out of reach" }],
  });
  const last = environment.step(MAP, second.state, {
    agent_1: "",
    agent_2: "/gather 7 0\n/gather 7 2\n/gather 7 2",
  });
  near(last.rewards["agent_1"]!, 20 / 3 + 4);
  assert.deepEqual(last.components, {
    wood: 1,
    stone: 1,
    iron: 1,
    progress: 1,
    accepted: 2,
    rejected: 1,
  });
  assert.deepEqual(last.terminations, { agent_1: true, agent_2: true });
  assert.throws(() => environment.step(MAP, last.state, NOTHING), { code: "conflict" });
});

Deno.test("tools differ, deposits run out, and what is gathered stays", () => {
  const { task } = environment.task({
    map: ["WS..."],
    starts: [[2, 0], [3, 0]],
    goal: { W: 2, S: 2, I: 0 },
  });
  const { state } = environment.reset(task, 0);
  const first = environment.step(task, state, {
    agent_1: "/gather 0 0\n/gather 1 0",
    agent_2: "/gather 1 0\n/gather 1 0",
  });
  assert.deepEqual(first.infos["agent_1"]!["rejected"], [
    { line: "/gather 1 0", reason: "nothing there for your tool" },
  ]);
  assert.deepEqual(first.state.gathered, { W: 1, S: 2, I: 0 });
  assert.deepEqual(first.state.rows, ["W...."]);
  const second = environment.step(task, first.state, {
    agent_1: "/move W\n/gather 0 0",
    agent_2: "",
  });
  assert.deepEqual(second.state.rows, ["....."]);
  assert.equal(second.terminations["agent_1"], true);
});

Deno.test("a message pays once, when it tells the right one of a deposit it did not know", () => {
  const { task } = environment.task({
    map: ["..W......I.."],
    starts: [[8, 0], [3, 0]],
    goal: { W: 1, S: 0, I: 1 },
  });
  const { state } = environment.reset(task, 0);
  const say = { agent_1: "/say iron at 9,0", agent_2: "/say wood at 2,0" };
  const told = environment.step(task, state, say);
  near(told.rewards["agent_1"]!, 0.2);
  assert.match(told.observations["agent_2"]!.text, /\?I\?\?\nMessages:\nagent_1: iron at 9,0$/);
  assert.equal(environment.step(task, told.state, say).rewards["agent_1"], 0);
  const wrong = environment.step(task, state, { agent_1: "/say 1,0 and 2,0", agent_2: "/say 9,0" });
  assert.equal(wrong.rewards["agent_1"], 0, "nobody can tell what it does not know");
});

Deno.test("costs of moves and messages are options", () => {
  const dear = createResourceGathering({ shaping: { move_cost: 0.5, message_cost: 0.25 } });
  const { state } = dear.reset(MAP, 0);
  const { rewards } = dear.step(MAP, state, { agent_1: "/move NS\n/say hello", agent_2: "" });
  near(rewards["agent_1"]!, -1.25);
  assert.ok(dear.rewardRange[0] <= -1.25);
  assert.throws(
    () => createResourceGathering({ shaping: { progres: 1 } }),
    { name: "CollmError", code: "invalid_request" },
  );
});

Deno.test("walking to and fro earns nothing but the first approach", () => {
  const { task } = environment.task({
    map: ["W........", "........."],
    starts: [[2, 1], [8, 1]],
    goal: { W: 1, S: 0, I: 0 },
  });
  const long = createResourceGathering({ turns: 120 });
  let { state } = long.reset(task, 0);
  let sum = 0;
  for (let turn = 0; turn < 40; turn++) {
    const path = turn % 2 === 0 ? "/move EEE" : "/move WWWW";
    const result = long.step(task, state, { agent_1: path, agent_2: path });
    sum += result.rewards["agent_1"]!;
    ({ state } = result);
  }
  assert.ok(sum < 0.5, String(sum));
});

Deno.test("rewards of any play are finite and in the range, and steps are pure", () => {
  const number = fc.integer({ min: -1, max: 9 });
  const line = fc.oneof(
    fc.tuple(number, number).map((at) => `/gather ${at.join(" ")}`),
    fc.constantFrom("/move EEEE", "/move NW", "/move WWWS", "/say 0,0 7,0 7,2", "{}", "```"),
    fc.string({ unit: "binary" }),
  );
  const text = fc.array(line, { maxLength: 8 }).map((lines) => lines.join("\n"));
  const turns = fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 6 });
  const [least, greatest] = environment.rewardRange;
  fc.assert(fc.property(turns, (played) => {
    let { state } = environment.reset(MAP, 0);
    for (const [agent_1, agent_2] of played) {
      const result = environment.step(MAP, state, { agent_1, agent_2 });
      const copy = environment.step(MAP, JSON.parse(JSON.stringify(state)), { agent_1, agent_2 });
      assert.deepEqual(copy, result);
      const reward = result.rewards["agent_1"]!;
      assert.ok(reward >= least - 1e-9 && reward <= greatest + 1e-9, String(reward));
      ({ state } = result);
      if (result.terminations["agent_1"]) break;
    }
  }));
});

Deno.test("generated maps hold what the goal asks for, and no held-out one is in train", () => {
  const tasks = (split: string, count: number) =>
    Array.from({ length: count }, (_, i) => environment.item(split, i).task);
  const [train, held] = [tasks("train", 300), tasks("eval_large", 256)];
  for (const task of [...train, ...held]) {
    assert.deepEqual(environment.task(JSON.parse(JSON.stringify(task))).task, task);
  }
  const seen = new Set(train.map((task) => JSON.stringify(task)));
  assert.equal(seen.size, 300);
  assert.ok(held.every((task) => !seen.has(JSON.stringify(task))));
  const item = environment.item("eval", 7);
  assert.equal(item.id, "resource_gathering_eval_9x9_007");
  assert.deepEqual(environment.task(item.id), item);
});

Deno.test("task refuses unknown ids and maps that cannot be solved", () => {
  assert.throws(() => environment.task("resource_gathering_eval_9x9_7"), { code: "not_found" });
  const refuse = (input: unknown, message: RegExp) =>
    assert.throws(() => environment.task(input), { code: "invalid_request", message });
  refuse({ map: ["W..", ".."] }, /rows differ in length/);
  refuse({ map: ["W.."] }, /field 'goal' .*the map has 2 units of W/);
  refuse({ map: ["W.."], goal: { W: 0, S: 0, I: 0 } }, /nothing is asked for/);
  refuse({ map: ["W##"], goal: { W: 1, S: 0, I: 0 } }, /too little ground/);
  refuse({ map: ["W.."], starts: [[0, 0], [1, 0]], goal: { W: 1, S: 0, I: 0 } }, /not on ground/);
});

Deno.test("render draws the map with both agents", () => {
  const svg = environment.render!(MAP, NOTHING, "start");
  assert.match(svg, /^<svg /);
  assert.equal(svg.match(/<circle/g)?.length, 2);
  assert.match(svg, /wood 0\/1, stone 0\/1, iron 0\/1/);
});
