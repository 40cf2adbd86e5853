/**
 * Sampling speed, each time two ways in turn: against Transformers.js `generate` on the same folder,
 * prompts and number of tokens; many completions of one prompt against requests of their own;
 * agents with adapters in one batch against one merged model.
 */
import { resolve } from "node:path";
import { loadTransformers } from "../deps.ts";
import { cpuDevice } from "../gpu-node/device.ts";
import { Kernel } from "../gpu-node/kernel.ts";
import { lanesOf } from "../gpu-node/lane/lane.ts";
import { readModelConfig } from "../gpu-node/model/config.ts";
import type { SampleRequest } from "../gpu-node/verbs.ts";
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
  const prompts = randomPrompts(folder, batch, prompt);
  const kernel = await openKernel();
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
  const ours = () => kernel.sample(sampleRequest("p", prompts, newTokens, 1000 * seed++));
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
  const [mine, other] = await inTurn(rounds, ours, theirs);
  await model.dispose();
  await kernel.close();
  const rate = (ms: number[]) => batch * newTokens / median(ms) * 1000;
  return {
    batch,
    prompt,
    new_tokens: newTokens,
    ours_tokens_per_s: rate(mine),
    transformers_tokens_per_s: rate(other),
    ratio: median(other.map((ms, i) => ms / mine[i]!)),
  };
}

export interface TogetherNumbers {
  together_ms: number;
  other_ms: number;
  /** Median over rounds of the other time / the time together. */
  ratio: number;
}

/** Completions of one prompt: one request for all against a request each. */
export async function benchGroup(
  folder: string,
  { group = 16, prompt = 200, newTokens = 64, rounds = 5 } = {},
): Promise<TogetherNumbers> {
  const kernel = await openKernel();
  await kernel.load({ policy: "p", source: folder });
  const prompts = Array<number[]>(group).fill(randomPrompts(folder, 1, prompt)[0]!);
  const together = () => kernel.sample(sampleRequest("p", prompts, newTokens));
  const separate = async () => {
    for (const [i, one] of prompts.entries()) {
      await kernel.sample(sampleRequest("p", [one], newTokens, i));
    }
  };
  const result = numbersOf(await inTurn(rounds, together, separate));
  await kernel.close();
  return result;
}

/** Prompts that begin alike, one token each of their own, against prompts that do not. */
export async function benchBeginnings(
  folder: string,
  { rows = 16, prompt = 385, newTokens = 16, rounds = 5 } = {},
): Promise<TogetherNumbers> {
  const kernel = await openKernel();
  await kernel.load({ policy: "p", source: folder });
  const different = randomPrompts(folder, rows, prompt);
  const alike = different.map((own) => [...different[0]!.slice(0, -1), own.at(-1)!]);
  const result = numbersOf(
    await inTurn(
      rounds,
      () => kernel.sample(sampleRequest("p", alike, newTokens)),
      () => kernel.sample(sampleRequest("p", different, newTokens)),
    ),
  );
  await kernel.close();
  return result;
}

/**
 * Agents with adapters of their own on one base in one batch, against as many rows of one merged
 * model; its ratio is below 1 by what the adapters cost.
 */
export async function benchAdapters(
  folder: string,
  { agents = 4, rank = 8, batch = 64, prompt = 16, newTokens = 64, rounds = 5 } = {},
): Promise<TogetherNumbers> {
  const kernel = await openKernel();
  await kernel.load({ policy: "merged", source: folder });
  const prompts = randomPrompts(folder, batch, prompt);
  const requests: SampleRequest[] = [];
  for (let agent = 0; agent < agents; agent++) {
    const policy = `agent_${agent}`;
    await kernel.load({ policy, source: folder, lora: { rank, alpha: 16, seed: agent } });
    const own = prompts.filter((_, i) => i % agents === agent);
    requests.push(sampleRequest(policy, own, newTokens, agent * batch));
  }
  const result = numbersOf(
    await inTurn(
      rounds,
      () => kernel.sampleTogether(requests),
      () => kernel.sample(sampleRequest("merged", prompts, newTokens)),
    ),
  );
  await kernel.close();
  return result;
}

/** What a GPU node runs on a CPU. */
async function openKernel(): Promise<Kernel> {
  const device = await cpuDevice();
  return new Kernel(device, lanesOf(device));
}

function randomPrompts(folder: string, count: number, length: number): number[][] {
  const { vocabSize } = readModelConfig(folder);
  const random = uniforms(2);
  const token = () => 3 + Math.floor(random() * (vocabSize - 3));
  return Array.from({ length: count }, () => Array.from({ length }, token));
}

const sampleRequest = (
  policy: string,
  prompts: number[][],
  max_tokens: number,
  seed = 0,
): SampleRequest => ({
  policy,
  prompts,
  seeds: prompts.map((_, i) => i + seed),
  max_tokens,
  temperature: 1,
  stop_tokens: [],
});

/** Milliseconds of two calls, one after the other, after one of each that is not counted. */
async function inTurn(
  rounds: number,
  one: () => Promise<unknown>,
  other: () => Promise<unknown>,
): Promise<[number[], number[]]> {
  await one();
  await other();
  const times: [number[], number[]] = [[], []];
  for (let i = 0; i < rounds; i++) {
    await pause();
    times[0].push(await time(one));
    await pause();
    times[1].push(await time(other));
  }
  return times;
}

const numbersOf = ([together, other]: [number[], number[]]): TogetherNumbers => ({
  together_ms: median(together),
  other_ms: median(other),
  ratio: median(other.map((ms, i) => ms / together[i]!)),
});

/** Until the threads of what ran before have stopped waiting for more with the core in their hands. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 200));
