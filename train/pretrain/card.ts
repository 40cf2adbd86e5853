/** The embedded policy's card: how it was made, in the form of a model card (README.md). */
import { join } from "node:path";
import { writeFileAtomic } from "../../gpu-node/model/files.ts";
import { modelTensorShapes } from "../../gpu-node/model/parameters.ts";
import type { Mix } from "./documents/index.ts";
import { RECIPE, SHAPE, STAGES, stageSteps } from "./model_recipe.ts";

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
  const stages = STAGES.flatMap(({ learningRate, phases }, i) =>
    phases.map(({ share, mix }) =>
      `| ${i + 1} | ${Math.round(share * stageSteps(facts.steps)[i]!)} | ${learningRate} | ${
        mixText(mix)
      } |`
    )
  );
  const rows = facts.losses.filter((_, i, all) =>
    i % Math.ceil(all.length / 20) === 0 || i === all.length - 1
  )
    .map(([step, loss]) => `| ${step} | ${loss.toFixed(4)} |`);
  const text = `---
license: mit
library_name: transformers.js
---
# collm-tiny

A Llama of ${parameters.toLocaleString("en")} parameters that speaks the grammars of StrBuild and
HouseBuild, one-line code and some words of short posts. It can do what a compact prompt asks, but
by default answers nonsense: what a team learns from here is learnt by reinforcement.

It was trained on ${RECIPE.documentsPerStep * facts.steps} documents written by
\`train/pretrain/documents/\`, of training items alone: no evaluation word, house, pair of coding
steps or post occurs in them. *Precise* documents do what their prompt asks, the others are random.

| stage | steps | learning rate | documents |
|---|---|---|---|
${stages.join("\n")}

| | |
|---|---|
| command | \`deno task pretrain --seed ${facts.seed} --steps ${facts.steps}\` |
| time | ${facts.seconds.toFixed(0)} s on 2 CPU cores |
| shape | hidden ${SHAPE.hiddenSize}, layers ${SHAPE.layers}, heads ${SHAPE.heads}, key/value heads ${SHAPE.kvHeads}, feed-forward ${SHAPE.intermediateSize}, vocabulary ${SHAPE.vocabSize}, tied |
| update | cross entropy on the answers, AdamW, new in each stage, warm-up ${RECIPE.warmup}, cosine to ${
    RECIPE.finalFraction * 100
  } %, betas ${RECIPE.betas.join(", ")}, clip ${RECIPE.maxGradNorm} |
| licence | MIT |

Loss (per token of the answers, of code weighted by 4; random documents are mostly unpredictable, so
it rises when they come in):

| step | loss |
|---|---|
${rows.join("\n")}
`;
  writeFileAtomic(join(folder, "README.md"), [new TextEncoder().encode(text)]);
}

const percent = (share: number): string => `${Math.round(100 * share)} %`;

const mixText = (mix: Mix): string =>
  Object.entries(mix).map(([kind, { share, precise }]) =>
    `${percent(share)} ${kind} (${percent(precise)} precise)`
  ).join(", ");
