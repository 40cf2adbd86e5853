/**
 * Sampling speed: our Loop graph against Transformers.js `generate` on the same folder, the same
 * prompts, the same number of tokens, in turn.
 */
import { resolve } from "node:path";
import { loadTransformers } from "../deps.ts";
import { cpuDevice } from "../gpu-node/device.ts";
import { Kernel } from "../gpu-node/kernel.ts";
import { readModelConfig } from "../gpu-node/model/config.ts";
import { uniforms } from "../shared/random.ts";
import { median, time } from "./shapes.ts";

export interface SampleNumbers {
  batch: number;
  prompt: number;
  new_tokens: number;
  ours_tokens_per_s: number;
  transformers_tokens_per_s: number;
  /** Median over rounds of their time / our time. */
  ratio: number;
}

export async function benchSample(
  folder: string,
  { batch = 64, prompt = 16, newTokens = 64, rounds = 5 } = {},
): Promise<SampleNumbers> {
  const config = readModelConfig(folder);
  const random = uniforms(2);
  const prompts = Array.from(
    { length: batch },
    () => Array.from({ length: prompt }, () => 3 + Math.floor(random() * (config.vocabSize - 3))),
  );
  const kernel = new Kernel(await cpuDevice());
  await kernel.load({ policy: "p", source: folder });
  const { AutoModelForCausalLM, Tensor } = await loadTransformers();
  const model = await AutoModelForCausalLM.from_pretrained(resolve(folder), {
    local_files_only: true,
    dtype: "fp32",
    device: "cpu",
    session_options: { intraOpNumThreads: 2, enableMemPattern: false },
  });
  const int64 = (rows: number[][]) =>
    new Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [batch, prompt]);
  let seed = 0;
  const ours = () =>
    kernel.sample({
      policy: "p",
      prompts,
      seeds: prompts.map((_, i) => i + 1000 * seed++),
      max_tokens: newTokens,
      temperature: 1,
      stop_tokens: [],
    });
  const theirs = () =>
    model.generate(
      {
        inputs: int64(prompts),
        attention_mask: int64(prompts.map((row) => row.map(() => 1))),
        max_new_tokens: newTokens,
        min_new_tokens: newTokens,
        do_sample: true,
        top_k: 0,
        temperature: 1,
      } as Parameters<typeof model.generate>[0],
    );
  await ours();
  await theirs();
  const [mine, other]: number[][] = [[], []];
  for (let i = 0; i < rounds; i++) {
    mine!.push(await time(ours));
    other!.push(await time(theirs));
  }
  await model.dispose();
  const rate = (ms: number[]) => batch * newTokens / median(ms) * 1000;
  return {
    batch,
    prompt,
    new_tokens: newTokens,
    ours_tokens_per_s: rate(mine!),
    transformers_tokens_per_s: rate(other!),
    ratio: median(other!.map((ms, i) => ms / mine![i]!)),
  };
}
