/** Model shapes that are measured, and folders with random weights of these shapes. */
import { join } from "node:path";
import { cpuDevice } from "../gpu-node/device.ts";
import { Kernel } from "../gpu-node/kernel.ts";
import type { ModelConfig } from "../gpu-node/model/config.ts";
import { writeFreshCheckpoint } from "../gpu-node/model/initialize.ts";

export const llama = (sizes: Partial<ModelConfig>): ModelConfig => ({
  architecture: "llama",
  vocabSize: 512,
  hiddenSize: 256,
  intermediateSize: 704,
  layers: 6,
  heads: 8,
  kvHeads: 8,
  headDim: 32,
  normEps: 1e-5,
  ropeTheta: 10000,
  tied: true,
  maxPositions: 512,
  bosId: 1,
  eosIds: [2],
  ...sizes,
});

/** Qwen3 of 0.6B, and others by their sizes. */
export const qwen3 = (sizes: Partial<ModelConfig>): ModelConfig => ({
  ...llama({ vocabSize: 151936, layers: 28, heads: 16, kvHeads: 8, headDim: 128 }),
  ...{ architecture: "qwen3", normEps: 1e-6, ropeTheta: 1e6, maxPositions: 4096 },
  ...sizes,
});

export const SHAPES = {
  /** The shape of the TinyStories 260K checkpoint. */
  "260K": llama({ hiddenSize: 64, intermediateSize: 172, layers: 5, kvHeads: 4, headDim: 8 }),
  "5M": llama({}),
  "30M": llama({
    vocabSize: 4096,
    hiddenSize: 512,
    intermediateSize: 1408,
    layers: 8,
    heads: 8,
    kvHeads: 8,
    headDim: 64,
  }),
} satisfies Record<string, ModelConfig>;

/** A Transformers.js folder with random weights of a shape; the caller removes it. */
export async function randomFolder(config: ModelConfig): Promise<string> {
  const parent = await Deno.makeTempDir({ prefix: "collm-bench-" });
  const kernel = new Kernel(await cpuDevice());
  writeFreshCheckpoint(join(parent, "fresh"), config, 1);
  await kernel.load({ policy: "random", source: join(parent, "fresh") });
  await kernel.save("random", join(parent, "model"));
  return join(parent, "model");
}

/** Middle value of a list. */
export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** Milliseconds that one call takes. */
export async function time(call: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await call();
  return performance.now() - start;
}
