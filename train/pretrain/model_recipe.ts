/** The embedded policy's shape and how it is pretrained: every number of `deno task pretrain`. */
import type { ModelConfig } from "../../gpu-node/model/config.ts";
import type { Mix } from "./documents/index.ts";
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

/** A part of a stage's updates and the documents it learns from. */
export interface Phase {
  /** Of the stage's updates. */
  share: number;
  mix: Mix;
}

/** Training with an optimizer of its own: rates rise and fall once per stage. */
export interface Stage {
  steps: number;
  learningRate: number;
  /** Updates whose documents are drawn at once and cut by length, so that there is little padding. */
  stepsPerDraw: number;
  phases: readonly Phase[];
}

/** All kinds together: StrBuild as it was, for the policy not to forget it. */
const TOGETHER: Mix = {
  str_build: { share: 0.25, precise: 0.2 },
  house_build: { share: 0.35, precise: 1 },
  coding: { share: 0.25, precise: 1, weight: 4 },
  writing: { share: 0.15, precise: 1 },
};
/** The same with most answers random. */
const MOSTLY_RANDOM: Mix = {
  str_build: { share: 0.25, precise: 0.2 },
  house_build: { share: 0.35, precise: 0.25 },
  coding: { share: 0.25, precise: 0.4, weight: 4 },
  writing: { share: 0.15, precise: 0.2 },
};

/**
 * StrBuild first, then all kinds. In both, doing what prompts ask is learnt first; then most
 * documents are random, so that it is a skill not used.
 */
export const STAGES: readonly Stage[] = [
  {
    steps: 2400,
    learningRate: 2e-3,
    stepsPerDraw: 8,
    phases: [
      { share: 0.6, mix: { str_build: { share: 1, precise: 1 } } },
      { share: 0.4, mix: { str_build: { share: 1, precise: 0.2 } } },
    ],
  },
  {
    steps: 900,
    learningRate: 1.5e-3,
    stepsPerDraw: 1,
    phases: [{ share: 0.7, mix: TOGETHER }, { share: 0.3, mix: MOSTLY_RANDOM }],
  },
];

export const RECIPE = {
  steps: STAGES.reduce((sum, { steps }) => sum + steps, 0),
  documentsPerStep: 64,
  finalFraction: 0.05,
  warmup: 100,
  betas: [0.9, 0.98] as [number, number],
  weightDecay: 0.01,
  maxGradNorm: 1,
};

/** Updates of each stage where all of them are `total`: shares as in the recipe. */
export function stageSteps(total: number): number[] {
  let [begun, done] = [0, 0];
  return STAGES.map(({ steps }) => {
    begun += steps;
    const end = Math.round(total * begun / RECIPE.steps);
    const own = end - done;
    done = end;
    return own;
  });
}

/** Learning rate of a stage's step: linear warm-up, half a cosine down to the final fraction. */
export function learningRate(stage: Stage, step: number, steps: number): number {
  const rise = Math.min(1, (step + 1) / RECIPE.warmup);
  const fall = (1 + Math.cos(Math.PI * step / steps)) / 2;
  return stage.learningRate * rise * (RECIPE.finalFraction + (1 - RECIPE.finalFraction) * fall);
}

/** Documents of a stage's step. */
export function mixAt({ phases }: Stage, step: number, steps: number): Mix {
  let end = 0;
  for (const { share, mix } of phases) {
    end += share * steps;
    if (step < end) return mix;
  }
  return phases.at(-1)!.mix;
}
