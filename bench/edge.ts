/**
 * The edge over HTTP, as a process of its own that is asked by this one: single steps, steps in
 * lists, and many episodes at once. Rates are of wall clock, with this process's share of the
 * machine in them; `cpu_us` is the processor time of the edge alone per step (Linux).
 * Leaves out recorded episodes (store.ts).
 */
import { join } from "node:path";
import { startServer } from "./server_process.ts";
import { median } from "./shapes.ts";

export interface EdgeRate {
  steps_per_s: number;
  /** Processor time of the edge per step, in microseconds; absent where it cannot be told. */
  cpu_us?: number;
}

export interface EdgeEpisodes extends EdgeRate {
  episodes: number;
  /** Milliseconds until a step is answered. */
  p50_ms: number;
  p99_ms: number;
}

const ENVIRONMENT = "/v1/environments/str_build";
const OPTIONS = { prompt_style: "compact" };
const ACTIONS = {
  agent_1: "/setblock 0 0 0 stone\n/setblock 2 0 0 stone\n/setblock 4 0 0 oak_planks",
  agent_2: "/setblock 0 1 0 obsidian\n/setblock 0 2 0 white_concrete",
};

interface Reset {
  state: string;
}

async function post(url: string, body: string): Promise<string> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url, { method: "POST", body, headers });
  const text = await response.text();
  if (response.ok) return text;
  throw new Error(`${url} answered ${response.status}: ${text}`);
}

/** Microseconds of processor time that a process has used; a tick of Linux is 10,000. */
function usedBy(pid: number): number | undefined {
  try {
    const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /, "").split(" ");
    return 1e4 * (Number(fields[11]) + Number(fields[12]));
  } catch {
    return undefined;
  }
}

/** Runs `work`, which makes `steps` steps. */
async function measure(pid: number, steps: number, work: () => Promise<void>): Promise<EdgeRate> {
  const before = usedBy(pid);
  const start = performance.now();
  await work();
  const steps_per_s = Math.round(1000 * steps / (performance.now() - start));
  const after = usedBy(pid);
  return before === undefined || after === undefined
    ? { steps_per_s }
    : { steps_per_s, cpu_us: (after - before) / steps };
}

/** The better of `rounds` measurements, after one that warms up. */
async function best(rounds: number, round: () => Promise<EdgeRate>): Promise<EdgeRate> {
  await round();
  const all = [];
  for (let i = 0; i < rounds; i++) all.push(await round());
  const times = all.map(({ cpu_us }) => cpu_us).filter((time) => time !== undefined);
  return {
    steps_per_s: Math.max(...all.map((one) => one.steps_per_s)),
    ...times.length > 0 && { cpu_us: median(times) },
  };
}

/** Speeds of an edge with a fresh database. */
export async function benchEdge({ rounds = 3 } = {}): Promise<Record<string, EdgeRate>> {
  const folder = await Deno.makeTempDir({ prefix: "collm-bench-" });
  const { url, pid, end } = await startServer("routes/main.ts", [
    "--db",
    `file:${join(folder, "edge.db")}`,
  ]);
  const address = url + ENVIRONMENT;
  const reset = async (word: string) => {
    const body = JSON.stringify({ task: { word }, options: OPTIONS });
    return (JSON.parse(await post(`${address}/reset`, body)) as Reset).state;
  };
  const stepOf = (state: string) => ({ state, actions: ACTIONS });
  try {
    const state = await reset("ICML");
    const single = JSON.stringify(stepOf(state));
    const list = JSON.stringify(Array.from({ length: 1024 }, () => stepOf(state)));
    return {
      "single, 32 at once": await best(rounds, () =>
        measure(pid, 4096, async () => {
          await Promise.all(Array.from({ length: 32 }, async () => {
            for (let i = 0; i < 128; i++) await post(`${address}/step`, single);
          }));
        })),
      "lists of 1,024": await best(rounds, () =>
        measure(pid, 16 * 1024, async () => {
          for (let i = 0; i < 16; i++) await post(`${address}/steps`, list);
        })),
      "512 episodes at once": await many(address, pid, reset),
    };
  } finally {
    await end();
    await Deno.remove(folder, { recursive: true });
  }
}

/** Whole episodes, each a caller that waits for every answer. */
async function many(
  address: string,
  pid: number,
  reset: (word: string) => Promise<string>,
  episodes = 512,
): Promise<EdgeEpisodes> {
  const times: number[] = [];
  const rate = await measure(pid, 4 * episodes, async () => {
    await Promise.all(Array.from({ length: episodes }, async (_, i) => {
      let state = await reset(["LI", "MC", "ICML", "CLIM"][i % 4]!);
      for (let turn = 0; turn < 4; turn++) {
        const start = performance.now();
        const answer = await post(`${address}/step`, JSON.stringify({ state, actions: ACTIONS }));
        times.push(performance.now() - start);
        ({ state } = JSON.parse(answer) as Reset);
      }
    }));
  });
  times.sort((a, b) => a - b);
  const at = (part: number) => Math.round(times[Math.floor(part * (times.length - 1))]!);
  return { ...rate, episodes, p50_ms: at(0.5), p99_ms: at(0.99) };
}
