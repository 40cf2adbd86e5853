/**
 * Training speed: floating-point operations of one update (6 · parameters · tokens) against the
 * MatMul peak of the same runtime on the same two threads, and an update of a LoRA adapter against
 * that of all weights, measured in turn.
 */
import { cpuDevice, type Device } from "../gpu-node/device.ts";
import { Graph } from "../gpu-node/graph/graph.ts";
import { matmul } from "../gpu-node/graph/ops/linear.ts";
import { Kernel } from "../gpu-node/kernel.ts";
import type { ModelConfig } from "../gpu-node/model/config.ts";
import { uniforms } from "../shared/random.ts";
import { median, randomFolder, time } from "./shapes.ts";

export interface UpdateNumbers {
  parameters: number;
  batch: number;
  length: number;
  update_ms: number;
  tokens_per_s: number;
  update_gflops: number;
  matmul_gflops: number;
  /** Best update rate / best MatMul rate of the rounds. */
  ratio: number;
  /** Median over rounds of the ratio within a round. */
  ratio_median: number;
  /** Best time of an adapter's update (rank 8, all seven matrices) / best time of all weights'. */
  lora_ratio: number;
  /** Median over rounds of that ratio within a round. */
  lora_ratio_median: number;
}

const LORA = { rank: 8, alpha: 16 };

/** Square sizes tried for the peak; the best of them counts. */
const SIZES = [512, 768, 1024];

/** A function that returns the best rate in GFLOP/s over the sizes. */
async function matmulPeak(device: Device): Promise<() => Promise<number>> {
  const graph = new Graph();
  const a = graph.input("a", "float32", ["m", "k"]);
  const b = graph.input("b", "float32", ["k", "n"]);
  graph.output("y", matmul(graph, a, b));
  const program = await device.compile(graph);
  const runs = SIZES.map((n) => {
    const square = () => device.tensor({ data: new Float32Array(n * n).fill(0.5), dims: [n, n] });
    const [feeds, into] = [{ a: square(), b: square() }, { y: square() }];
    const repeats = Math.ceil(1024 ** 3 / n ** 3) * 4;
    return async () => {
      const ms = await time(async () => {
        for (let i = 0; i < repeats; i++) await program.run(feeds, into);
      });
      return 2 * n ** 3 * repeats / ms / 1e6;
    };
  });
  return async () => {
    let best = 0;
    for (const run of runs) best = Math.max(best, await run());
    return best;
  };
}

export async function benchUpdate(
  config: ModelConfig,
  { batch = 16, length = 128, rounds = 9 } = {},
): Promise<UpdateNumbers> {
  const device = await cpuDevice();
  const kernel = new Kernel(device);
  const folder = await randomFolder(config);
  const { parameters } = await kernel.load({ policy: "full", source: folder });
  await kernel.load({ policy: "lora", source: folder, lora: LORA });
  const random = uniforms(1);
  const sequences = Array.from({ length: batch }, () => ({
    tokens: Array.from({ length }, () => Math.floor(random() * config.vocabSize)),
    prompt_length: 1,
    advantage: random() * 2 - 1,
  }));
  let seq = 0;
  const update = (policy: "full" | "lora") => () =>
    kernel.update({
      policy,
      seq: seq++,
      loss: "policy_gradient",
      batch: sequences,
      optimizer: { name: "adamw", learning_rate: 1e-5 },
      max_grad_norm: 1,
    });
  const peak = await matmulPeak(device);
  await update("full")();
  await update("lora")();
  await peak();
  const flops = 6 * parameters * batch * length;
  const [times, peaks, adapters]: [number[], number[], number[]] = [[], [], []];
  for (let i = 0; i < rounds; i++) {
    times.push(await time(update("full")));
    peaks.push(await peak());
    adapters.push(await time(update("lora")));
  }
  await Deno.remove(folder, { recursive: true });
  const ms = Math.min(...times);
  const best = Math.max(...peaks);
  return {
    parameters,
    batch,
    length,
    update_ms: ms,
    tokens_per_s: batch * length / ms * 1000,
    update_gflops: flops / ms / 1e6,
    matmul_gflops: best,
    ratio: flops / ms / 1e6 / best,
    ratio_median: median(times.map((t, i) => flops / t / 1e6 / peaks[i]!)),
    lora_ratio: Math.min(...adapters) / ms,
    lora_ratio_median: median(times.map((t, i) => adapters[i]! / t)),
  };
}
