/**
 * `deno task pretrain`: makes the embedded policy from nothing but a seed. Tokenizer from the
 * documents, fresh weights, then our own cross-entropy update on documents in its grammar.
 * The same seed gives the same weights on the same machine.
 */
import { mkdirSync, rmSync } from "node:fs";
import { loadCommander } from "../../deps.ts";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { requireReplaceable } from "../../gpu-node/model/export.ts";
import { writeFreshCheckpoint } from "../../gpu-node/model/initialize.ts";
import { loadTokenizer, type Tokenizer } from "../../gpu-node/model/tokenizer.ts";
import type { UpdateSequence } from "../../gpu-node/verbs.ts";
import { runCommand, seed, whole } from "../../shared/flags.ts";
import { seedOf, shuffle, uniforms } from "../../shared/random.ts";
import { writeCard } from "./card.ts";
import { document } from "./documents.ts";
import { learningRate, preciseShare, RECIPE, SHAPE } from "./model_recipe.ts";
import { writeTokenizerFolder } from "./tokenizer_folder.ts";
import { BOS, buildTokenizer, CHAT_TEMPLATE, EOS, PAD } from "./tokenizer_recipe.ts";

/** Documents drawn at once and sorted by length, so that a batch has little padding. */
const STEPS_PER_DRAW = 8;
const LOSS_EVERY = 50;

export interface PretrainOptions {
  out: string;
  seed: number;
  steps: number;
}

/** Writes the policy's folder and returns the loss curve as [step, loss] pairs. */
export async function pretrain({ out, seed, steps }: PretrainOptions): Promise<[number, number][]> {
  const started = performance.now();
  requireReplaceable(out);
  const work = `${out}.training`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const random = uniforms(seedOf("tokenizer documents", seed));
  const texts = Array.from({ length: 2000 }, () => document(random, { precise: 0.2 }))
    .map((d) => d.prompt + d.response);
  writeTokenizerFolder(work, buildTokenizer(texts), {
    chatTemplate: CHAT_TEMPLATE,
    bos: BOS,
    eos: EOS,
    pad: PAD,
    modelMaxLength: SHAPE.maxPositions,
  });
  writeFreshCheckpoint(work, SHAPE, seed);
  const tokenizer = await loadTokenizer(work);
  const kernel = new Kernel(await cpuDevice());
  await kernel.load({ policy: "base", source: work });

  const losses: [number, number][] = [];
  let sum = 0;
  for (let step = 0; step < steps; step++) {
    const { loss } = await kernel.update({
      policy: "base",
      seq: step,
      loss: "cross_entropy",
      batch: batchOf(tokenizer, seed, step, steps),
      optimizer: {
        name: "adamw",
        learning_rate: learningRate(step, steps),
        betas: RECIPE.betas,
        weight_decay: RECIPE.weightDecay,
      },
      max_grad_norm: RECIPE.maxGradNorm,
    });
    sum += loss;
    if ((step + 1) % LOSS_EVERY === 0) {
      losses.push([step + 1, sum / LOSS_EVERY]);
      const seconds = (performance.now() - started) / 1000;
      console.error(
        `step ${step + 1}/${steps}  loss ${(sum / LOSS_EVERY).toFixed(4)}  ` +
          `${seconds.toFixed(0)} s`,
      );
      sum = 0;
    }
  }
  await kernel.save("base", out);
  const seconds = (performance.now() - started) / 1000;
  await writeCard(out, { seed, steps, seconds, losses });
  rmSync(work, { recursive: true, force: true });
  return losses;
}

/** Batch of one step: its slice, by length, of a draw that several steps share. */
function batchOf(
  tokenizer: Tokenizer,
  seed: number,
  step: number,
  steps: number,
): UpdateSequence[] {
  const draw = Math.floor(step / STEPS_PER_DRAW);
  const random = uniforms(seedOf("documents", seed, draw));
  const precise = preciseShare(draw * STEPS_PER_DRAW, steps);
  const count = RECIPE.documentsPerStep;
  const all = Array.from({ length: STEPS_PER_DRAW * count }, () => {
    const { prompt, response } = document(random, { precise });
    const head = tokenizer.encode(prompt, { addSpecialTokens: true });
    const tokens = [...head, ...tokenizer.encode(response), ...tokenizer.eosIds];
    return { tokens, prompt_length: head.length };
  }).sort((a, b) => a.tokens.length - b.tokens.length);
  const order = shuffle([...Array(STEPS_PER_DRAW).keys()], random);
  const at = order[step % STEPS_PER_DRAW]! * count;
  return all.slice(at, at + count);
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
