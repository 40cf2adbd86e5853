/** BridgeBuild and ResourceGathering can be learnt: who reads and talks earns, who does not not. */
import assert from "node:assert/strict";
import { createBridgeBuild } from "../../../shared/environments/minecraft/bridge_build/index.ts";
import { createResourceGathering } from "../../../shared/environments/minecraft/resource_gathering/index.ts";
import type { Environment } from "../../../shared/environments/environment.ts";
import { integerBelow, uniforms } from "../../../shared/random.ts";
import { builder, scout } from "./scripts/builders.ts";
import { gatherer } from "./scripts/gatherer.ts";
import { playEpisode, type Player } from "./scripts/reading.ts";

/** Writes well-formed lines of a task with random numbers. */
function random(lines: readonly string[], seed: number): Player {
  const draw = uniforms(seed);
  const path = () => Array.from({ length: 4 }, () => "NESW"[integerBelow(draw, 4)]).join("");
  return () =>
    lines.map((line) =>
      line.replace(/%/g, () => String(integerBelow(draw, 11))).replace("PATH", path())
    ).join("\n");
}

async function returns(environment: Environment, team: (i: number) => Player[], maps: number) {
  const played = [];
  for (let i = 0; i < maps; i++) {
    played.push(await playEpisode(environment, environment.item("eval", i).task, team(i)));
  }
  const mean = played.reduce((sum, { total }) => sum + total, 0) / maps;
  return { mean, ended: played.filter(({ ended }) => ended).length };
}

const mute = (player: Player): Player => (text) =>
  player(text).split("\n").filter((line) => !line.startsWith("/say")).join("\n");

Deno.test("bridge_build pays a team that reads and talks, and not a random one", async () => {
  for (const prompt_style of ["paper", "compact"]) {
    const environment = createBridgeBuild({ prompt_style });
    const good = await returns(environment, () => [builder(), scout()], 12);
    const lines = ["/probe % %", "/fill % % % % stone", "/move PATH"];
    const bad = await returns(environment, (i) => [random(lines, i), random(lines, i + 99)], 12);
    assert.ok(good.mean > 12, JSON.stringify(good));
    assert.ok(bad.mean < 4, JSON.stringify(bad));
  }
});

Deno.test("resource_gathering pays a team that reads and talks, and not a random one", async () => {
  const environment = createResourceGathering();
  const good = await returns(environment, () => [gatherer(0), gatherer(1)], 20);
  const lines = ["/move PATH", "/gather % %", "/gather % %"];
  const bad = await returns(environment, (i) => [random(lines, i), random(lines, i + 99)], 20);
  assert.ok(good.mean > 13.5 && good.ended >= 19, JSON.stringify(good));
  assert.ok(bad.mean < 7, JSON.stringify(bad));
});

Deno.test("resource_gathering pays for telling: the same team earns less when it is mute", async () => {
  const environment = createResourceGathering({ width: 12, height: 12, turns: 20 });
  const talking = await returns(environment, () => [gatherer(0), gatherer(1)], 20);
  const silent = await returns(environment, () => [mute(gatherer(0)), mute(gatherer(1))], 20);
  assert.ok(talking.mean > silent.mean + 0.3, JSON.stringify({ talking, silent }));
});
