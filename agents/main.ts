/**
 * `deno task agent`: one agent, anywhere. It needs an edge for its observations and actions, a
 * GPU node for its policy, and a tokenizer folder; it keeps nothing.
 */
import { loadCommander } from "../deps.ts";
import { NODE_PROTOCOLS, openNode } from "../gpu-node/client/open.ts";
import { loadTokenizer } from "../gpu-node/model/tokenizer.ts";
import { address, runCommand, temperature, whole } from "../shared/flags.ts";
import { MOST } from "../shared/wire/observations.ts";
import { openEdge } from "./edge_client.ts";
import { runHost } from "./host.ts";
import { openStream } from "./stream.ts";

interface Flags {
  agent: string;
  edge: string;
  gpu: string;
  policy?: string;
  run?: string;
  token?: string;
  gpuToken?: string;
  tokenizer: string;
  temperature: number;
  maxTokens: number;
  batch: number;
}

async function readFlags(args: string[]): Promise<Flags> {
  const { Command } = await loadCommander();
  const token = Deno.env.get("COLLM_TOKEN") || undefined;
  return new Command("agent")
    .description("Host one agent: act on its observations with its policy on a GPU node")
    .requiredOption("--agent <name>", "name of the agent")
    .requiredOption(
      "--edge <url>",
      "edge that gives observations and takes actions",
      address("--edge"),
    )
    .requiredOption(
      "--gpu <url>",
      "GPU node that has the policy; ws:// keeps one connection",
      address("--gpu", NODE_PROTOCOLS),
    )
    .option("--policy <name>", "policy on the GPU node (default: the run's, or the agent's name)")
    .option("--run <id>", "serve this run only, with its sampling parameters")
    .option("--token <token>", "token for the edge (default: COLLM_TOKEN)", token)
    .option("--gpu-token <token>", "token for the GPU node (default: COLLM_TOKEN)", token)
    .option("--tokenizer <folder>", "folder of the policy's tokenizer", "models/collm-tiny")
    .option("--temperature <t>", "0 is greedy", temperature, 1)
    .option(
      "--max-tokens <n>",
      "most tokens of one action",
      whole("--max-tokens", 1, 1_000_000),
      40,
    )
    .option("--batch <n>", "most observations acted on at once", whole("--batch", 1, MOST), 64)
    .parse(args, { from: "user" })
    .opts<Flags>();
}

/** Hosts the agent until a signal has come and the batch under way is done. */
export async function main(args: string[]): Promise<void> {
  const { agent, edge, gpu, policy, run, token, gpuToken, ...flags } = await readFlags(args);
  const tokenizer = await loadTokenizer(flags.tokenizer);
  const ending = new AbortController();
  const { signal } = ending;
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    if (name === "SIGTERM" && Deno.build.os === "windows") continue;
    Deno.addSignalListener(name, () => ending.abort());
  }
  const log = (line: string) => console.error(line);
  const run_id = run ?? null;
  const stream = openStream({ edge, agent, run_id, token, signal, log });
  console.log(`Agent '${agent}' acts for ${edge} with the policies of ${gpu}`);
  const node = openNode(gpu, { token: gpuToken });
  try {
    await runHost({
      ...{ agent, run_id, policy, tokenizer, stream, signal, log, batch: flags.batch },
      edge: openEdge(edge, { token }),
      node,
      sampling: { temperature: flags.temperature, max_tokens: flags.maxTokens },
    });
  } finally {
    ending.abort();
    await node.close();
    await stream.closed;
  }
}

if (import.meta.main) await runCommand(main);
