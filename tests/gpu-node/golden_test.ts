/**
 * The whole node on a small random model of each family against PyTorch's numbers
 * (tests/golden/torch): log-probabilities, policy-gradient loss and gradients, AdamW, value head,
 * greedy tokens; and what holds of the node's verbs whatever the family.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { readCheckpointTensors } from "../../gpu-node/model/checkpoint.ts";
import type { GradientReport } from "../../gpu-node/verbs.ts";
import { close, compareGradients, FAMILIES, golden, relative } from "./golden.ts";

async function kernel(source = golden("llama-tiny").folder): Promise<Kernel> {
  const node = new Kernel(await cpuDevice());
  await node.load({ policy: "tiny", source });
  return node;
}

for (const family of FAMILIES) {
  const { folder, expected, sequences, policyGradient } = golden(family);
  const load = () => kernel(folder);

  Deno.test(`score gives PyTorch's log-probabilities of ${family} within 1e-4`, async () => {
    const { logprobs } = await (await load()).score("tiny", sequences);
    (expected.response_logprobs as number[][]).forEach((row, i) => {
      assert.equal(logprobs[i]!.length, row.length);
      row.forEach((x, k) => close(logprobs[i]![k]!, x, 1e-4, `logprob ${i},${k}`));
    });
  });

  Deno.test(`update without apply gives PyTorch's policy gradients of ${family} within 1e-3`, async () => {
    const node = await load();
    const result = await node.update(policyGradient({ apply: false, report: "gradients" }));
    const full = expected.policy_gradient_full;
    relative(result.loss, full.loss, 1e-3, "loss");
    relative(result.grad_norm, full.grad_norm, 1e-3, "grad_norm");
    compareGradients(result.gradients!, full.grads, 1e-3);
  });

  Deno.test(`update thrice with AdamW ends at PyTorch's parameters of ${family} within 1e-4`, async () => {
    const node = await load();
    const target = await Deno.makeTempDir();
    const results = [];
    for (const seq of [1, 2, 3]) results.push(await node.update(policyGradient({ seq })));
    relative(
      results[2]!.loss,
      expected.adamw_3_steps.loss_before_step_3,
      1e-3,
      "loss before step 3",
    );
    await node.save("tiny", join(target, "out"));
    const saved = readCheckpointTensors(join(target, "out"));
    for (
      const [name, e] of Object.entries(
        expected.adamw_3_steps.params as Record<string, GradientReport>,
      )
    ) {
      const data = saved.get(name)!.data;
      const norm = Math.sqrt(data.reduce((n, x) => n + x * x, 0));
      relative(norm, e.norm, 1e-4, `norm of ${name}`);
      e.first.forEach((x, i) => close(data[i]!, x, 1e-4, `${name} first[${i}]`));
      e.last.forEach((x, i) => close(data.at(i - 2)!, x, 1e-4, `${name} last[${i}]`));
    }
    await Deno.remove(target, { recursive: true });
  });

  Deno.test(`values and value_mse of ${family} agree with PyTorch`, async () => {
    const node = await load();
    const reads = sequences.map((s) => ({ tokens: s.tokens, read_at: s.prompt_length - 1 }));
    const { values } = await node.values("tiny", reads);
    const critic = expected.critic;
    values.forEach((v, i) => close(v, critic.values[i], 1e-4, `value ${i}`));
    const result = await node.update({
      ...policyGradient({
        loss: "value_mse",
        loss_scale: critic.coef,
        apply: false,
        report: "gradients",
      }),
      batch: sequences.map((s, i) => ({ ...s, target: critic.targets[i] })),
    });
    relative(result.loss, critic.loss, 1e-3, "loss");
    compareGradients(result.gradients!, critic.grads, 1e-3);
  });

  Deno.test(`sample continues greedily with PyTorch's tokens of ${family}`, async () => {
    const node = await load();
    const { completions } = await node.sample({
      policy: "tiny",
      prompts: [expected.greedy.prompt],
      seeds: [1],
      max_tokens: 12,
      temperature: 0,
      stop_tokens: [],
    });
    assert.deepEqual(completions[0]!.tokens, expected.greedy.new_tokens);
  });

  Deno.test(`sample reports the log-probabilities that score computes for ${family}`, async () => {
    const node = await load();
    const prompts = [
      [5, 6, 7],
      [8, 9, 10, 11, 12, 13],
      Array.from({ length: 40 }, (_, i) => i + 1),
    ];
    const { completions } = await node.sample({
      policy: "tiny",
      prompts,
      seeds: [1, 2, 3],
      max_tokens: 20,
      temperature: 1,
      stop_tokens: [],
    });
    const { logprobs } = await node.score(
      "tiny",
      completions.map((c, i) => ({
        tokens: [...prompts[i]!, ...c.tokens],
        prompt_length: prompts[i]!.length,
      })),
    );
    completions.forEach((c, i) =>
      c.logprobs.forEach((x, k) => close(x, logprobs[i]![k]!, 1e-4, `logprob ${i},${k}`))
    );
  });
}

const { sequences, policyGradient } = golden("llama-tiny");

Deno.test("sample gives collm-tiny's rows the same bits whatever their number", async () => {
  const node = new Kernel(await cpuDevice());
  await node.load({ policy: "p", source: "models/collm-tiny" });
  const request = (rows: number[]) => ({
    policy: "p",
    prompts: rows.map((r) =>
      Array.from({ length: 9 + r % 11 }, (_, i) => 3 + (r * 31 + i * 17) % 90)
    ),
    seeds: rows.map((r) => 100 + r),
    max_tokens: 30,
    temperature: 1,
    stop_tokens: [],
  });
  const together = await node.sample(request([...Array(64).keys()]));
  for (const count of [1, 3, 7, 12, 40]) {
    const rows = Array.from({ length: count }, (_, i) => (i * 7 + count) % 64);
    const { completions } = await node.sample(request(rows));
    rows.forEach((r, i) => assert.deepEqual(completions[i], together.completions[r]));
  }
});

Deno.test("sample gives a row the same tokens whatever else is in the batch", async () => {
  const node = await kernel();
  const request = (rows: number[]) => ({
    policy: "tiny",
    prompts: rows.map((r) =>
      Array.from({ length: 3 + (r * 7) % 20 }, (_, i) => (r * 31 + i * 5) % 97)
    ),
    seeds: rows.map((r) => 1000 + r),
    max_tokens: 24,
    temperature: 0.8,
    stop_tokens: [2],
  });
  const together = await node.sample(request([...Array(33).keys()]));
  for (const rows of [[0], [5, 6], [32, 1, 17], [...Array(9).keys()]]) {
    const { completions } = await node.sample(request(rows));
    rows.forEach((r, i) => assert.deepEqual(completions[i], together.completions[r]));
  }
});

Deno.test("update on a batch too large for one run equals one run of the same mean", async () => {
  const [once, often] = [await kernel(), await kernel()];
  const small = policyGradient({ max_grad_norm: 1 });
  const copies = Array.from({ length: 400 }, () => small.batch).flat();
  const single = await once.update(small);
  const many = await often.update({ ...small, batch: copies });
  relative(many.loss, single.loss, 1e-4, "loss");
  relative(many.grad_norm, single.grad_norm, 1e-4, "grad_norm");
  const after = await Promise.all([once, often].map((node) => node.score("tiny", sequences)));
  after[0]!.logprobs.flat().forEach((x, i) =>
    close(after[1]!.logprobs.flat()[i]!, x, 1e-3, `${i}`)
  );
});

Deno.test("update reports how far behaviour log-probabilities are from the policy's", async () => {
  const node = await kernel();
  const { logprobs } = await node.score("tiny", sequences);
  const batch = sequences.map((s, i) => ({
    ...s,
    advantage: 1,
    old_logprobs: logprobs[i]!.map((x) => x + 0.25),
  }));
  const { logprob_mismatch } = await node.update(policyGradient({ batch, apply: false }));
  close(logprob_mismatch!, 0.25, 1e-4, "mismatch");
});

Deno.test("update answers a repeated seq from the record and refuses another payload", async () => {
  const node = await kernel();
  const first = await node.update(policyGradient({ seq: 7 }));
  assert.deepEqual(await node.update(policyGradient({ seq: 7 })), first);
  assert.equal((await node.list())[0]!.policy_version, first.policy_version);
  await assert.rejects(node.update(policyGradient({ seq: 7, max_grad_norm: 1 })), {
    code: "conflict",
    message: "Cannot update policy 'tiny': seq 7 was used for another payload",
  });
});

Deno.test("save and load with state go on exactly where training stood", async () => {
  const target = await Deno.makeTempDir();
  const node = await kernel();
  await node.update(policyGradient({ seq: 1 }));
  await node.save("tiny", join(target, "state"), { state: true });
  const resumed = new Kernel(await cpuDevice());
  await resumed.load({ policy: "tiny", source: join(target, "state") });
  assert.equal((await resumed.list())[0]!.policy_version, (await node.list())[0]!.policy_version);
  const [a, b] = [await node, resumed].map((n) => n.update(policyGradient({ seq: 2 })));
  assert.deepEqual(await a, await b);
  await Deno.remove(target, { recursive: true });
});

Deno.test("update gives the same bits for the same large batch", async () => {
  // Many rows of few tokens: sums of repeated rows must not depend on which thread comes first.
  const batch = Array.from(
    { length: 600 },
    (_, i) => ({ ...sequences[i % 4]!, advantage: 1 / (i + 1) }),
  );
  const versions = new Set<string>();
  for (let i = 0; i < 4; i++) {
    const node = await kernel();
    versions.add((await node.update(policyGradient({ batch }))).policy_version);
  }
  assert.equal(versions.size, 1);
});
