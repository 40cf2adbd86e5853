/**
 * `deno run -A bench/scale.ts [135M 0.6B 1.7B]`: what larger models take on this machine, each in
 * a process of its own: load, a LoRA update at sequence length 512, sampling. Weights are random,
 * written by the bench in the shapes of SmolLM2-135M, Qwen3-0.6B and Qwen3-1.7B. Memory is the
 * process's peak resident set. A shape that does not fit is computed from its sizes, and says so.
 */
import { join } from "node:path";
import { Kernel } from "../gpu-node/kernel.ts";
import { cpuDevice } from "../gpu-node/device.ts";
import type { ModelConfig } from "../gpu-node/model/config.ts";
import { writeFreshCheckpoint } from "../gpu-node/model/initialize.ts";
import { adapterShapes } from "../gpu-node/model/lora.ts";
import { modelTensorShapes } from "../gpu-node/model/parameters.ts";
import { LORA_TARGETS } from "../gpu-node/verbs.ts";
import { llama, qwen3, time } from "./shapes.ts";

export const SCALE_SHAPES: Record<string, ModelConfig> = {
  "135M": llama({
    ...{ vocabSize: 49152, hiddenSize: 576, intermediateSize: 1536, layers: 30 },
    ...{ heads: 9, kvHeads: 3, headDim: 64, ropeTheta: 100000, maxPositions: 2048 },
  }),
  "0.6B": qwen3({ hiddenSize: 1024, intermediateSize: 3072 }),
  "1.7B": qwen3({ hiddenSize: 2048, intermediateSize: 6144 }),
};

const LENGTH = 512;
const LORA = { rank: 8, alpha: 16 };
const SAMPLE = { rows: 16, prompt: 64, tokens: 32 };

export interface ScaleNumbers {
  parameters: number;
  measured: boolean;
  load_gb: number;
  update_gb: number;
  sample_gb: number;
  update_tokens_per_s: number | null;
  sample_tokens_per_s: number | null;
  /** Resident megabytes of a further agent with an adapter, and the adapter's own. */
  agent_mb: number | null;
  adapter_mb: number;
}

const parametersOf = (config: ModelConfig): number =>
  [...modelTensorShapes(config).values()].reduce((n, s) => n + s.reduce((a, b) => a * b, 1), 0);

function adapterMb(config: ModelConfig): number {
  const form = adapterShapes(modelTensorShapes(config), { ...LORA, target_modules: LORA_TARGETS });
  return 4 * [...form.values()].reduce((n, s) => n + s.reduce((a, b) => a * b, 1), 0) / 1e6;
}

/**
 * Lower bound of memory in GB where nothing was measured: float32 weights; for an update also, per
 * layer, what the backward pass reads (projections' inputs and outputs, attention weights), the
 * logits and their softmax; for sampling the cache.
 */
function computed(config: ModelConfig): ScaleNumbers {
  const parameters = parametersOf(config);
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, layers, vocabSize } = config;
  const width = 6 * hiddenSize + 2 * (heads + 2 * kvHeads) * headDim + 4 * intermediateSize;
  const kept = layers * LENGTH * (width + 2 * heads * LENGTH) + 3 * LENGTH * vocabSize;
  const cache = 2 * layers * kvHeads * headDim * SAMPLE.rows * (SAMPLE.prompt + SAMPLE.tokens);
  const gb = (floats: number) => 4 * floats / 1e9;
  return {
    parameters,
    measured: false,
    load_gb: gb(parameters),
    update_gb: gb(parameters + kept),
    sample_gb: gb(parameters + cache),
    update_tokens_per_s: null,
    sample_tokens_per_s: null,
    agent_mb: null,
    adapter_mb: adapterMb(config),
  };
}

/** How this file runs itself: `--child SHAPE FOLDER VERB`. */
const RUN = ["run", "-A", "--no-check"];
const CHILD = "--child";

/** Peak resident set since the process began, in GB. */
const peakGb = (): number =>
  Number(/VmHWM:\s+(\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))![1]) * 1024 / 1e9;

/** One shape in this process; `verb` decides what it does after loading. */
async function measure(config: ModelConfig, folder: string, verb: string) {
  const kernel = new Kernel(await cpuDevice());
  await kernel.load({ policy: "p", source: folder, lora: LORA });
  const tokens = Array.from({ length: LENGTH }, (_, i) => (i * 7919 + 3) % config.vocabSize);
  let rate: number | null = null;
  if (verb === "agents") {
    // Megabytes that each of seven further agents on the same base takes.
    const before = Deno.memoryUsage().rss;
    for (let seed = 1; seed < 8; seed++) {
      await kernel.load({ policy: `p${seed}`, source: folder, lora: { ...LORA, seed } });
    }
    rate = (Deno.memoryUsage().rss - before) / 7 / 1e6;
  }
  if (verb === "update") {
    const update = (seq: number) =>
      kernel.update({
        policy: "p",
        seq,
        loss: "policy_gradient",
        batch: [{ tokens, prompt_length: 1, advantage: 1 }],
        optimizer: { name: "adamw", learning_rate: 1e-4 },
        max_grad_norm: 1,
      });
    await update(0);
    rate = LENGTH / await time(() => update(1)) * 1000;
  }
  if (verb === "sample") {
    const { rows, prompt, tokens: fresh } = SAMPLE;
    const sample = () =>
      kernel.sample({
        policy: "p",
        prompts: Array.from({ length: rows }, (_, i) => tokens.slice(i, i + prompt)),
        seeds: Array.from({ length: rows }, (_, i) => i),
        max_tokens: fresh,
        temperature: 1,
        stop_tokens: [],
      });
    await sample();
    rate = rows * fresh / await time(sample) * 1000;
  }
  console.log(JSON.stringify({ gb: peakGb(), rate }));
}

async function child(shape: string, folder: string, verb: string) {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [...RUN, new URL(import.meta.url).pathname, CHILD, shape, folder, verb],
    stderr: "inherit",
  }).output();
  const line = new TextDecoder().decode(stdout).trim().split("\n").at(-1) ?? "";
  return success ? JSON.parse(line) as { gb: number; rate: number | null } : null;
}

/** Numbers of one shape: measured, or computed where a process did not survive. */
export async function benchScale(shape: string): Promise<ScaleNumbers> {
  const config = SCALE_SHAPES[shape]!;
  const parent = await Deno.makeTempDir({ prefix: "collm-bench-" });
  try {
    const folder = join(parent, "model");
    writeFreshCheckpoint(folder, config, 1);
    const [load, update, sample] = [
      await child(shape, folder, "load"),
      await child(shape, folder, "update"),
      await child(shape, folder, "sample"),
    ];
    const agents = await child(shape, folder, "agents");
    if (!load || !update || !sample || !agents) return computed(config);
    return {
      parameters: parametersOf(config),
      measured: true,
      load_gb: load.gb,
      update_gb: update.gb,
      sample_gb: sample.gb,
      update_tokens_per_s: update.rate,
      sample_tokens_per_s: sample.rate,
      agent_mb: agents.rate,
      adapter_mb: adapterMb(config),
    };
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

if (import.meta.main) {
  const [mode, shape, folder, verb] = Deno.args;
  if (mode === CHILD) {
    await measure(SCALE_SHAPES[shape!]!, folder!, verb!);
    Deno.exit(0);
  }
  const names = Deno.args.length ? Deno.args : Object.keys(SCALE_SHAPES);
  console.log(
    `LoRA rank ${LORA.rank} on ${LORA_TARGETS.length} matrices, length ${LENGTH}; ` +
      `sampling ${SAMPLE.rows} x ${SAMPLE.tokens} tokens after prompts of ${SAMPLE.prompt}`,
  );
  const unknown = names.find((name) => !Object.hasOwn(SCALE_SHAPES, name));
  if (unknown !== undefined) {
    console.error(`Cannot measure '${unknown}': known shapes are ${Object.keys(SCALE_SHAPES)}`);
    Deno.exit(2);
  }
  for (const name of names) console.log(name, JSON.stringify(await benchScale(name)));
  Deno.exit(0);
}
