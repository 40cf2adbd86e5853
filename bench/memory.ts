/**
 * `deno run -A bench/memory.ts`: memory and time of one training step with activations kept or
 * computed again, with the logits of a large vocabulary whole or in pieces, each in a process of
 * its own. Memory is the process's peak resident set less what it held before the first step:
 * activations, gradients, and the new parameters and moments.
 */
import { cpuDevice } from "../gpu-node/device.ts";
import type { ModelConfig } from "../gpu-node/model/config.ts";
import { adapterShapes } from "../gpu-node/model/lora.ts";
import { modelTensorShapes } from "../gpu-node/model/parameters.ts";
import { type LoraSpec, modelSpec } from "../gpu-node/model/spec.ts";
import { momentName, type UpdateForm, updateGraph } from "../gpu-node/program/update.ts";
import { splitBatch } from "../gpu-node/update/feeds.ts";
import { optimizerFeeds } from "../gpu-node/graph/optimizer.ts";
import { LORA_TARGETS } from "../gpu-node/verbs.ts";
import { uniforms } from "../shared/random.ts";
import { llama, SHAPES, time } from "./shapes.ts";

interface Case {
  config: ModelConfig;
  batch: number;
  length: number;
  lora?: LoraSpec;
  forms: Record<string, Partial<UpdateForm>>;
}

const ACTIVATIONS = { "activations kept": {}, "computed again": { recompute: true } };
const CASES: Record<string, Case> = {
  "30M": { config: SHAPES["30M"], batch: 8, length: 512, forms: ACTIVATIONS },
  "30M LoRA": {
    ...{ config: SHAPES["30M"], batch: 8, length: 512, forms: ACTIVATIONS },
    lora: { rank: 8, alpha: 16, target_modules: [...LORA_TARGETS] },
  },
  "151936 words": {
    config: llama({ vocabSize: 151936, hiddenSize: 64, layers: 1, heads: 2, kvHeads: 2 }),
    ...{ batch: 4, length: 512, forms: { "logits whole": {}, "in pieces": { wide: true } } },
  },
};
const ROUNDS = 3;

/** Resident set in MB, now or at its peak. */
const resident = (key: "VmRSS" | "VmHWM"): number =>
  Number(
    new RegExp(`${key}:\\s+(\\d+)`).exec(Deno.readTextFileSync("/proc/self/status"))![1],
  ) / 1024;

async function measure({ config, batch, length, lora, forms }: Case, name: string) {
  const device = await cpuDevice();
  const model = modelTensorShapes(config);
  const shapes = new Map([...model, ...lora ? adapterShapes(model, lora) : []]);
  const form = { kind: "weighted", kl: false, recompute: false, wide: false, ...forms[name]! };
  const spec = modelSpec(config, shapes, lora ?? null);
  const { graph, parameters } = updateGraph(spec, config.maxPositions, form as UpdateForm, "step");
  const program = await device.compile(graph);
  const random = uniforms(1);
  const filled = (key: string, value: () => number) => {
    const dims = shapes.get(key)!;
    return { data: new Float32Array(dims.reduce((a, b) => a * b, 1)).map(value), dims };
  };
  const { feeds } = splitBatch({
    ...{ policy: "p", seq: 0, loss: "policy_gradient" },
    optimizer: { name: "adamw", learning_rate: 0 },
    batch: Array.from({ length: batch }, (_, b) => ({
      tokens: Array.from({ length }, (_, i) => (b * 131 + i * 7919 + 3) % config.vocabSize),
      ...{ prompt_length: 1, advantage: 1 },
    })),
  })[0]!;
  const inputs = {
    ...Object.fromEntries([...shapes.keys()].map((key) => [
      key,
      filled(key, () => (random() - 0.5) / 10),
    ])),
    ...Object.fromEntries(
      parameters.flatMap((key) =>
        (["m", "v"] as const).map((kind) => [momentName(kind, key), filled(key, () => 0)])
      ),
    ),
    ...optimizerFeeds({ lr: 1e-5, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, maxNorm: 1 }, 1),
    ...feeds,
  };
  const before = resident("VmRSS");
  let into = await program.run(inputs);
  const times: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    times.push(await time(async () => into = await program.run(inputs, into)));
  }
  console.log(JSON.stringify({ mb: resident("VmHWM") - before, ms: Math.min(...times) }));
}

if (import.meta.main) {
  const [shape, name] = Deno.args;
  if (name) {
    await measure(CASES[shape!]!, name);
    Deno.exit(0);
  }
  for (const [shape, { forms }] of Object.entries(CASES)) {
    for (const name of Object.keys(forms)) {
      const { stdout } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", import.meta.filename!, shape, name],
        stderr: "inherit",
      }).output();
      const { mb, ms } = JSON.parse(new TextDecoder().decode(stdout));
      console.log(`${shape}, ${name}: ${Math.round(mb)} MB, ${Math.round(ms)} ms`);
    }
  }
}
