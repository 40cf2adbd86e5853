/**
 * The losses: ppo_clip against PyTorch's numbers, and every gradient over log-probabilities or
 * values against finite differences of the formula, computed here in double precision.
 */
import assert from "node:assert/strict";
import { cpuDevice } from "../../gpu-node/device.ts";
import { gradients } from "../../gpu-node/graph/gradient.ts";
import { Graph } from "../../gpu-node/graph/graph.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { isValueLoss, tokenLoss, valueLoss } from "../../gpu-node/program/loss.ts";
import { lossForm, splitBatch } from "../../gpu-node/update/feeds.ts";
import type { UpdateRequest, UpdateSequence } from "../../gpu-node/verbs.ts";
import { uniforms } from "../../shared/random.ts";
import { close, compareGradients, FAMILIES, golden, relative } from "./golden.ts";

const device = await cpuDevice();

async function kernel(folder: string, more = {}): Promise<Kernel> {
  const node = new Kernel(device);
  await node.load({ policy: "tiny", source: folder, ...more });
  return node;
}

for (const family of FAMILIES) {
  const { folder, expected, sequences, policyGradient, advantages } = golden(family);
  const section = expected.ppo_clip_token;
  const batch = sequences.map((s, i) => ({
    ...s,
    advantage: advantages[i]!,
    old_logprobs: section.old_logprobs[i] as number[],
  }));

  Deno.test(`update with ppo_clip gives PyTorch's loss and gradients of ${family}`, async () => {
    const node = await kernel(folder);
    const request = policyGradient({ loss: "ppo_clip", batch, clip: section.clip });
    const result = await node.update({ ...request, apply: false, report: "gradients" });
    relative(result.loss, section.loss, 1e-3, "loss");
    relative(result.grad_norm, section.grad_norm, 1e-3, "grad_norm");
    compareGradients(result.gradients!, section.grads, 1e-3);
    const ratios = (expected.response_logprobs as number[][]).flatMap((row, i) =>
      row.map((x, k) => Math.exp(x - batch[i]!.old_logprobs[k]!))
    );
    const outside = ratios.filter((r) => Math.abs(r - 1) > section.clip).length;
    assert.ok(outside > 0 && outside < ratios.length);
    close(result.clip_fraction!, outside / ratios.length, 1e-9, "clip_fraction");
    const mismatch = ratios.reduce((n, r) => n + Math.abs(Math.log(r)), 0) / ratios.length;
    close(result.logprob_mismatch!, mismatch, 1e-4, "logprob_mismatch");
  });
}

/** The formulas of the header of program/loss.ts over log-probabilities per sequence. */
function tokenFormula(request: UpdateRequest, logprobs: number[][]): number {
  const { batch, kl_coef = 0, loss_scale = 1, clip = 0.2, loss, ratio } = request;
  const all = batch.reduce((n, s) => n + s.old_logprobs!.length, 0);
  const sum = (xs: number[]) => xs.reduce((a, b) => a + b, 0);
  const mean = (xs: number[]) => sum(xs) / xs.length;
  const gain = batch.map((s, i) => {
    const row = logprobs[i]!;
    const advantages = s.advantages ?? row.map(() => s.advantage!);
    if (loss === "policy_gradient") return sum(row.map((x, k) => x * advantages[k]!));
    if (loss === "cross_entropy") return (s.weight ?? 1) * sum(row) * batch.length / all;
    const ratios = row.map((x, k) => x - s.old_logprobs![k]!);
    const used = ratio === "sequence" ? ratios.map(() => mean(ratios)) : ratios;
    return mean(used.map((d, k) => {
      const [r, a] = [Math.exp(d), advantages[k]!];
      return Math.min(r * a, Math.min(1 + clip, Math.max(1 - clip, r)) * a);
    }));
  });
  const kl = batch.map((s, i) =>
    kl_coef && sum(logprobs[i]!.map((x, k) => {
      const d = s.ref_logprobs![k]! - x;
      return Math.exp(d) - d - 1;
    }))
  );
  return loss_scale * (kl_coef * mean(kl) - mean(gain));
}

const random = uniforms(5);
const draw = (n: number, low: number, high: number) =>
  Array.from({ length: n }, () => low + (high - low) * random());
const LENGTHS = [3, 1, 6];
const responses: UpdateSequence[] = LENGTHS.map((n, i) => ({
  tokens: Array(2 + n).fill(1),
  prompt_length: 2,
  ...i === 1 ? { advantage: -0.7 } : { advantages: draw(n, -1, 1) },
  old_logprobs: draw(n, -2, -1),
  ref_logprobs: draw(n, -2, -1),
  weight: 1 + i,
}));
const request = (extra: Partial<UpdateRequest>): UpdateRequest => ({
  policy: "p",
  seq: 0,
  loss: "policy_gradient",
  batch: responses,
  optimizer: { name: "adamw", learning_rate: 0 },
  loss_scale: 0.6,
  ...extra,
});

/** Loss and gradient of the graph over what the rows predicted. */
async function graphLoss(asked: UpdateRequest, predicted: number[]) {
  const g = new Graph();
  const x = g.input("x", "float32", ["rows"]);
  const form = lossForm(asked);
  const loss = isValueLoss(form) ? valueLoss(g, form, x) : tokenLoss(g, form, x);
  g.output("loss", loss);
  g.output("dx", gradients(g, loss, [x])[0]!);
  const program = await device.compile(g);
  const { feeds } = splitBatch(asked)[0]!;
  const used = Object.fromEntries(g.inputs.slice(1).map(({ name }) => [name, feeds[name]!]));
  const out = await program.run({
    ...used,
    x: { data: Float32Array.from(predicted), dims: [predicted.length] },
  });
  await program.release();
  return {
    loss: (out["loss"]!.data as Float32Array)[0]!,
    gradient: [...out["dx"]!.data as Float32Array],
  };
}

/** The graph's loss and gradient are those of `formula`. */
async function checkLoss(
  asked: UpdateRequest,
  predicted: number[],
  formula: (x: number[]) => number,
) {
  const { loss, gradient } = await graphLoss(asked, predicted);
  close(loss, formula(predicted), 1e-5, "loss");
  assert.ok(gradient.some((x) => x !== 0));
  gradient.forEach((dx, i) => {
    const at = (h: number) => formula(predicted.map((x, k) => k === i ? x + h : x));
    close(dx, (at(1e-5) - at(-1e-5)) / 2e-5, 1e-5, `gradient ${i}`);
  });
}

const cases: [string, Partial<UpdateRequest>][] = [
  ["policy_gradient", {}],
  ["policy_gradient and a reference", { kl_coef: 0.3 }],
  ["cross_entropy", { loss: "cross_entropy" }],
  ["cross_entropy and a reference", { loss: "cross_entropy", kl_coef: 0.3 }],
  ["ppo_clip by token", { loss: "ppo_clip", clip: 0.3 }],
  ["ppo_clip by token and a reference", { loss: "ppo_clip", kl_coef: 0.3 }],
  ["ppo_clip by sequence", { loss: "ppo_clip", ratio: "sequence", clip: 0.1 }],
  ["ppo_clip by sequence and a reference", { loss: "ppo_clip", ratio: "sequence", kl_coef: 0.1 }],
];
// Rows run from the longest sequence to the shortest.
const ORDER = [2, 0, 1];
for (const [name, extra] of cases) {
  Deno.test(`the loss of ${name} and its gradient agree with the formula`, async () => {
    const asked = request(extra);
    await checkLoss(asked, draw(10, -2, -1), (x) => {
      const rows: number[][] = [];
      let at = 0;
      for (const i of ORDER) rows[i] = x.slice(at, at += LENGTHS[i]!);
      return tokenFormula(asked, rows);
    });
  });
}

Deno.test("the loss of value_mse, clipped or not, and its gradient agree with the formula", async () => {
  const values = [0.9, 0.1, -0.4, 0.5];
  const batch = [[1, 0.4], [0, 0.15], [1, 0.3], [0.2, 0.5]].map(([target, old_value]) => ({
    tokens: [1, 2],
    prompt_length: 2,
    target: target!,
    old_value: old_value!,
  }));
  for (const clip of [undefined, 0.2]) {
    const asked = request({ loss: "value_mse", batch, ...clip !== undefined && { clip } });
    await checkLoss(asked, values, (x) => {
      const errors = x.map((v, i) => {
        const { target, old_value } = batch[i]!;
        const plain = (target - v) ** 2;
        if (clip === undefined) return plain;
        const held = Math.min(old_value + clip, Math.max(old_value - clip, v));
        return Math.max(plain, (target - held) ** 2);
      });
      return 0.6 * errors.reduce((a, b) => a + b, 0) / errors.length;
    });
  }
  const one = request({ loss: "value_mse", batch: batch.slice(0, 1), clip: 0.2, loss_scale: 1 });
  close((await graphLoss(one, [0.9])).loss, 0.16, 1e-6, "the example of the definition");
});

Deno.test("ppo_clip of a ratio beyond float32 is refused only where it counts", async () => {
  const of = (advantages: number[], ratio: "token" | "sequence") =>
    graphLoss(
      request({
        loss: "ppo_clip",
        ratio,
        batch: [{
          tokens: [1, 1, 1, 1],
          prompt_length: 2,
          advantages,
          old_logprobs: [-300, ratio === "token" ? -1 : -300],
        }],
        clip: 0.2,
        loss_scale: 1,
      }),
      [-1, -1],
    );
  const token = await of([0, 0.5], "token");
  assert.deepEqual(token, { loss: -0.25, gradient: [0, -0.25] });
  for (const ratio of ["token", "sequence"] as const) {
    const { loss, gradient } = await of([3, 0], ratio);
    close(loss, -1.8, 1e-6, "loss at the clip");
    assert.deepEqual(gradient.map(Math.abs), [0, 0]);
    assert.equal((await of([-0.5, 0], ratio)).loss, Infinity);
  }
});

Deno.test("the k3 estimate of the loss is the reference penalty's", async () => {
  const batch = [{
    tokens: [1, 1, 1, 1],
    prompt_length: 1,
    advantage: 0,
    ref_logprobs: [-1.5, -0.25, -2],
  }];
  const { loss } = await graphLoss(request({ batch, kl_coef: 1, loss_scale: 1 }), [-1, -0.5, -2]);
  close(loss, 0.1405560764, 1e-6, "k3");
});

const { folder, sequences, policyGradient } = golden("llama-tiny");

Deno.test("update with ppo_clip raises what was better than expected and stops at the clip", async () => {
  const node = await kernel(folder);
  const { logprobs } = await node.score("tiny", sequences);
  const batch = sequences.map((s, i) => ({ ...s, advantage: 1, old_logprobs: logprobs[i]! }));
  const fractions: number[] = [];
  for (let seq = 0; seq < 8; seq++) {
    const asked = policyGradient({ seq, loss: "ppo_clip", batch });
    fractions.push((await node.update(asked)).clip_fraction!);
  }
  assert.equal(fractions[0], 0);
  assert.ok(fractions.at(-1)! > 0.9, fractions.join());
});

Deno.test("update with kl_coef on a fresh adapter keeps it at its base", async () => {
  const node = await kernel(folder, { lora: { rank: 4, alpha: 8 } });
  const { logprobs } = await node.score("tiny", sequences);
  const batch = sequences.map((s, i) => ({ ...s, advantage: 1, ref_logprobs: logprobs[i]! }));
  const drift = async (kl_coef: number) => {
    const learner = await kernel(folder, { lora: { rank: 4, alpha: 8 } });
    for (let seq = 0; seq < 10; seq++) {
      await learner.update(policyGradient({ seq, batch, kl_coef }));
    }
    const after = (await learner.score("tiny", sequences)).logprobs.flat();
    return after.reduce((n, x, i) => n + Math.abs(x - logprobs.flat()[i]!), 0) / after.length;
  };
  const [free, held] = [await drift(0), await drift(20)];
  assert.ok(held < free / 3, `${held} and ${free}`);
});

Deno.test("update refuses what its loss cannot use, naming it", async () => {
  const node = await kernel(folder, { value_head: { seed: 1 } });
  const refuse = (extra: Partial<UpdateRequest>, message: string) =>
    assert.rejects(node.update(policyGradient(extra)), { code: "invalid_request", message });
  const one = { ...sequences[0]!, advantage: 1 };
  const count = one.tokens.length - one.prompt_length;
  await refuse(
    { loss: "ppo_clip", batch: [one] },
    "Cannot update: 'old_logprobs' of a sequence is undefined",
  );
  await refuse(
    { loss: "ppo_clip", batch: [{ ...one, old_logprobs: [-1] }] },
    `Cannot update: 1 old_logprobs for a response of ${count} tokens`,
  );
  await refuse({ kl_coef: 0.1 }, "Cannot update: 'ref_logprobs' of a sequence is undefined");
  await refuse(
    { loss: "value_mse", clip: 0.2, batch: [{ ...one, target: 1 }] },
    "Cannot update: 'old_value' of a sequence is undefined",
  );
  await refuse(
    { loss: "value_mse", kl_coef: 0.2, batch: [{ ...one, target: 1 }] },
    "Cannot update: kl_coef is 0.2, but value_mse has no log-probabilities",
  );
  await refuse(
    { loss: "ppo_clip", clip: -1, batch: [{ ...one, old_logprobs: Array(count).fill(-1) }] },
    "Cannot update: clip is -1, expected a positive number",
  );
  await refuse(
    { max_grad_norm: 0 },
    "Cannot update: max_grad_norm is 0, expected a positive number",
  );
  await refuse(
    { tokens_per_run: 0 },
    "Cannot update: tokens_per_run is 0, expected a positive number",
  );
});
