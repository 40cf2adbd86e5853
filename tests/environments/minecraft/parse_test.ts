/** Reading of commands: published rejections of both Minecraft tasks, and odd texts. */
import assert from "node:assert/strict";
import {
  commandLines,
  commandText,
  MAX_REPORTED,
  parseCommands,
} from "../../../shared/environments/minecraft/parse.ts";
import {
  applyCommands,
  blockAt,
  emptyWorld,
} from "../../../shared/environments/minecraft/world.ts";
import { splitLines, splitWords, strip } from "../../../shared/environments/python_text.ts";
import { golden } from "../golden.ts";

const SETBLOCK = {
  verbs: ["setblock"],
  blocks: ["stone"],
  box: { from: [0, 0, 0], to: [4, 4, 0] },
  limit: 9,
} as const;
const FILL = {
  verbs: ["fill", "kill"],
  blocks: ["white_concrete", "obsidian"],
  box: { from: [0, 0, 0], to: [2, 1, 1] },
  limit: 300,
} as const;

interface HouseCase {
  name: string;
  input: {
    task: string;
    agent1: string;
    agent2: string;
    max_commands: number;
    limited_resource: boolean;
  };
  accepted_per_agent: number[];
  rejected_reasons: string[][];
}

Deno.test("parseCommands rejects /fill lines with the published reasons", () => {
  const cases = golden<{ cases: HouseCase[] }>("house_build_reward").cases
    .filter(({ input }) => input.task === "tiny");
  assert.ok(cases.length >= 10);
  for (const { name, input, ...expected } of cases) {
    const half = input.max_commands / 2;
    const parsed = [input.agent1, input.agent2].map((text, agent) =>
      parseCommands(text, {
        ...FILL,
        limit: agent === 0 ? Math.ceil(half) : Math.floor(half),
        // The tiny target has 5 white_concrete and 2 obsidian: half each and a quarter more.
        ...(input.limited_resource ? { resources: { white_concrete: 4, obsidian: 1 } } : {}),
      })
    );
    assert.deepEqual(parsed.map((p) => p.accepted.length), expected.accepted_per_agent, name);
    const reasons = parsed.map((p) => p.rejected.map(({ reason }) => reason));
    assert.deepEqual(reasons, expected.rejected_reasons, name);
  }
});

Deno.test("parseCommands reads integers as Python does", () => {
  const read = (token: string) => parseCommands(`/setblock ${token} 0 0 stone`, SETBLOCK);
  for (const token of ["3", "+3", "03", "0_3", "٣", "３", "𝟛", "0_٣"]) {
    assert.equal(commandText(read(token).accepted[0]!), "/setblock 3 0 0 stone", token);
  }
  for (const token of ["~", "~1", "^1", "1.0", "1e0", "0x1", "_1", "1_", "1__0", "--1", "²", "Ⅲ"]) {
    const [rejection] = read(token).rejected;
    assert.equal(rejection?.reason, "setblock coords must be absolute integers (no ~)", token);
  }
});

Deno.test("parseCommands checks in the published order and ignores words after the block", () => {
  const reason = (line: string) => parseCommands(line, SETBLOCK).rejected[0]?.reason;
  assert.equal(reason("/setblock ~ 0 9"), "setblock needs: /setblock x y z block");
  assert.match(reason("/setblock ~ 9 9 dirt")!, /absolute integers/);
  assert.equal(reason("/setblock 9 9 9 minecraft:dirt"), "block not allowed: dirt");
  assert.equal(reason("/setblock 9 9 9 stone"), "setblock coord out of bbox");
  assert.equal(reason("//setblock 1 1 0 stone"), "unsupported command: /setblock");
  assert.equal(reason("/setblock 1 1 0 minecraft:stone keep"), undefined);
  assert.equal(reason("/setblock 1 1 0 minecraft:air"), undefined);
  assert.equal(reason("/"), undefined);
});

Deno.test("commandLines removes fences, language tag, list marks and blank lines", () => {
  assert.deepEqual(commandLines("a\n\n  b  \n"), ["a", "b"]);
  assert.deepEqual(commandLines("- a\n* b\n1. c\n2) d\n-- e\n-\n3f\n٤. g"), [
    ..."abcde",
    "3f",
    "g",
  ]);
  assert.deepEqual(commandLines("say\n```mc-function \na\nb\n``` c\n```\nd\n```"), ["a", "b"]);
  assert.deepEqual(commandLines("```a b\nc```"), ["a b", "c"]);
  assert.deepEqual(commandLines("```\na"), ["```", "a"]);
});

Deno.test("splitWords, splitLines and strip take white space as Python does", () => {
  assert.deepEqual(splitWords(" a\u00a0b\u0085c\u001dd\ufeffe\u3000"), ["a", "b", "c", "d\ufeffe"]);
  assert.deepEqual(splitLines("a\r\nb\rc\u2028d\u001ee\n"), ["a", "b", "c", "d", "e"]);
  assert.deepEqual(splitLines("\n\n"), ["", ""]);
  assert.equal(strip("\u001c\u3000\ufeffa \n"), "\ufeffa");
});

Deno.test("parseCommands lists a bounded number of rejections and counts them all", () => {
  const parsed = parseCommands("junk\n".repeat(3000) + "x".repeat(5000), SETBLOCK);
  assert.equal(parsed.rejected.length, MAX_REPORTED);
  assert.equal(parsed.rejectedCount, 3001);
  const long = parseCommands("x".repeat(5000), SETBLOCK).rejected[0]!;
  assert.ok(long.reason.length <= 200 && long.line.length <= 200);
});

Deno.test("applyCommands fills boxes from any corners; later writes win and air erases", () => {
  const { accepted } = parseCommands(
    "/fill 2 1 1 0 0 0 obsidian\n/kill @e[type=spider]\n/fill 1 0 0 1 1 0 air\n" +
      "/fill 0 0 1 0 0 1 minecraft:white_concrete",
    FILL,
  );
  const world = applyCommands(emptyWorld(FILL.box), accepted);
  assert.equal(blockAt(world, [2, 1, 1]), "obsidian");
  assert.equal(blockAt(world, [1, 1, 0]), "air");
  assert.equal(blockAt(world, [1, 1, 1]), "obsidian");
  assert.equal(blockAt(world, [0, 0, 1]), "white_concrete");
  assert.equal(blockAt(world, [3, 0, 0]), "air");
  assert.deepEqual(accepted.map(commandText), [
    "/fill 0 0 0 2 1 1 obsidian",
    "/kill @e[type=spider]",
    "/fill 1 0 0 1 1 0 air",
    "/fill 0 0 1 0 0 1 white_concrete",
  ]);
});
