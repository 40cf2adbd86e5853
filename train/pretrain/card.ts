/** The embedded policy's card: how it was made, in the form of a model card (README.md). */
import { join } from "node:path";
import { writeFileAtomic } from "../../gpu-node/model/files.ts";
import { modelTensorShapes } from "../../gpu-node/model/parameters.ts";
import { PHASES, RECIPE, SHAPE } from "./model_recipe.ts";

export interface CardFacts {
  seed: number;
  steps: number;
  seconds: number;
  /** [step, mean loss since the last row] */
  losses: [number, number][];
}

export function writeCard(folder: string, facts: CardFacts): void {
  let parameters = 0;
  for (const shape of modelTensorShapes(SHAPE).values()) {
    parameters += shape.reduce((a, b) => a * b, 1);
  }
  const phases = PHASES.map(({ share, precise }) =>
    `${share * 100} % of the steps with ${precise * 100} % precise documents`
  ).join(", then ");
  const rows = facts.losses.filter((_, i, all) =>
    i % Math.ceil(all.length / 20) === 0 || i === all.length - 1
  )
    .map(([step, loss]) => `| ${step} | ${loss.toFixed(4)} |`);
  const text = `---
license: mit
library_name: transformers.js
---
# collm-tiny

A Llama of ${
    parameters.toLocaleString("en")
  } parameters that speaks the command grammar of StrBuild and can read a
target from a compact prompt, but by default builds nonsense: what a team learns from here is
learnt by reinforcement. Text it was trained on: ${
    RECIPE.documentsPerStep * facts.steps
  } documents written by
\`train/pretrain/documents.ts\`, ${phases}. No evaluation word occurs in them.

| | |
|---|---|
| command | \`deno task pretrain --seed ${facts.seed} --steps ${facts.steps}\` |
| time | ${facts.seconds.toFixed(0)} s on 2 CPU cores |
| shape | hidden ${SHAPE.hiddenSize}, layers ${SHAPE.layers}, heads ${SHAPE.heads}, key/value heads ${SHAPE.kvHeads}, feed-forward ${SHAPE.intermediateSize}, vocabulary ${SHAPE.vocabSize}, tied |
| update | cross entropy on the commands, AdamW, learning rate ${RECIPE.learningRate} (warm-up ${RECIPE.warmup}, cosine to ${
    RECIPE.finalFraction * 100
  } %), betas ${RECIPE.betas.join(", ")}, clip ${RECIPE.maxGradNorm} |
| licence | MIT |

Loss (mean per command token; random documents are mostly unpredictable, so it rises when they come in):

| step | loss |
|---|---|
${rows.join("\n")}
`;
  writeFileAtomic(join(folder, "README.md"), [new TextEncoder().encode(text)]);
}
