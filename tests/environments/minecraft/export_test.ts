/**
 * Exports of what was built: commands, schematics, and, with the packages of the game's community
 * in the folder COLLM_MINECRAFT (its `node_modules`), their reader and a real server.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requireFrom } from "../../../deps.ts";
import { solidBoxes } from "../../../shared/environments/minecraft/export/boxes.ts";
import {
  mcfunction,
  worldCommands,
} from "../../../shared/environments/minecraft/export/functions.ts";
import { schematic } from "../../../shared/environments/minecraft/export/schematic.ts";
import { blockName } from "../../../shared/environments/minecraft/export/names.ts";
import {
  buildInServer,
  type CreateBot,
} from "../../../shared/environments/minecraft/export/server.ts";
import { createHouseBuild } from "../../../shared/environments/minecraft/house_build/index.ts";
import { houseOf } from "../../../shared/environments/minecraft/house_build/task.ts";
import { createStrBuild } from "../../../shared/environments/minecraft/str_build/index.ts";
import {
  applyCommands,
  blockAt,
  emptyWorld,
  positions,
  type World,
} from "../../../shared/environments/minecraft/world.ts";
import { readNbt } from "./scripts/nbt.ts";

const houses = createHouseBuild();
/** A published house as a finished world. */
const house = (index: number): World => houseOf(houses.item("paper", index).task);

const PACKAGES = Deno.env.get("COLLM_MINECRAFT") ?? "";

/** A test that needs packages which are not part of the installation. */
function packageTest(name: string, packages: readonly string[], body: () => Promise<void>): void {
  const missing = packages.filter((one) => !existsSync(join(PACKAGES, "node_modules", one)));
  const skipped = missing.length > 0 || PACKAGES === "";
  Deno.test({
    name: skipped ? `${name} (skipped: COLLM_MINECRAFT has no ${packages.join(", ")})` : name,
    ignore: skipped,
    // The packages leave timers and sockets of their own behind.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: body,
  });
}

Deno.test("solidBoxes covers every block once and no air, with few boxes", () => {
  for (let i = 0; i < 10; i++) {
    const world = house(i);
    const boxes = solidBoxes(world);
    const cells = boxes.flatMap((box) => [...positions(box)].map((at) => at.join()));
    assert.equal(cells.length, new Set(cells).size);
    const again = emptyWorld(world.box, world.blocks);
    applyCommands(again, boxes.map((box) => ({ verb: "fill", box, block: box.block })));
    assert.deepEqual(again.cells, world.cells);
    assert.ok(boxes.length < 40, `${boxes.length} boxes`);
  }
  assert.deepEqual(solidBoxes(emptyWorld(house(0).box)), []);
});

Deno.test("mcfunction clears the box and builds relative to whoever runs it", () => {
  const world = emptyWorld({ from: [0, 0, 0], to: [2, 1, 0] });
  applyCommands(world, [
    { verb: "fill", box: { from: [0, 0, 0], to: [2, 0, 0] }, block: "planks" },
    { verb: "setblock", at: [1, 1, 0], block: "obsidian" },
  ]);
  assert.equal(
    mcfunction(world, "a\nhouse"),
    "# a house\nfill ~ ~ ~ ~2 ~1 ~ minecraft:air\nfill ~ ~ ~ ~2 ~ ~ minecraft:oak_planks\n" +
      "setblock ~1 ~1 ~ minecraft:obsidian\n",
  );
  assert.equal(worldCommands(world, [10, 64, -5])[2], "setblock 11 65 -5 minecraft:obsidian");
});

Deno.test("schematic holds size, palette and every block, as Sponge's version 2 has them", async () => {
  const world = house(8);
  const bytes = await schematic(world);
  assert.deepEqual([...bytes.slice(0, 2)], [0x1f, 0x8b]);
  const { name, value } = await readNbt(bytes);
  assert.equal(name, "Schematic");
  assert.deepEqual(
    [value["Version"], value["Width"], value["Height"], value["Length"], value["PaletteMax"]],
    [2, 6, 7, 7, 6],
  );
  assert.deepEqual(value["Offset"], [0, 0, 0]);
  const palette = Object.entries(value["Palette"] as Record<string, number>);
  const names = new Map(palette.map(([block, index]) => [index, block]));
  const data = value["BlockData"] as number[];
  assert.equal(data.length, 294);
  for (const at of positions(world.box)) {
    const found = names.get(data[(at[1] * 7 + at[2]) * 6 + at[0]]!);
    assert.equal(found, blockName(blockAt(world, at)));
  }
});

Deno.test("exportAs gives files of both building tasks and refuses other formats", async () => {
  const { task } = houses.item("paper", 0);
  const actions = { agent_1: "/fill 0 0 0 1 0 0 planks", agent_2: "" };
  const unlimited = { ...task, limited_resource: false };
  const text = new TextDecoder().decode(await houses.exportAs!(unlimited, actions, "mcfunction"));
  assert.match(text, /\nfill ~ ~ ~ ~1 ~ ~ minecraft:oak_planks\n$/);
  const letters = createStrBuild();
  const word = { word: "I", max_commands: 300 };
  const built = { agent_1: "/setblock 0 0 0 stone", agent_2: "" };
  const { value } = await readNbt(await letters.exportAs!(word, built, "schem"));
  assert.equal((value["BlockData"] as number[]).filter((index) => index !== 0).length, 1);
  await assert.rejects(letters.exportAs!(word, built, "schema"), {
    name: "CollmError",
    code: "not_found",
    message: "Cannot export world: unknown format 'schema', did you mean 'schem'?",
  });
});

packageTest(
  "schematic is read by prismarine-schematic",
  ["prismarine-schematic", "vec3"],
  async () => {
    const { Schematic } = requireFrom(PACKAGES, "prismarine-schematic") as {
      Schematic: { read(bytes: unknown, version: string): Promise<Read> };
    };
    interface Read {
      size: { x: number; y: number; z: number };
      getBlock(at: unknown): { name: string };
    }
    const { Vec3 } = requireFrom(PACKAGES, "vec3") as {
      Vec3: new (x: number, y: number, z: number) => unknown;
    };
    const { Buffer } = await import("node:buffer");
    for (const index of [0, 1, 8]) {
      const world = house(index);
      const read = await Schematic.read(Buffer.from(await schematic(world)), "1.20");
      assert.deepEqual([read.size.x, read.size.y, read.size.z], [6, 7, 7]);
      for (const at of positions(world.box)) {
        const { name } = read.getBlock(new Vec3(...at));
        assert.equal(`minecraft:${name}`, blockName(blockAt(world, at)), at.join(" "));
      }
    }
  },
);

packageTest(
  "buildInServer builds a house in a real server",
  ["mineflayer", "flying-squid", "vec3"],
  async () => {
    const port = 20_000 + Math.floor(Math.random() * 20_000);
    const script = fileURLToPath(new URL("./scripts/squid.ts", import.meta.url));
    const flags = ["-A", "--no-check", "--no-config", "--no-lock", "--node-modules-dir=manual"];
    const server = new Deno.Command(Deno.execPath(), {
      args: ["run", ...flags, script, PACKAGES, String(port)],
      cwd: PACKAGES,
      stdout: "piped",
      stderr: "null",
    }).spawn();
    try {
      const lines = server.stdout.pipeThrough(new TextDecoderStream());
      let said = "";
      for await (const text of lines.values({ preventCancel: true })) {
        said += text;
        if (said.includes("\nlistening") || said.startsWith("listening")) break;
      }
      const { createBot } = requireFrom(PACKAGES, "mineflayer") as { createBot: CreateBot };
      const world = house(8);
      const options = { host: "127.0.0.1", port, origin: [2, 20, 2] as const };
      const written = await buildInServer(createBot, world, options);
      assert.equal(written, worldCommands(world, [0, 0, 0]).length);
    } finally {
      server.kill("SIGKILL");
      await server.status;
    }
  },
);

Deno.test("buildInServer says that a server cannot be joined", async () => {
  const bot = {
    once(event: string, listener: (reason: unknown) => void) {
      if (event === "error") setTimeout(() => listener(new Error("connection refused")), 1);
    },
    quit() {},
  };
  const options = { host: "127.0.0.1", port: 1, origin: [0, 0, 0] as const };
  await assert.rejects(buildInServer((() => bot) as unknown as CreateBot, house(0), options), {
    code: "unavailable",
    message: "Cannot join Minecraft server '127.0.0.1:1': connection refused",
  });
});
