/**
 * `deno task evaluate`: plays a checkpoint on held-out items and prints its numbers. The same
 * seed gives the same numbers, whatever the batch size. Hosted evaluations call the same function.
 */
import { join } from "node:path";
import { loadCommander } from "../deps.ts";
import { loadTokenizer } from "../gpu-node/model/tokenizer.ts";
import { DEVICE_CHOICES, type GpuNode } from "../gpu-node/verbs.ts";
import { openWorkerNode, type WorkerPlace } from "../gpu-node/worker_client.ts";
import { environmentSource, isSource, useEnvironment } from "../shared/environments/load.ts";
import { createEnvironment } from "../shared/environments/registry.ts";
import { oneOf, runCommand, seed, threads, whole } from "../shared/flags.ts";
import { openStore } from "../shared/store/connect.ts";
import { createEpisodes } from "../shared/store/episodes.ts";
import { runConfig } from "./config_schema.ts";
import { dataOption, useDataOf } from "./data.ts";
import { environmentDefaults } from "./environment_defaults.ts";
import {
  blindBound,
  evaluate,
  type EvaluationNumbers,
  numbersOf,
  swappedReturn,
} from "./evaluation.ts";
import { optionOverrides } from "./environment_options.ts";
import { agentFolder, readTeam, type TeamFile } from "./team.ts";

export interface EvaluateRequest {
  checkpoint: string;
  environment?: string | undefined;
  /** Options of the environment that differ from the checkpoint's, or from its defaults. */
  options?: Readonly<Record<string, unknown>> | undefined;
  split?: string | undefined;
  /** Default: 64 items. */
  episodes?: number | undefined;
  /** Episodes of each item (default 1). */
  samples?: number | undefined;
  seed?: number | undefined;
  greedy?: boolean | undefined;
  /** Episodes played at once. */
  batch?: number | undefined;
}

export interface EvaluateResult extends EvaluationNumbers {
  checkpoint: string;
  environment: string;
  split: string;
  seed: number;
  failed: number;
  blind_bound: number | null;
  swapped: { return_mean: number } | null;
}

/**
 * Evaluates a team's checkpoint, or a model folder that every agent plays with.
 * @param openNode GPU node that plays; its other policies are left alone.
 */
export async function evaluateCheckpoint(
  request: EvaluateRequest,
  onProgress?: (done: number) => void,
  openNode: () => GpuNode = openWorkerNode,
): Promise<EvaluateResult> {
  const team = readTeam(request.checkpoint);
  const id = request.environment ?? team?.environment ?? "str_build";
  const start = environmentDefaults(id, request.checkpoint, request.options ?? {});
  const defaults = runConfig.parse(start.run);
  const saved = team?.environment === id ? team.options : start.options;
  const environment = createEnvironment(id, { ...saved, ...request.options });
  const { samples = 1 } = request;
  const seed = request.seed ?? defaults.seed;
  const folders = environment.agents.map((agent) => agentFolder(request.checkpoint, team, agent));
  const tokenizer = await loadTokenizer(folders[0]!);
  const workplace = await Deno.makeTempDir({ prefix: "collm-evaluate-" });
  const store = await openStore(`file:${join(workplace, "episodes.db")}`);
  const handles = new Map(
    environment.agents.map((agent) => [agent, `evaluation-${crypto.randomUUID()}-${agent}`]),
  );
  const loaded: string[] = [];
  let node: GpuNode | undefined;
  try {
    node = openNode();
    for (const [i, policy] of [...handles.values()].entries()) {
      await node.load({ policy, source: folders[i]! });
      loaded.push(policy);
    }
    const found = await evaluate(
      { environment, episodes: await createEpisodes(store, createEnvironment), node, tokenizer },
      "evaluation",
      null,
      {
        split: request.split ?? defaults.evaluation.split,
        episodes: request.episodes ?? samples * defaults.evaluation.episodes,
        samples,
        seed,
        temperature: request.greedy ? 0 : defaults.evaluation.temperature,
        max_tokens: team?.environment === id ? team.max_tokens : defaults.rollout.max_tokens,
        ...request.batch !== undefined && { batch: request.batch },
      },
      (agent) => handles.get(agent)!,
      onProgress,
    );
    const swapped = await swappedReturn(environment, found.played);
    return {
      checkpoint: request.checkpoint,
      environment: id,
      split: request.split ?? defaults.evaluation.split,
      seed,
      ...numbersOf(found),
      failed: found.failed,
      blind_bound: blindBound(environment, found.played),
      swapped: swapped === null ? null : { return_mean: swapped },
    };
  } finally {
    // What failed to unload is the node's matter: the numbers stand.
    for (const policy of loaded) await node!.unload(policy).catch(() => {});
    await node?.close();
    await store.close();
    await Deno.remove(workplace, { recursive: true });
  }
}

interface Flags {
  env?: string;
  data?: string;
  set: string[];
  json?: boolean;
}

async function main(args: string[]): Promise<void> {
  const { Command } = await loadCommander();
  const { json, env, data, set, device, threads: own, ...request } = new Command("evaluate")
    .description("Evaluate a checkpoint on held-out items")
    .requiredOption("--checkpoint <dir>", "team checkpoint or model folder")
    .option(
      "--env <name>",
      "environment: an id, a module or an address (default: the checkpoint's)",
    )
    .option("--data <source>", "texts or tasks to play with (default: the checkpoint's)")
    .option(
      "--set <environment.options.key=value>",
      "set an option of the environment; may be repeated",
      (text: string, all: string[]) => [...all, text],
      [] as string[],
    )
    .option("--split <name>", "split (default: eval)")
    .option("--episodes <n>", "episodes (default: of 64 items)", whole("--episodes", 2, 100_000))
    .option(
      "--samples <n>",
      "episodes of each item, for pass@k (default: 1)",
      whole("--samples", 1, 1000),
    )
    .option("--seed <n>", "seed of tasks and sampling", seed)
    .option(
      "--batch <n>",
      "episodes played at once; changes nothing but speed",
      whole("--batch", 1, 100_000),
    )
    .option(
      "--device <name>",
      `where the models run: ${DEVICE_CHOICES.join(", ")}`,
      oneOf("--device", DEVICE_CHOICES),
      "cpu",
    )
    .option("--threads <n>", "threads of the CPU (default: 2)", threads)
    .option("--greedy", "take the most likely token instead of sampling")
    .option("--json", "print one JSON object")
    .parse(args, { from: "user" })
    .opts<EvaluateRequest & Flags & WorkerPlace>();
  const team = readTeam(request.checkpoint);
  const source = env !== undefined && isSource(env) ? environmentSource(env) : undefined;
  const options = {
    ...optionOverrides(set),
    ...data !== undefined && { data: dataOption(data) },
  };
  const environment = source === undefined ? env : await environmentOf(source, team, options);
  const played = environment ?? team?.environment;
  const saved = team !== null && team.environment === played ? team.options : {};
  await useDataOf({ ...saved, ...options });
  const result = await evaluateCheckpoint(
    { ...request, environment, options },
    undefined,
    () => openWorkerNode({ device, threads: own }),
  );
  if (json) return console.log(JSON.stringify(result));
  for (const [key, value] of Object.entries(result)) {
    console.log(`${key.padEnd(12)} ${typeof value === "string" ? value : JSON.stringify(value)}`);
  }
}

/** Id of a source's environment, known with the options that it is going to be played with. */
async function environmentOf(
  source: string,
  team: TeamFile | null,
  options: Record<string, unknown>,
): Promise<string> {
  const id = await useEnvironment(source, options);
  if (team?.environment !== id) return id;
  return await useEnvironment(source, { ...team.options, ...options });
}

if (import.meta.main) await runCommand(main);
