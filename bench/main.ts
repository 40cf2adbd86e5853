/**
 * `deno task bench`: the engine's ratios, each with both sides measured in turn in this run.
 * With --json one object; else a table. Numbers and their commands are in docs/benchmarks.md.
 */
import { existsSync } from "node:fs";
import { loadCommander } from "../deps.ts";
import { benchSample, type SampleNumbers } from "./sample.ts";
import { randomFolder, SHAPES } from "./shapes.ts";
import { benchStore } from "./store.ts";
import { benchUpdate, type UpdateNumbers } from "./update.ts";

const EMBEDDED = "models/collm-tiny";

async function main(): Promise<void> {
  const { Command } = await loadCommander();
  const { json } = new Command("bench")
    .description("Measure training, sampling and the store")
    .option("--json", "print one JSON object")
    .parse(Deno.args, { from: "user" })
    .opts<{ json?: boolean }>();
  const update: Record<string, UpdateNumbers> = {
    "5M": await benchUpdate(SHAPES["5M"]),
    "30M": await benchUpdate(SHAPES["30M"], { rounds: 3 }),
  };
  const sample: Record<string, SampleNumbers> = {};
  if (existsSync(EMBEDDED)) sample["collm-tiny"] = await benchSample(EMBEDDED);
  for (const [name, config] of Object.entries(SHAPES)) {
    const folder = await randomFolder(config);
    sample[name] = await benchSample(folder);
    await Deno.remove(folder, { recursive: true });
  }
  const result = { update, sample, store: await benchStore() };
  if (json) console.log(JSON.stringify(result));
  else for (const [name, rows] of Object.entries(result)) print(name, rows);
}

function print(title: string, rows: object): void {
  console.log(`\n${title}`);
  const nested = Object.values(rows).every((row) => typeof row === "object");
  const shown = (x: unknown) => typeof x === "number" ? Number(x.toPrecision(4)) : x;
  for (const [name, row] of Object.entries(nested ? rows : { [title]: rows })) {
    const values = Object.entries(row).map(([key, x]) => `${key} ${shown(x)}`);
    console.log(`  ${name}: ${values.join(", ")}`);
  }
}

await main();
Deno.exit(0);
