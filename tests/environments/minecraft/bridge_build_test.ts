/** BridgeBuild: its rules turn by turn, what agents see, maps, and any text as an action. */
import assert from "node:assert/strict";
import { loadFastCheck } from "../../../deps.ts";
import { createBridgeBuild } from "../../../shared/environments/minecraft/bridge_build/index.ts";
import { measure } from "../../../shared/environments/minecraft/bridge_build/play.ts";
import { canBeBridged } from "../../../shared/environments/minecraft/bridge_build/task.ts";
import { uniforms } from "../../../shared/random.ts";

const fc = await loadFastCheck();
const environment = createBridgeBuild({ width: 7, height: 5, turns: 6 });
const NOTHING = { agent_1: "", agent_2: "" };
/** Water 5 by 3: a true pillar below the middle row, a false one above it. */
const { id: MAP_ID, task: MAP } = environment.task({ map: ["#..N..#", "S.....T", "#..Y..#"] });
const mapOf = (text: string) => text.split("down:\n")[1]!.trim().split("\n").slice(0, 3);

Deno.test("step pays for true pillars and the joined banks, and takes for blocks and false pillars", () => {
  const start = environment.reset(MAP, 0).state;
  assert.deepEqual(start.members.map(({ at }) => at), [[0, 1], [6, 1]]);
  const first = environment.step(MAP, start, {
    agent_1: "/fill 1 2 2 2 stone\n/fill 1 1 1 1 stone\n/move EE",
    agent_2: "",
  });
  // Three blocks of 13 cells of water; the block at 2,2 is beside the true pillar.
  assert.ok(Math.abs(first.rewards["agent_1"]! - (5 - 5 * 3 / 13)) < 1e-12);
  assert.deepEqual(first.state.members[0]!.at, [1, 1], "the second step would be into water");
  assert.deepEqual(
    [first.components["connected"], first.components["blocks"], first.components["accepted"]],
    [1, 3, 3],
  );
  const touching = environment.step(MAP, first.state, {
    agent_1: "/fill 2 1 3 1 stone",
    agent_2: "",
  });
  assert.ok(Math.abs(touching.rewards["agent_1"]! - (-8 - 5 * 2 / 13)) < 1e-12);
  const joined = environment.step(MAP, touching.state, {
    agent_1: "",
    agent_2: "/fill 4 1 5 1 stone",
  });
  assert.ok(Math.abs(joined.rewards["agent_2"]! - (10 - 5 * 2 / 13)) < 1e-12);
  assert.deepEqual(joined.terminations, { agent_1: true, agent_2: true });
  assert.deepEqual(joined.observations, {});
  assert.throws(() => environment.step(MAP, joined.state, NOTHING), { code: "conflict" });
});

Deno.test("step takes blocks away but never from under an agent, and joining pays once", () => {
  const bridge = { agent_1: "/fill 1 1 3 1 stone\n/move E", agent_2: "/fill 4 1 5 1 stone" };
  const { task } = environment.task({ map: ["#.....#", "S.....T", "#.....#", "#..Y..#"] });
  const start = environment.reset(task, 0).state;
  const built = environment.step(task, start, bridge);
  assert.ok(Math.abs(built.rewards["agent_1"]! - (10 - 5 * 5 / 19)) < 1e-12);
  assert.equal(built.terminations["agent_1"], false, "the pillar is not connected yet");
  const gone = environment.step(task, built.state, { agent_1: "/fill 0 0 4 2 air", agent_2: "" });
  assert.equal(gone.state.rows[1], "S=...=T");
  const again = environment.step(task, gone.state, { agent_1: "/fill 2 1 4 1 stone", agent_2: "" });
  assert.ok(again.rewards["agent_1"]! < 0);
  assert.equal(again.components["joined"], 1);
});

Deno.test("episodes are cut off, not ended, when turns run out", () => {
  let { state } = environment.reset(MAP, 0);
  for (let turn = 1; turn <= 6; turn++) {
    const result = environment.step(MAP, state, NOTHING);
    assert.deepEqual(result.truncations, { agent_1: turn === 6, agent_2: turn === 6 });
    assert.equal(result.terminations["agent_1"], false);
    ({ state } = result);
  }
  assert.throws(() => environment.step(MAP, state, NOTHING), { code: "conflict" });
});

Deno.test("agents see their surroundings, pillars alike, until a probe or a message tells", () => {
  const { state, observations } = environment.reset(MAP, 0);
  assert.deepEqual(mapOf(observations["agent_1"]!.text), ["#..P???", "S...???", "#..P???"]);
  assert.deepEqual(mapOf(observations["agent_2"]!.text), ["???P..#", "???...T", "???P..#"]);
  const next = environment.step(MAP, state, {
    agent_1: "/probe 3 0\n/probe 3 2\n/say false at 3,0 and 9,9 and 5,0",
    agent_2: "/probe 1 1\n/probe 4 0",
  });
  assert.deepEqual(mapOf(next.observations["agent_1"]!.text), ["#..N???", "S...???", "#..Y???"]);
  const second = next.observations["agent_2"]!.text;
  assert.deepEqual(mapOf(second), ["???N..#", "???...T", "???P..#"], "only what was told");
  assert.match(second, /\nagent_1: false at 3,0 and 9,9 and 5,0$/);
  assert.doesNotMatch(next.observations["agent_1"]!.text, /Messages/);
  assert.deepEqual(next.infos["agent_2"], {
    accepted_lines: 0,
    rejected_lines: 2,
    rejected: [
      { line: "/probe 1 1", reason: "out of sight" },
      { line: "/probe 4 0", reason: "no pillar" },
    ],
  });
  const later = environment.step(MAP, next.state, NOTHING).observations["agent_2"]!.text;
  assert.deepEqual(mapOf(later), ["???N..#", "???...T", "???P..#"], "looking does not forget");
});

Deno.test("a JSON object means the same as lines", () => {
  const { state } = environment.reset(MAP, 0);
  const lines = "/say look 3,0\n/probe 3 0\n/fill 1 1 2 1 stone\n/move EE";
  const object = JSON.stringify({
    comm: "look 3,0",
    probe: [[3, 0]],
    cmds: ["/fill 1 1 2 1 stone"],
    path: ["E", "E"],
  });
  const step = (agent_1: string) => environment.step(MAP, state, { agent_1, agent_2: "" });
  for (
    const text of [
      object,
      "```json\n" + object + "\n```",
      JSON.stringify(JSON.parse(object), null, 2),
    ]
  ) {
    assert.deepEqual(step(text), step(lines));
  }
});

Deno.test("rewards of any play add up to the potential at the end, and stay in the range", () => {
  const number = fc.integer({ min: -1, max: 7 });
  const line = fc.oneof(
    fc.tuple(number, number, number, number, fc.constantFrom("stone", "air"))
      .map((words) => `/fill ${words.join(" ")}`),
    fc.constantFrom("/move EEEE", "/move NW", "/move SS", "/probe 3 0", "/say 3,0 3,2", "{", "```"),
    fc.string({ unit: "binary" }),
  );
  const text = fc.array(line, { maxLength: 12 }).map((lines) => lines.join("\n"));
  const turns = fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 6 });
  const [least, greatest] = environment.rewardRange;
  fc.assert(fc.property(turns, (played) => {
    let { state } = environment.reset(MAP, 0);
    let sum = 0;
    for (const [agent_1, agent_2] of played) {
      const result = environment.step(MAP, state, { agent_1, agent_2 });
      const copy = environment.step(MAP, JSON.parse(JSON.stringify(state)), { agent_1, agent_2 });
      assert.deepEqual(copy, result, "a step depends on its arguments alone");
      const reward = result.rewards["agent_1"]!;
      assert.ok(reward >= least && reward <= greatest);
      sum += reward;
      ({ state } = result);
      if (result.terminations["agent_1"]) break;
    }
    const end = measure(state.rows).potential + (state.joined ? 10 : 0);
    assert.ok(Math.abs(sum - end) < 1e-9, `${sum} instead of ${end}`);
  }));
});

Deno.test("generated maps can be bridged, differ, and no held-out one is in train", () => {
  const maps = (split: string, count: number) =>
    Array.from({ length: count }, (_, i) => environment.item(split, i).task.map);
  const [train, held] = [maps("train", 400), maps("eval_large", 256)];
  assert.ok([...train, ...held].every(canBeBridged));
  const text = (map: string[]) => map.join("\n");
  const seen = new Set(train.map(text));
  assert.ok(held.every((map) => !seen.has(text(map))));
  assert.ok(seen.size > 390);
  assert.deepEqual(maps("eval", 64), held.slice(0, 64));
  const item = environment.item("train", 123);
  assert.equal(item.id, "bridge_build_train_7x5_000123");
  assert.deepEqual(createBridgeBuild().task(item.id), item);
});

Deno.test("task refuses unknown ids and broken maps", () => {
  assert.match(MAP_ID, /^bridge_build_map_[0-9a-f]{8}$/);
  for (const id of ["bridge_build_eval_7x5_064", "bridge_build_train_99x99_000001", "bridge"]) {
    assert.throws(() => environment.task(id), { name: "CollmError", code: "not_found" }, id);
  }
  const refuse = (input: unknown, message: RegExp) =>
    assert.throws(() => environment.task(input), { code: "invalid_request", message });
  refuse({ map: ["S.T", "##"] }, /field 'map' .*rows differ in length/);
  refuse({ map: ["S.S"] }, /it has 2 S instead of one/);
  refuse({ map: ["S?T"] }, /letters # \. S T Y N/);
  refuse({ mapp: [] }, /did you mean 'map'/);
  assert.throws(() => createBridgeBuild({ view: 0 }), { message: /option 'view' is 0/ });
});

Deno.test("step takes a megabyte of any text in bounded time and memory", () => {
  const size = 1 << 20;
  const random = uniforms(1);
  const texts = [
    Array.from({ length: size }, () => String.fromCharCode(random() * 65536)).join(""),
    "/say " + "1,1 ".repeat(size / 4),
    "/move " + "N".repeat(size),
    "{" + '"comm":'.repeat(size / 8),
    `{"path":"${"N".repeat(size)}"}`,
    "[".repeat(size),
    "/fill 0 0 6 2 stone\n".repeat(size / 20),
    " ".repeat(size) + "x",
  ];
  // Each takes about 0.1 s; with a quadratic pass over a megabyte the test would not end for hours.
  for (const agent_1 of texts) {
    const { state } = environment.reset(MAP, 0);
    const result = environment.step(MAP, state, { agent_1, agent_2: "" });
    assert.ok(JSON.stringify(result).length < 20_000);
  }
});

Deno.test("render draws the map after one turn", () => {
  const svg = environment.render!(MAP, { agent_1: "/fill 1 1 2 1 stone", agent_2: "" });
  assert.match(svg, /^<svg [^>]*width="\d+"/);
  assert.equal(svg.match(/#8f959e/g)?.length, 2);
  assert.match(svg, /2 blocks, 0 true and 0 false pillars/);
});

Deno.test("step takes one move a turn, and tells why fields of another type are refused", () => {
  const { state } = environment.reset(MAP, 0);
  const info = (agent_1: string) =>
    environment.step(MAP, state, { agent_1, agent_2: "" }).infos["agent_1"] as {
      accepted_lines: number;
      rejected: { line: string; reason: string }[];
    };
  const moves = info("/fill 1 1 2 1 stone\n/move E\n/move E");
  assert.equal(moves.accepted_lines, 2);
  assert.deepEqual(moves.rejected, [{ line: "/move E", reason: "one move a turn" }]);
  for (
    const [text, reason] of [
      ['{"probe":5}', "probe needs 2 words"],
      ['{"gather":"x"}', "unsupported command: gather"],
      ['{"cmds":"/nothing"}', "unsupported command: nothing"],
      ['{"other":1}', 'unsupported command: {"other":1}'],
    ] as const
  ) {
    const { accepted_lines, rejected } = info(text);
    assert.deepEqual([accepted_lines, rejected[0]?.reason], [0, reason], text);
  }
});
