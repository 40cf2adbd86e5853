/**
 * `deno task pretrain`: makes the embedded policy from nothing but a seed. Tokenizer, fresh
 * weights, then our own cross-entropy update on documents in the grammar of the environments.
 * The same seed gives the same weights on the same machine.
 */
import { resolve } from "node:path";
import { mkdirSync, rmSync } from "node:fs";
import { loadCommander } from "../../deps.ts";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { requireReplaceable } from "../../gpu-node/model/folder.ts";
import { writeFreshCheckpoint } from "../../gpu-node/model/initialize.ts";
import { loadTokenizer } from "../../gpu-node/model/tokenizer.ts";
import { mean } from "../../shared/algorithms/moments.ts";
import { runCommand, seed, whole } from "../../shared/flags.ts";
import { writeCard } from "./card.ts";
import { tokenizerTexts } from "./corpus.ts";
import { RECIPE, SHAPE, STAGES, stageSteps } from "./model_recipe.ts";
import { trainStage } from "./stage.ts";
import { writeTokenizerFolder } from "./tokenizer_folder.ts";
import { BOS, buildTokenizer, CHAT_TEMPLATE, EOS, PAD } from "./tokenizer_recipe.ts";

const LOSS_EVERY = 50;

export interface PretrainOptions {
  out: string;
  seed: number;
  steps: number;
}

/** Writes the policy's folder and returns the loss curve as [step, loss] pairs. */
export async function pretrain(
  { out: target, seed, steps }: PretrainOptions,
): Promise<[number, number][]> {
  const started = performance.now();
  // Without a slash at its end: the folder of the work is named after it.
  const out = resolve(target);
  const work = `${out}.training`;
  for (const folder of [out, work]) requireReplaceable(folder);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  writeTokenizerFolder(work, buildTokenizer(tokenizerTexts()), {
    chatTemplate: CHAT_TEMPLATE,
    bos: BOS,
    eos: EOS,
    pad: PAD,
    modelMaxLength: SHAPE.maxPositions,
  });
  writeFreshCheckpoint(work, SHAPE, seed);
  const tokenizer = await loadTokenizer(work);
  const kernel = new Kernel(await cpuDevice());
  const losses: [number, number][] = [];
  const pending: number[] = [];
  let [done, draws] = [0, 0];
  for (const [number, count] of stageSteps(steps).entries()) {
    const stage = STAGES[number]!;
    // A stage begins with the weights alone: its optimizer is new.
    await kernel.load({ policy: "base", source: work });
    const report = (loss: number) => {
      pending.push(loss);
      if (++done % LOSS_EVERY !== 0 && done !== steps) return;
      losses.push([done, mean(pending.splice(0))]);
      const seconds = (performance.now() - started) / 1000;
      console.error(
        `step ${done}/${steps}  loss ${losses.at(-1)![1].toFixed(4)}  ${seconds.toFixed(0)} s`,
      );
    };
    draws += await trainStage(kernel, tokenizer, { stage, seed, steps: count, draws, report });
    const last = number === STAGES.length - 1;
    await kernel.save("base", last ? out : work);
    await kernel.unload("base");
  }
  const seconds = (performance.now() - started) / 1000;
  writeCard(out, { seed, steps, seconds, losses });
  rmSync(work, { recursive: true, force: true });
  return losses;
}

async function main(args: string[]): Promise<void> {
  const { Command } = await loadCommander();
  const options = new Command("pretrain")
    .description("Make the embedded policy from a seed")
    .option("--out <folder>", "folder of the policy", "models/collm-tiny")
    .option("--seed <n>", "seed of weights and documents", seed, 1)
    .option("--steps <n>", "updates", whole("--steps", 1, 1_000_000), RECIPE.steps)
    .parse(args, { from: "user" })
    .opts<PretrainOptions>();
  await pretrain(options);
  console.error(`Wrote ${options.out}`);
}

if (import.meta.main) await runCommand(main);
