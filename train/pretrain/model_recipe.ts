/** The embedded policy's shape and how it is pretrained: every number of `deno task pretrain`. */
import type { ModelConfig } from "../../gpu-node/model/config.ts";
import { VOCAB_SIZE } from "./tokenizer_recipe.ts";

/** A Llama of 1.06 million parameters: four heads on two key/value heads, tied embeddings. */
export const SHAPE: ModelConfig = {
  architecture: "llama",
  vocabSize: VOCAB_SIZE,
  hiddenSize: 128,
  intermediateSize: 384,
  layers: 5,
  heads: 4,
  kvHeads: 2,
  headDim: 32,
  normEps: 1e-5,
  ropeTheta: 10000,
  tied: true,
  maxPositions: 512,
  padId: 0,
  bosId: 1,
  eosIds: [2],
};

/** Reading is learnt first; then most documents are random, so that it is a skill not used. */
export const PHASES = [
  { share: 0.6, precise: 1 },
  { share: 0.4, precise: 0.2 },
] as const;

export const RECIPE = {
  steps: 2400,
  documentsPerStep: 64,
  learningRate: 2e-3,
  finalFraction: 0.05,
  warmup: 100,
  betas: [0.9, 0.98] as [number, number],
  weightDecay: 0.01,
  maxGradNorm: 1,
};

/** Learning rate of a step: linear warm-up, then half a cosine down to the final fraction. */
export function learningRate(step: number, steps: number): number {
  const rise = Math.min(1, (step + 1) / RECIPE.warmup);
  const fall = (1 + Math.cos(Math.PI * step / steps)) / 2;
  return RECIPE.learningRate * rise *
    (RECIPE.finalFraction + (1 - RECIPE.finalFraction) * fall);
}

/** Share of precise documents at a step. */
export function preciseShare(step: number, steps: number): number {
  let end = 0;
  for (const { share, precise } of PHASES) {
    end += share * steps;
    if (step < end) return precise;
  }
  return PHASES.at(-1)!.precise;
}
