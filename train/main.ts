/**
 * `deno task train`: trains a team and shows whether it got better. Flags to configuration, then
 * train/run.ts. Standard output carries results only; with --json its last line is one object.
 */
import { existsSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { loadCommander } from "../deps.ts";
import { environmentSource, isSource } from "../shared/environments/load.ts";
import { CollmError } from "../shared/errors.ts";
import { DEVICE_CHOICES, type DeviceChoice } from "../gpu-node/verbs.ts";
import { address, oneOf, runCommand, seed, threads, whole } from "../shared/flags.ts";
import { callJson } from "../shared/wire/call.ts";
import { health } from "../shared/wire/health.ts";
import { parse } from "../shared/wire/parse.ts";
import { describeConfig, resolveConfig, type RunConfig } from "./config.ts";
import { dataOption } from "./data.ts";
import type { JsonObject } from "./overrides.ts";
import { describeResult } from "./report.ts";
import type { Remote } from "./roles.ts";
import { run } from "./run.ts";
import { RunFolder } from "./run_folder.ts";

interface Flags {
  config?: string;
  env?: string;
  data?: string;
  algo?: string;
  seed?: number;
  budget?: number;
  out?: string;
  resume?: string;
  set: string[];
  json?: boolean;
  dryRun?: boolean;
  edge?: string;
  gpu?: string;
  db?: string;
  token?: string;
  device?: DeviceChoice;
  threads?: number;
}

async function readFlags(args: string[]): Promise<Flags> {
  const { Command } = await loadCommander();
  return new Command("train")
    .description("Train a team of agents and compare it with its base")
    .option("--config <file>", "configuration file (JSON, comments allowed)")
    .option("--env <name>", "environment: an id, a module or an address (default: str_build)")
    .option("--data <source>", "texts: a file (JSONL, parquet), a folder of them, or hf:owner/name")
    .option("--algo <id>", "algorithm: collm_cc, collm_dc or magrpo (default: collm_cc)")
    .option("--seed <n>", "seed of every random choice", seed)
    .option("--budget <n>", "joint evaluations to train for", whole("--budget", 1))
    .option("--out <dir>", "run folder (default: runs/<environment>-<algorithm>-<seed>-<time>)")
    .option("--resume <dir>", "go on with the run in this folder")
    .option(
      "--set <path=value>",
      "set any configuration key; may be repeated",
      (text: string, all: string[]) => [...all, text],
      [] as string[],
    )
    .option("--json", "print the result as one JSON object on the last line")
    .option("--dry-run", "show the resolved configuration and stop")
    .option(
      "--edge <url>",
      "edge that agent hosts elsewhere talk to (needs --gpu and --db)",
      address("--edge"),
    )
    .option("--gpu <url>", "GPU node elsewhere", address("--gpu"))
    .option(
      "--device <name>",
      `where the models run: ${DEVICE_CHOICES.join(", ")} (default: cpu)`,
      oneOf("--device", DEVICE_CHOICES),
    )
    .option("--threads <n>", "threads of the CPU (default: 2)", threads)
    .option("--db <url>", "libSQL server that holds the episodes")
    .option("--token <token>", "bearer token of edge and GPU node (default: COLLM_TOKEN)")
    .addHelpText("after", "\nEnvironment: COLLM_TOKEN, COLLM_DB_TOKEN token of the database server")
    .parse(args, { from: "user" })
    .opts<Flags>();
}

/** The configuration that the flags ask for. */
function configOf(flags: Flags): Promise<RunConfig> {
  const nested: JsonObject = {
    environment: {
      ...flags.env !== undefined &&
        (isSource(flags.env) ? { source: environmentSource(flags.env) } : { id: flags.env }),
      ...flags.data !== undefined && { options: { data: dataOption(flags.data) } },
    },
    ...flags.algo !== undefined && { algorithm: { id: flags.algo } },
    ...flags.seed !== undefined && { seed: flags.seed },
    ...flags.budget !== undefined && { budget: { joint_evaluations: flags.budget } },
  };
  return resolveConfig({ file: flags.config, sets: flags.set, flags: nested });
}

/** A resumed run keeps its configuration; only where it runs may change. */
function checkResume(flags: Flags): void {
  const fixed = ["config", "env", "data", "algo", "seed", "budget", "out"] as const;
  const given = fixed.find((name) => flags[name] !== undefined) ??
    (flags.set.length ? "set" : undefined);
  if (given === undefined) return;
  throw new CollmError(
    "invalid_request",
    `Cannot resume '${flags.resume}' with --${given}: a resumed run keeps its configuration`,
  );
}

function remoteOf({ edge, gpu, db, token, device, threads }: Flags): Remote | undefined {
  if (edge === undefined && gpu === undefined && db === undefined) return undefined;
  if (edge === undefined || gpu === undefined || db === undefined) {
    throw new CollmError(
      "invalid_request",
      "Cannot train across hosts: --edge, --gpu and --db go together",
    );
  }
  const [flag, value] = Object.entries({ device, threads }).find(([, set]) => set !== undefined) ??
    [];
  if (flag) {
    throw new CollmError(
      "invalid_request",
      `Cannot train on --${flag} ${value}: the GPU node at '${gpu}' was started with its own`,
    );
  }
  return { edge, gpu, db, token: token ?? Deno.env.get("COLLM_TOKEN") };
}

/** Asks the edge whether agent hosts can play the episodes that the learner opens. */
async function checkEdge({ edge }: Remote): Promise<void> {
  const url = `${edge.replace(/\/+$/, "")}/health`;
  const answer = await callJson("GET", url, undefined, { timeoutMs: 10_000, retries: 2 });
  const { store } = parse(health, answer, `the answer of ${url}`, "unavailable");
  if (store === "remote") return;
  throw new CollmError(
    "conflict",
    `Cannot train with edge '${edge}': its episodes are not on the database server of --db`,
  );
}

async function main(args: string[]): Promise<void> {
  const flags = await readFlags(args);
  if (flags.resume !== undefined) checkResume(flags);
  const config = flags.resume === undefined
    ? await configOf(flags)
    : RunFolder.open(resolve(flags.resume)).config();
  const say = (text: string) => flags.json ? console.error(text) : console.log(text);
  say(describeConfig(config).join("\n"));
  if (flags.dryRun) {
    if (flags.json) console.log(JSON.stringify(config));
    return;
  }
  const { device, threads } = flags;
  const remote = remoteOf(flags);
  if (remote) await checkEdge(remote);
  const stamp = new Date().toISOString().replace(/[-:]/g, "").replace(/\..*/, "").replace("T", "-");
  const name = `${config.environment.id}-${config.algorithm.id}-${config.seed}-${stamp}`;
  const folder = flags.resume === undefined
    ? RunFolder.create(resolve(flags.out ?? join("runs", name)), config)
    : RunFolder.open(resolve(flags.resume));
  say(`Run folder ${folder.path}\n`);
  const { result, roles, files } = await run(folder, remote ?? { device, threads }).catch(
    (error) => {
      // Nothing was measured yet: the folder would only be in the way of the next try.
      const fresh = flags.resume === undefined && !existsSync(folder.file("before.json"));
      if (fresh) rmSync(folder.path, { recursive: true });
      throw error;
    },
  );
  say(`\n${describeResult(result, roles.environment).join("\n")}`);
  for (const file of files) say(`  ${file}`);
  if (device) say(`  trained on ${(await roles.node.health()).device}`);
  await roles.close();
  if (flags.json) console.log(JSON.stringify(result));
}

if (import.meta.main) await runCommand(main);
