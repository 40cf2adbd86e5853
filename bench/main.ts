/**
 * `deno task bench`: the engine's ratios, each with both sides measured in turn in this run;
 * `--env`: the environments' speeds instead. `--only` names parts. With --json one object on the
 * last line; else tables. Numbers and their commands are in docs/benchmarks.md.
 */
import { loadCommander } from "../deps.ts";
import { CollmError, suggest } from "../shared/errors.ts";
import { runCommand } from "../shared/flags.ts";
import { benchEdge } from "./edge.ts";
import { benchWriting } from "./environments.ts";
import { benchMinecraft } from "./minecraft.ts";
import { benchAdapters, benchBeginnings, benchGroup, benchSample } from "./sample.ts";
import { benchSandbox } from "./sandbox.ts";
import { benchServed } from "./served.ts";
import { randomFolder, SHAPES } from "./shapes.ts";
import { benchStore } from "./store.ts";
import { benchUpdate } from "./update.ts";

const EMBEDDED = "models/collm-tiny";

/** A part's rows by name. */
type Part = () => Promise<Record<string, object>>;

async function withFolder<T>(
  shape: keyof typeof SHAPES,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await randomFolder(SHAPES[shape]);
  try {
    return await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const ENGINE: Record<string, Part> = {
  update: async () => ({
    "5M": await benchUpdate(SHAPES["5M"]),
    "30M": await benchUpdate(SHAPES["30M"], { rounds: 3 }),
  }),
  sample: async () => ({
    "collm-tiny": await benchSample(EMBEDDED),
    "260K": await withFolder("260K", benchSample),
    "5M": await withFolder("5M", benchSample),
    "260K, 256 tokens": await withFolder("260K", (f) => benchSample(f, { newTokens: 256 })),
    "5M, 256 tokens": await withFolder("5M", (f) => benchSample(f, { newTokens: 256, rounds: 3 })),
  }),
  group: async () => ({
    "5M, 16 of one prompt": await withFolder("5M", benchGroup),
    "5M, 16 that begin alike": await withFolder("5M", benchBeginnings),
  }),
  adapters: async () => ({ "5M, 4 agents": await withFolder("5M", benchAdapters) }),
  served: async () => ({
    "5M": await withFolder("5M", benchServed),
    "260K": await withFolder("260K", benchServed),
  }),
  store: async () => ({ "64 episodes": await benchStore() }),
};

const ENVIRONMENTS: Record<string, Part> = {
  writing: () => Promise.resolve({ "100 words": benchWriting() }),
  minecraft: () => Promise.resolve(benchMinecraft()),
  sandbox: async () => ({ "one lane": await benchSandbox() }),
  edge: () => benchEdge() as Promise<Record<string, object>>,
};

async function main(args: string[]): Promise<void> {
  const { Command } = await loadCommander();
  const { json, env, only } = new Command("bench")
    .description("Measure training, sampling, serving and the store, or the environments")
    .option("--env", "the environments instead of the engine")
    .option(
      "--only <parts>",
      "some parts, comma-separated",
      (text: string) => text.split(",").map((part) => part.trim()),
    )
    .option("--json", "print one JSON object")
    .allowExcessArguments(false)
    .parse(args, { from: "user" })
    .opts<{ json?: boolean; env?: boolean; only?: string[] }>();
  const parts = env ? ENVIRONMENTS : ENGINE;
  const unknown = only?.find((name) => !Object.hasOwn(parts, name));
  if (unknown !== undefined) {
    const hint = suggest(unknown, Object.keys(parts));
    throw new CollmError("invalid_request", `Cannot measure '${unknown}': ${hint}`);
  }
  const result: Record<string, Record<string, object>> = {};
  for (const name of only ?? Object.keys(parts)) {
    result[name] = await parts[name]!();
    if (!json) print(name, result[name]);
  }
  if (json) console.log(JSON.stringify(result));
}

function print(title: string, rows: Record<string, object>): void {
  console.log(`\n${title}`);
  const shown = (x: unknown) => typeof x === "number" ? Number(x.toPrecision(4)) : x;
  for (const [name, row] of Object.entries(rows)) {
    const values = Object.entries(row).map(([key, x]) => `${key} ${shown(x)}`);
    console.log(`  ${name}: ${values.join(", ")}`);
  }
}

await runCommand(main);
Deno.exit();
