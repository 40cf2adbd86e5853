/**
 * The vocabulary in pieces: PyTorch's numbers, and those of the head in one piece where runs are
 * small enough for it, with a last piece that is shorter than the others.
 */
import assert from "node:assert/strict";
import { cpuDevice } from "../../gpu-node/device.ts";
import { cutOf } from "../../gpu-node/graph/ops/head.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { readCheckpointTensors } from "../../gpu-node/model/checkpoint.ts";
import { readModelConfig } from "../../gpu-node/model/config.ts";
import { writeFreshCheckpoint } from "../../gpu-node/model/initialize.ts";
import { modelTensorShapes } from "../../gpu-node/model/parameters.ts";
import { modelSpec } from "../../gpu-node/model/spec.ts";
import { isWide } from "../../gpu-node/program/forward.ts";
import { gradientName, sumName, updateGraph } from "../../gpu-node/program/update.ts";
import { splitBatch } from "../../gpu-node/update/feeds.ts";
import { gradientReport } from "../../gpu-node/update/report.ts";
import { close, compareGradients, FAMILIES, golden, relative } from "./golden.ts";

const device = await cpuDevice();

for (const family of FAMILIES) {
  Deno.test(`update with the vocabulary in pieces gives PyTorch's gradients of ${family}`, async () => {
    const { folder, expected, policyGradient } = golden(family);
    const config = readModelConfig(folder);
    const spec = modelSpec(config, modelTensorShapes(config));
    const form = { kind: "weighted", kl: false, recompute: false, wide: true } as const;
    const { graph, parameters } = updateGraph(spec, 64, form, "gradients");
    assert.ok(graph.nodes.some(({ op }) => op === "Loop"));
    const program = await device.compile(graph);
    const weights = [...readCheckpointTensors(folder)].map(([name, t]) =>
      [name, { data: t.data, dims: t.shape }] as const
    );
    const sums = parameters.map((name) =>
      [sumName(name), {
        data: Float32Array.of(0),
        dims: spec.shapes.get(name)!.map(() => 1),
      }] as const
    );
    const output = await program.run({
      ...Object.fromEntries([...weights, ...sums]),
      ...splitBatch(policyGradient())[0]!.feeds,
    });
    const dataOf = (name: string) => output[name]!.data as Float32Array;
    const section = expected.policy_gradient_full;
    relative(dataOf("loss")[0]!, section.loss, 1e-3, "loss");
    const gradients = Object.fromEntries(
      parameters.map((name) => [name, gradientReport(dataOf(gradientName(name)))]),
    );
    compareGradients(gradients, section.grads, 1e-3);
    await program.release();
  });
}

Deno.test("cutOf makes equal pieces of common vocabularies and covers every other", () => {
  assert.deepEqual(cutOf(151936), { count: 128, width: 1187, last: 1187 });
  assert.deepEqual(cutOf(32000), { count: 16, width: 2000, last: 2000 });
  for (const vocab of [1, 97, 2048, 2049, 50021, 50257, 128256]) {
    const { count, width, last } = cutOf(vocab);
    assert.equal((count - 1) * width + last, vocab);
    assert.ok(width <= 2048 && last >= 1 && last <= width, `${vocab}: ${width}, ${last}`);
  }
});

Deno.test("score and update of one large run equal those of many small ones", async () => {
  const parent = await Deno.makeTempDir();
  const [vocab, length] = [50021, 90];
  const config = readModelConfig(golden("llama-tiny").folder);
  for (const tied of [true, false]) {
    const folder = `${parent}/${tied}`;
    const sizes = { vocabSize: vocab, hiddenSize: 16, headDim: 4, layers: 1, tied };
    writeFreshCheckpoint(folder, { ...config, ...sizes }, 1);
    const batch = Array.from({ length: 16 }, (_, b) => ({
      tokens: Array.from({ length }, (_, i) => (b * 7919 + i * 104729) % vocab),
      prompt_length: 1,
      advantage: b % 3 - 1.2,
    }));
    assert.ok(isWide({ ...config, ...sizes }, 16 * (length - 1)));
    assert.ok(!isWide({ ...config, ...sizes }, 2 * (length - 1)));
    const node = new Kernel(device);
    await node.load({ policy: "tiny", source: folder });
    const ask = (tokens_per_run: number) =>
      node.update({
        ...golden("llama-tiny").policyGradient({ batch, tokens_per_run }),
        apply: false,
        report: "gradients",
      });
    const [whole, split] = [await ask(16384), await ask(2 * length)];
    relative(whole.loss, split.loss, 1e-4, "loss");
    relative(whole.grad_norm, split.grad_norm, 1e-4, "grad_norm");
    compareGradients(whole.gradients!, split.gradients!, 1e-3);
    const together = (await node.score("tiny", batch)).logprobs;
    for (const i of [0, 15]) {
      const { logprobs: [alone] } = await node.score("tiny", [batch[i]!]);
      alone!.forEach((x, k) => close(together[i]![k]!, x, 1e-4, `${i}, ${k}`));
    }
  }
  await Deno.remove(parent, { recursive: true });
});
