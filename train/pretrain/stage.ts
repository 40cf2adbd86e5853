/**
 * One stage of pretraining: updates of the policy `base` on documents drawn from a seed. Leaves out
 * which documents and how many (model_recipe.ts) and where the policy comes from.
 */
import type { Kernel } from "../../gpu-node/kernel.ts";
import type { Tokenizer } from "../../gpu-node/model/tokenizer.ts";
import type { UpdateSequence } from "../../gpu-node/verbs.ts";
import { seedOf, shuffle, uniforms } from "../../shared/random.ts";
import { drawDocument, type DrawnDocument } from "./documents/index.ts";
import { learningRate, mixAt, RECIPE, type Stage } from "./model_recipe.ts";

export interface StageOptions {
  stage: Stage;
  seed: number;
  steps: number;
  /** Draws of earlier stages: this one's go on from there. */
  draws: number;
  /** Is told the loss of every update. */
  report: (loss: number) => void;
}

/** Trains and returns the number of its draws. */
export async function trainStage(
  kernel: Kernel,
  tokenizer: Tokenizer,
  { stage, seed, steps, draws, report }: StageOptions,
): Promise<number> {
  for (let step = 0; step < steps; step++) {
    const { loss } = await kernel.update({
      policy: "base",
      seq: step,
      loss: "cross_entropy",
      batch: batchOf(tokenizer, { stage, seed, steps, draws }, step),
      optimizer: {
        name: "adamw",
        learning_rate: learningRate(stage, step, steps),
        betas: RECIPE.betas,
        weight_decay: RECIPE.weightDecay,
      },
      max_grad_norm: RECIPE.maxGradNorm,
    });
    report(loss);
  }
  return Math.ceil(steps / stage.stepsPerDraw);
}

/** Documents of one draw, which `stage.stepsPerDraw` updates share. */
export function drawOf(
  { stage, seed, steps, draws }: Omit<StageOptions, "report">,
  draw: number,
): { documents: DrawnDocument[]; random: () => number } {
  const random = uniforms(seedOf("documents", seed, draws + draw));
  const mix = mixAt(stage, draw * stage.stepsPerDraw, steps);
  const count = stage.stepsPerDraw * RECIPE.documentsPerStep;
  return { documents: Array.from({ length: count }, () => drawDocument(random, mix)), random };
}

/** Batch of one step: its slice, by length, of a draw that several steps share. */
function batchOf(
  tokenizer: Tokenizer,
  options: Omit<StageOptions, "report">,
  step: number,
): UpdateSequence[] {
  const { stepsPerDraw } = options.stage;
  const { documents, random } = drawOf(options, Math.floor(step / stepsPerDraw));
  const all = documents.map(({ prompt, response, weight }) => {
    const head = tokenizer.encode(prompt, { addSpecialTokens: true });
    const tokens = [...head, ...tokenizer.encode(response), ...tokenizer.eosIds];
    return { tokens, prompt_length: head.length, weight };
  }).sort((a, b) => a.tokens.length - b.tokens.length);
  const order = shuffle([...Array(stepsPerDraw).keys()], random);
  const at = order[step % stepsPerDraw]! * RECIPE.documentsPerStep;
  return all.slice(at, at + RECIPE.documentsPerStep);
}
