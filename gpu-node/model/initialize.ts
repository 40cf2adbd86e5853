/** Fresh random checkpoints: where pretraining and benchmarks start from. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { seedOf, uniforms } from "../../shared/random.ts";
import { type ModelConfig, toHuggingFaceConfig } from "./config.ts";
import { writeJsonAtomic } from "./files.ts";
import { modelTensorShapes } from "./parameters.ts";
import { writeSafetensors } from "./safetensors.ts";

/** Standard normal number (Box–Muller). */
export const normal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/**
 * Writes config.json and model.safetensors with weights N(0, 1/fan_in), norms 1, biases 0, and projections
 * onto the residual stream scaled by 1/√(2·layers). The same seed gives the same bytes.
 */
export function writeFreshCheckpoint(folder: string, config: ModelConfig, seed: number): void {
  const residual = 1 / Math.sqrt(2 * config.layers);
  const tensors = new Map(
    [...modelTensorShapes(config)].map(([name, shape]) => {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      if (shape.length === 1) {
        return [name, { shape, data: data.fill(name.endsWith(".bias") ? 0 : 1) }];
      }
      const scale = (/o_proj|down_proj/.test(name) ? residual : 1) / Math.sqrt(shape[1]!);
      const random = uniforms(seedOf("initialize", seed, name));
      return [name, { shape, data: data.map(() => scale * normal(random)) }];
    }),
  );
  mkdirSync(folder, { recursive: true });
  writeJsonAtomic(join(folder, "config.json"), toHuggingFaceConfig(config));
  writeSafetensors(join(folder, "model.safetensors"), tensors, { format: "pt" });
}
