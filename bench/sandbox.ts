/**
 * Times the sandbox: programs per second of one lane and of two, and a whole HumanEval-like pass.
 * Both sides of a ratio are measured in turn in this run, because a busy machine slows all alike.
 */
import { openSandbox, type Program } from "../shared/environments/coding/sandbox/index.ts";
import { median } from "./shapes.ts";

export interface SandboxBench {
  /** Milliseconds from nothing to the first verdict, with a cached snapshot. */
  start_ms: number;
  /** Programs per second, a helper and a main function with eight asserts each. */
  one_lane_per_s: number;
  two_lanes_per_s: number;
  /** Median over the rounds of two lanes over one. */
  lanes_ratio: number;
  /** Milliseconds that a crash costs the next program, median. */
  crash_ms: number;
}

const GOOD: Program = {
  code: "def aux(n):\n    return n % 2 == 0\n\n" +
    "def evens(xs):\n    return [x for x in xs if aux(x)]\n",
  entry: "evens",
  tests: Array.from({ length: 8 }, (_, i) => {
    const all = [1, 2, 3, i];
    return `assert evens([${all}]) == [${all.filter((n) => n % 2 === 0)}]`;
  }),
};
const CRASH: Program = { ...GOOD, code: "import os\ndef evens(xs):\n    os._exit(0)\n" };

/** Medians over the rounds. */
export async function benchSandbox({ programs = 300, rounds = 5 } = {}): Promise<SandboxBench> {
  // Makes the snapshot where there is none yet.
  const first = openSandbox({ lanes: 1 });
  await first.run(GOOD);
  await first.close();
  const started = performance.now();
  const one = openSandbox({ lanes: 1 });
  await one.run(GOOD);
  const start_ms = performance.now() - started;
  const two = openSandbox({ lanes: 2 });
  const rate = async (sandbox: typeof one) => {
    const start = performance.now();
    await Promise.all(Array.from({ length: programs }, () => sandbox.run(GOOD)));
    return 1000 * programs / (performance.now() - start);
  };
  const rates: [number, number][] = [];
  for (let round = 0; round <= rounds; round++) {
    const pair: [number, number] = [await rate(one), await rate(two)];
    // The first round warms up.
    if (round > 0) rates.push(pair);
  }
  const crashes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await one.run(CRASH);
    const start = performance.now();
    await one.run(GOOD);
    crashes.push(performance.now() - start);
  }
  await Promise.all([one.close(), two.close()]);
  return {
    start_ms,
    one_lane_per_s: median(rates.map(([a]) => a)),
    two_lanes_per_s: median(rates.map(([, b]) => b)),
    lanes_ratio: median(rates.map(([a, b]) => b / a)),
    crash_ms: median(crashes),
  };
}

if (import.meta.main) console.log(JSON.stringify(await benchSandbox()));
