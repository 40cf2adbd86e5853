/**
 * `deno run -A bench/memory.ts`: memory and time of one update with activations kept and computed
 * again, each in a process of its own. Memory is the process's peak resident set, in all and beyond
 * what it held after loading.
 */
import { cpuDevice } from "../gpu-node/device.ts";
import { Kernel } from "../gpu-node/kernel.ts";
import type { ModelConfig } from "../gpu-node/model/config.ts";
import { llama, randomFolder, SHAPES, time } from "./shapes.ts";

interface Case {
  config: ModelConfig;
  batch: number;
  length: number;
  lora?: { rank: number; alpha: number };
}

const CASES: Record<string, Case> = {
  "30M": { config: SHAPES["30M"], batch: 8, length: 512 },
  "30M LoRA": { config: SHAPES["30M"], batch: 8, length: 512, lora: { rank: 8, alpha: 16 } },
  "wide head": {
    config: llama({
      vocabSize: 151936,
      hiddenSize: 64,
      intermediateSize: 128,
      layers: 1,
      heads: 2,
    }),
    batch: 4,
    length: 512,
  },
};
const ROUNDS = 3;

/** Resident set in MB, now or at its peak. */
const resident = (key: "VmRSS" | "VmHWM"): number =>
  Number(
    new RegExp(`${key}:\\s+(\\d+)`).exec(Deno.readTextFileSync("/proc/self/status"))![1],
  ) / 1024;

async function measure({ config, batch, length, lora }: Case, folder: string, recompute: boolean) {
  const kernel = new Kernel(await cpuDevice());
  await kernel.load({ policy: "p", source: folder, ...lora && { lora } });
  const loaded = resident("VmRSS");
  const sequences = Array.from({ length: batch }, (_, b) => ({
    tokens: Array.from({ length }, (_, i) => (b * 131 + i * 7919 + 3) % config.vocabSize),
    prompt_length: 1,
    advantage: 1,
  }));
  const update = (seq: number) =>
    kernel.update({
      policy: "p",
      seq,
      loss: "policy_gradient",
      batch: sequences,
      optimizer: { name: "adamw", learning_rate: 1e-5 },
      max_grad_norm: 1,
      recompute,
    });
  const times: number[] = [];
  for (let seq = 0; seq <= ROUNDS; seq++) times.push(await time(() => update(seq)));
  const peak = resident("VmHWM");
  const ms = Math.min(...times.slice(1));
  console.log(JSON.stringify({ loaded, peak, update: peak - loaded, ms }));
}

if (import.meta.main) {
  const [name, folder, recompute] = Deno.args;
  if (folder && (recompute === "true" || recompute === "false")) {
    await measure(CASES[name!]!, folder, recompute === "true");
    Deno.exit(0);
  }
  for (const [name, { config }] of Object.entries(CASES)) {
    if (Deno.args.length > 0 && !Deno.args.includes(name)) continue;
    const folder = await randomFolder(config);
    for (const recompute of [false, true]) {
      const { stdout } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", import.meta.filename!, name, folder, `${recompute}`],
        stderr: "inherit",
      }).output();
      const numbers = JSON.parse(new TextDecoder().decode(stdout)) as Record<string, number>;
      const shown = Object.entries(numbers).map(([key, x]) => `${key} ${Math.round(x)}`);
      console.log(`${name}, ${recompute ? "computed again" : "kept"}: ${shown.join(", ")}`);
    }
    await Deno.remove(folder, { recursive: true });
  }
}
