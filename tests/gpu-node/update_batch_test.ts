/**
 * Micro-batches: little padding on the lengths of real texts, and the same update whatever the
 * number of runs it takes.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadFastCheck } from "../../deps.ts";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { loadTokenizer } from "../../gpu-node/model/tokenizer.ts";
import { microBatches } from "../../gpu-node/program/batch.ts";
import type { UpdateSequence } from "../../gpu-node/verbs.ts";
import { uniforms } from "../../shared/random.ts";
import { dataTest, REPOSITORY } from "../support/data.ts";
import { close, compareGradients, golden, relative } from "./golden.ts";

const LIMIT = 4096;
const sum = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0);

/** Share of padding when texts are learnt `size` at a time, in micro-batches and in one run. */
function padding(lengths: readonly number[], size: number) {
  let [real, padded, whole] = [0, 0, 0];
  for (let at = 0; at + size <= lengths.length; at += size) {
    const batch = lengths.slice(at, at + size);
    const runs = microBatches(batch, LIMIT).map((group) => group.map((i) => batch[i]!));
    real += sum(batch);
    padded += sum(runs.map((run) => run.length * Math.max(...run)));
    whole += size * Math.max(...batch);
  }
  return { split: 1 - real / padded, whole: 1 - real / whole };
}

const TEXTS: [string, string, (row: Record<string, string>) => string][] = [
  ["programs", "data/humaneval/HumanEval.jsonl", (r) => `${r["prompt"]}${r["canonical_solution"]}`],
  ["abstracts", "data/scitldr/test.jsonl", (r) => `${r["title"]}\n${r["abstract"]}`],
];
for (const [kind, file, text] of TEXTS) {
  dataTest(`microBatches pads less than 15 % on the lengths of ${kind}`, file, async (path) => {
    const tokenizer = await loadTokenizer(join(REPOSITORY, "models/collm-tiny"));
    const rows = readFileSync(path, "utf8").trim().split("\n").map((line) => JSON.parse(line));
    const lengths = rows.map((row) => tokenizer.encode(text(row)).length);
    for (const size of [8, 16, 64]) {
      const { split, whole } = padding(lengths, size);
      assert.ok(split < 0.15, `${size} at a time: ${split}`);
      assert.ok(whole > 2 * split, `${size} at a time: ${whole} in one run, ${split} split`);
    }
  });
}

Deno.test("microBatches puts every sequence into one run within the limit, longest first", async () => {
  const { default: fc } = await loadFastCheck();
  fc.assert(fc.property(
    fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 200 }),
    fc.integer({ min: 1, max: 5000 }),
    (lengths, limit) => {
      const groups = microBatches(lengths, limit);
      assert.deepEqual(groups.flat().sort((a, b) => a - b), [...lengths.keys()]);
      for (const group of groups) {
        const longest = lengths[group[0]!]!;
        assert.ok(group.every((i) => lengths[i]! <= longest));
        assert.ok(group.length === 1 || group.length * longest <= limit);
      }
      const padded = sum(groups.map((group) => group.length * lengths[group[0]!]!));
      const padding = padded - sum(lengths);
      assert.ok(padding < 64 || padding < 0.15 * padded, `${padding} of ${padded}`);
    },
  ));
});

Deno.test("microBatches splits where padding would cost more than another run", () => {
  assert.deepEqual(microBatches([10, 2000, 10, 1990], 16384), [[1, 3], [0, 2]]);
  assert.deepEqual(microBatches([5, 9, 7], 16384), [[1, 2, 0]]);
});

const { folder, sequences, policyGradient } = golden("llama-tiny");
const random = uniforms(3);
const batch = Array.from({ length: 24 }, (_, i) => {
  const length = 5 + Math.floor(random() * 60);
  return {
    tokens: Array.from({ length }, () => Math.floor(random() * 97)),
    prompt_length: 1 + i % 4,
    advantage: random() * 2 - 1,
    old_logprobs: Array(length - 1 - i % 4).fill(-4.5),
  };
});

const device = await cpuDevice();
async function kernel(more = {}): Promise<Kernel> {
  const node = new Kernel(device);
  await node.load({ policy: "tiny", source: folder, ...more });
  return node;
}

Deno.test("update gives the same gradients whatever tokens_per_run is, with less padding", async () => {
  for (const loss of ["policy_gradient", "ppo_clip"] as const) {
    for (const lora of [undefined, { rank: 3, alpha: 6, seed: 1 }]) {
      const node = await kernel(lora ? { lora } : {});
      const run = (tokens_per_run: number) =>
        node.update(policyGradient({
          loss,
          ratio: "sequence",
          batch,
          tokens_per_run,
          apply: false,
          report: "gradients",
        }));
      const [whole, split] = [await run(16384), await run(200)];
      relative(split.loss, whole.loss, 1e-4, "loss");
      relative(split.grad_norm, whole.grad_norm, 1e-4, "grad_norm");
      compareGradients(split.gradients!, whole.gradients!, 1e-4);
      close(split.logprob_mismatch!, whole.logprob_mismatch!, 1e-5, "logprob_mismatch");
      assert.equal(split.clip_fraction, whole.clip_fraction);
      assert.ok(split.padding! < whole.padding!, `${split.padding} and ${whole.padding}`);
    }
  }
});

Deno.test("update in many runs ends where one run ends, and repeats bit for bit", async () => {
  const nodes = await Promise.all([kernel(), kernel(), kernel()]);
  const versions = new Set<string>();
  for (const [i, node] of nodes.entries()) {
    for (let seq = 0; seq < 3; seq++) {
      const asked = policyGradient({ seq, batch, max_grad_norm: 1 });
      await node.update(i === 0 ? asked : { ...asked, tokens_per_run: 128 });
    }
    if (i > 0) versions.add((await node.list())[0]!.policy_version);
  }
  assert.equal(versions.size, 1);
  const [one, many] = await Promise.all(nodes.map((node) => node.score("tiny", sequences)));
  one!.logprobs.flat().forEach((x, i) => close(many!.logprobs.flat()[i]!, x, 1e-3, `${i}`));
});

Deno.test("update says how much of what ran was padding", async () => {
  const node = await kernel();
  const { padding } = await node.update(policyGradient({ apply: false }));
  const lengths = sequences.map((s) => s.tokens.length);
  assert.equal(padding, 1 - sum(lengths) / (lengths.length * Math.max(...lengths)));
});

Deno.test("update with recompute gives the bits of update without", async () => {
  for (const lora of [undefined, { rank: 3, alpha: 6, seed: 1 }]) {
    const versions = await Promise.all([true, false].map(async (recompute) => {
      const node = await kernel(lora ? { lora } : {});
      const asked = policyGradient({ batch, recompute, report: "gradients" });
      const { gradients } = await node.update({ ...asked, apply: false });
      for (let seq = 0; seq < 3; seq++) {
        await node.update(policyGradient({ seq, batch, recompute }));
      }
      return { version: (await node.list())[0]!.policy_version, gradients };
    }));
    assert.deepEqual(versions[0], versions[1]);
  }
});

Deno.test("update counts a sequence without a response in its averages and runs without it", async () => {
  const silent = { tokens: Array(200).fill(3), prompt_length: 200, advantage: 1 };
  const ask = async (batch: UpdateSequence[]) =>
    (await kernel()).update(policyGradient({ batch, apply: false }));
  const [alone, joined] = [await ask(batch), await ask([...batch, silent])];
  relative(joined.loss, alone.loss * batch.length / (batch.length + 1), 1e-5, "loss");
  assert.equal(joined.padding, alone.padding);
  await assert.rejects(ask([silent]), {
    message: "Cannot update: no sequence has a token after its prompt for the loss policy_gradient",
  });
});
