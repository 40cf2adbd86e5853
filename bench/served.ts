/**
 * What serving costs: 64 clients that ask one completion after the other, against one batch of 64
 * in this process; and one client alone against the same call in this process. The server is a
 * process of its own on the same machine, and the clients' own work counts against it. Both sides
 * take turns.
 */
import { openNode } from "../gpu-node/client/open.ts";
import { openWorkerNode } from "../gpu-node/worker_client.ts";
import type { GpuNode, SampleRequest } from "../gpu-node/verbs.ts";
import { startGpuServer } from "./gpu_server.ts";
import { median, time } from "./shapes.ts";

export interface ServedNumbers {
  clients: number;
  new_tokens: number;
  batch_tokens_per_s: number;
  served_tokens_per_s: number;
  /** Median over rounds of served / batch. */
  ratio: number;
  /** Median time of a short request by one client, here and over HTTP, and their difference. */
  alone_ms: number;
  http_ms: number;
  overhead_ms: number;
}

const PROMPT = 16;

const request = (rows: number, first: number, max_tokens: number): SampleRequest => {
  const seeds = Array.from({ length: rows }, (_, i) => first + i);
  return {
    policy: "m",
    prompts: seeds.map((seed) =>
      Array.from({ length: PROMPT }, (_, t) => 3 + (seed * 7 + t) % 200)
    ),
    seeds,
    max_tokens,
    temperature: 1,
    stop_tokens: [],
  };
};

export async function benchServed(
  folder: string,
  { clients = 64, newTokens = 64, turns = 6, rounds = 5, calls = 100, protocol = "http" } = {},
): Promise<ServedNumbers> {
  const server = await startGpuServer(folder);
  const local = openWorkerNode();
  const remote = openNode(server.url.replace(/^http/, protocol));
  try {
    await local.load({ policy: "m", source: folder });
    const batch = () => time(() => local.sample(request(clients, 0, newTokens)));
    /** Every client asks `turns` times; milliseconds per turn of all. */
    const served = async () =>
      await time(() =>
        Promise.all(
          Array.from({ length: clients }, async (_, i) => {
            for (let k = 0; k < turns; k++) await remote.sample(request(1, i, newTokens));
          }),
        )
      ) / turns;
    await batch();
    await served();
    const [batches, serveds]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      for (let k = 0; k < 3; k++) batches.push(await batch());
      serveds.push(await served());
    }
    const ratios = serveds.map((ms, i) => median(batches.slice(3 * i, 3 * i + 3)) / ms);
    const tokens = 1000 * clients * newTokens;

    const [alone, http]: [number[], number[]] = [[], []];
    const short = (node: GpuNode, k: number) => time(() => node.sample(request(1, k, 8)));
    for (let k = 0; k < calls; k++) {
      alone.push(await short(local, k));
      http.push(await short(remote, k));
    }
    return {
      clients,
      new_tokens: newTokens,
      batch_tokens_per_s: tokens / median(batches),
      served_tokens_per_s: tokens / median(serveds),
      ratio: median(ratios),
      alone_ms: median(alone),
      http_ms: median(http),
      overhead_ms: median(http) - median(alone),
    };
  } finally {
    await remote.close();
    await local.close();
    await server.end();
  }
}
