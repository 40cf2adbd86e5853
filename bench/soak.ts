/**
 * `deno task soak --minutes 10`: mixed load on a real server process, whose memory must stay flat.
 * Sampling, scores, values, updates, loads, streams, WebSockets and clients that go away, while the
 * server's resident memory is sampled; fails when the last quarter holds more than the first by
 * more than the bound, when a request failed, or when the server does not end well.
 */
import { existsSync } from "node:fs";
import { loadCommander, loadWebSocketClient } from "../deps.ts";
import { openHttpNode } from "../gpu-node/client/http.ts";
import { openNode } from "../gpu-node/client/open.ts";
import type { GpuNode, SampleRequest } from "../gpu-node/verbs.ts";
import { whole } from "../shared/flags.ts";
import { uniforms } from "../shared/random.ts";
import { startGpuServer } from "./gpu_server.ts";
import { median } from "./shapes.ts";

const MODEL = "models/collm-tiny";
/** Growth of resident memory from the first quarter to the last that counts as flat, in MiB. */
const BOUND = 48;
/** Memory settles while programs are built and arenas grow: the first of this is not looked at. */
const WARM_UP = 0.1;
const MEBIBYTE = 2 ** 20;

export interface SoakNumbers {
  minutes: number;
  /** Requests answered, by kind, and those of clients that went away on purpose. */
  requests: Record<string, number>;
  first_quarter_mib: number;
  last_quarter_mib: number;
  growth_mib: number;
  bound_mib: number;
  exit_code: number;
}

/** One kind of request; resolves when it is answered, or given up on purpose. */
type Deed = (random: () => number, k: number) => Promise<unknown>;

const tokens = (random: () => number, count: number) =>
  Array.from({ length: count }, () => 3 + Math.floor(random() * 500));

const sample = (random: () => number): SampleRequest => {
  const rows = 1 + Math.floor(random() * 6);
  return {
    policy: "m",
    prompts: Array.from({ length: rows }, () => tokens(random, 4 + Math.floor(random() * 40))),
    seeds: Array.from({ length: rows }, () => Math.floor(random() * 2 ** 32)),
    max_tokens: 4 + Math.floor(random() * 28),
    temperature: 0.5 + random(),
    ...random() < 0.3 && { top_p: 0.9 },
    stop_tokens: [2],
  };
};

const sequence = (random: () => number) => ({
  tokens: tokens(random, 20 + Math.floor(random() * 30)),
  prompt_length: 10,
});

function deeds(url: string, http: GpuNode, socket: GpuNode): Record<string, Deed> {
  const several = (random: () => number) => Array.from({ length: 4 }, () => sequence(random));
  const stream = async (random: () => number, signal: AbortSignal, parts: number) => {
    const body = { model: "m", prompt: "ICML", max_tokens: 64, stream: true, stop: "QQ" };
    const response = await fetch(`${url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...body, seed: Math.floor(random() * 1e9) }),
      signal,
    });
    for await (const _ of response.body!) if (--parts <= 0) break;
  };
  const gone = (deed: (signal: AbortSignal) => Promise<unknown>, ms: number) =>
    deed(AbortSignal.timeout(ms)).catch((error: Error) => {
      if (error.name !== "TimeoutError") throw error;
    });
  return {
    sample: (random) => http.sample(sample(random)),
    score: (random) => http.score("m", several(random)),
    values: (random) =>
      http.values("critic", several(random).map((s) => ({ ...s, read_at: "last" as const }))),
    update: (random, k) =>
      http.update({
        policy: "m",
        seq: k,
        loss: "policy_gradient",
        batch: several(random).map((s) => ({ ...s, advantage: random() - 0.5 })),
        optimizer: { name: "adamw", learning_rate: 1e-5 },
      }),
    load: async (random, k) => {
      const policy = `p${k % 3}-${Math.floor(random() * 1e9)}`;
      await http.load({ policy, source: "m", lora: { rank: 4, alpha: 8 } });
      await http.sample({ ...sample(random), policy });
      await http.unload(policy);
    },
    stream: (random) => stream(random, AbortSignal.timeout(60_000), Infinity),
    "stream given up": (random) => stream(random, AbortSignal.timeout(60_000), 2),
    "sample given up": (random) =>
      gone((signal) => http.sample({ ...sample(random), max_tokens: 200 }, { signal }), 30),
    socket: (random) => socket.sample(sample(random), { onTokens: () => {} }),
    "socket given up": (random) =>
      gone((signal) => socket.sample({ ...sample(random), max_tokens: 200 }, { signal }), 30),
    "socket lost": async () => {
      const { WebSocket } = await loadWebSocketClient();
      const lost = new WebSocket(`${url.replace("http", "ws")}/v1/ws`);
      await new Promise((resolve, reject) => lost.on("open", resolve).on("error", reject));
      lost.send(JSON.stringify({ id: 1, verb: "sample", stream: true, ...sample(Math.random) }));
      lost.terminate();
    },
  };
}

/** Resident memory of a process in MiB, from the system (Linux). */
const residentOf = (pid: number): number => {
  const pages = Number(Deno.readTextFileSync(`/proc/${pid}/statm`).split(" ")[1]);
  return pages * 4096 / MEBIBYTE;
};

export async function soak(minutes: number): Promise<SoakNumbers> {
  if (!existsSync("/proc/self/statm")) throw new Error("Cannot soak: there is no /proc here");
  const server = await startGpuServer(MODEL);
  const http = openHttpNode(server.url);
  const socket = openNode(server.url.replace("http", "ws"));
  await http.load({ policy: "critic", source: "m", value_head: { seed: 1 } });
  const kinds = Object.entries(deeds(server.url, http, socket));
  const requests: Record<string, number> = Object.fromEntries(kinds.map(([kind]) => [kind, 0]));
  const began = performance.now();
  const end = began + 60_000 * minutes;
  const memory: number[] = [];
  const watch = setInterval(() => memory.push(residentOf(server.pid)), 500);
  let [count, exit_code] = [0, -1];
  const worker = async (seed: number) => {
    const random = uniforms(seed);
    while (performance.now() < end) {
      const [kind, deed] = kinds[Math.floor(random() * kinds.length)]!;
      await deed(random, count++);
      requests[kind]!++;
    }
  };
  try {
    await Promise.all(Array.from({ length: 8 }, (_, i) => worker(i)));
  } finally {
    clearInterval(watch);
    await socket.close();
    exit_code = await server.end();
  }
  const warm = memory.slice(Math.floor(memory.length * WARM_UP));
  const quarter = Math.floor(warm.length / 4);
  const [first, last] = [median(warm.slice(0, quarter)), median(warm.slice(-quarter))];
  return {
    minutes,
    requests,
    first_quarter_mib: first,
    last_quarter_mib: last,
    growth_mib: last - first,
    bound_mib: BOUND,
    exit_code,
  };
}

if (import.meta.main) {
  const { Command } = await loadCommander();
  const { minutes } = new Command("soak")
    .description("Mixed load on a GPU server whose memory must stay flat")
    .option("--minutes <n>", "how long", whole("--minutes", 1, 1440), 10)
    .parse(Deno.args, { from: "user" })
    .opts<{ minutes: number }>();
  const numbers = await soak(minutes);
  console.log(JSON.stringify(numbers, null, 2));
  const flat = numbers.growth_mib <= numbers.bound_mib && numbers.exit_code === 0;
  Deno.exit(flat ? 0 : 1);
}
