/** Adapters of several policies on one base in one batch, against whole models of the same weights. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { readSafetensors, writeSafetensors } from "../../gpu-node/model/safetensors.ts";
import type { LoraOptions, SampleRequest, SampleResult } from "../../gpu-node/verbs.ts";
import { CollmError } from "../../shared/errors.ts";
import { close, FAMILIES, golden } from "./golden.ts";

/** Different ranks, scales and matrices. */
const ADAPTERS: Record<string, LoraOptions> = {
  whole: { rank: 4, alpha: 8, seed: 1 },
  attention: { rank: 2, alpha: 6, target_modules: ["q_proj", "v_proj"], seed: 2 },
  feedforward: { rank: 3, alpha: 3, target_modules: ["down_proj", "up_proj"], seed: 3 },
  single: { rank: 1, alpha: 2, target_modules: ["o_proj", "gate_proj", "k_proj"], seed: 4 },
};
const NAMES = Object.keys(ADAPTERS);

const requestOf = (policy: string, i: number): SampleRequest => ({
  policy,
  prompts: [[5, 6, 7], Array.from({ length: 20 + i }, (_, t) => (3 * t + i) % 97), [5, 6, 7]],
  seeds: [i, i + 10, i + 20],
  max_tokens: 45,
  temperature: 1,
  stop_tokens: [],
});

for (const family of FAMILIES) {
  Deno.test(`sampleTogether of ${family} runs every row through its own adapter`, async () => {
    const temp = await Deno.makeTempDir();
    const { folder, policyGradient } = golden(family);
    const node = new Kernel(await cpuDevice());
    for (const [policy, lora] of Object.entries(ADAPTERS)) {
      await node.load({ policy, source: folder, lora });
      for (const seq of [1, 2, 3]) await node.update(policyGradient({ policy, seq }));
      await node.save(policy, join(temp, policy), { form: "merged" });
    }
    const requests = NAMES.map(requestOf);
    const together = await node.sampleTogether(requests) as SampleResult[];
    const merged = new Kernel(await cpuDevice());
    const texts = new Set<string>();
    for (const [i, policy] of NAMES.entries()) {
      await merged.load({ policy, source: join(temp, policy) });
      const expected = await merged.sample(requests[i]!);
      together[i]!.completions.forEach(({ tokens, logprobs }, k) => {
        assert.deepEqual(tokens, expected.completions[k]!.tokens, `${policy} ${k}`);
        logprobs.forEach((x, t) =>
          close(x, expected.completions[k]!.logprobs[t]!, 1e-4, `${policy} ${k}, ${t}`)
        );
      });
      // Alone, a policy gets the same bits: neighbours' adapters are exact zeros to it.
      assert.deepEqual(await node.sample(requests[i]!), together[i]);
      texts.add(JSON.stringify(together[i]!.completions));
    }
    assert.equal(texts.size, NAMES.length);
    await Deno.remove(temp, { recursive: true });
  });
}

Deno.test("sample with an adapter follows its updates", async () => {
  const { folder, policyGradient } = golden("llama-tiny");
  const node = new Kernel(await cpuDevice());
  for (const policy of ["a", "b"]) {
    await node.load({ policy, source: folder, lora: { rank: 4, alpha: 8, seed: 1 } });
  }
  const request = requestOf("a", 0);
  const fresh = await node.sample(request);
  assert.deepEqual((await node.sample({ ...request, policy: "b" })).completions, fresh.completions);
  await node.update(policyGradient({ policy: "a" }));
  const after = await node.sample(request);
  assert.notDeepEqual(after.completions, fresh.completions);
  assert.notEqual(after.policy_version, fresh.policy_version);
  assert.deepEqual((await node.sample({ ...request, policy: "b" })).completions, fresh.completions);
});

Deno.test("sampleTogether lets no adapter into another's rows, however large its numbers", async () => {
  const temp = await Deno.makeTempDir();
  const { folder } = golden("llama-tiny");
  const node = new Kernel(await cpuDevice());
  await node.load({ policy: "huge", source: folder, lora: { rank: 2, alpha: 4, seed: 1 } });
  await node.save("huge", join(temp, "huge"));
  const path = join(temp, "huge", "adapter_model.safetensors");
  const { tensors } = readSafetensors(path);
  for (const { data } of tensors.values()) data.fill(3e38);
  writeSafetensors(path, tensors);
  await node.load({ policy: "huge", source: join(temp, "huge") });
  await node.load({ policy: "own", source: folder, lora: { rank: 3, alpha: 3, seed: 2 } });
  const alone = await node.sample(requestOf("own", 1));
  const [broken, own] = await node.sampleTogether([requestOf("huge", 0), requestOf("own", 1)]);
  assert.deepEqual(own, alone);
  assert.ok(broken instanceof CollmError);
  assert.equal(
    broken.message,
    "Cannot sample policy 'huge': its weights give values that are not finite",
  );
  assert.deepEqual(await node.sample(requestOf("own", 1)), alone);
  await Deno.remove(temp, { recursive: true });
});
