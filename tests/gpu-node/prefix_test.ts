/**
 * Prompts that begin alike: what they share runs once, and changes no bit. Counts the tokens that
 * reach the programs; what completions are worth is sample_test.ts's.
 */
import assert from "node:assert/strict";
import { cpuDevice, type Device } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import type { SampleRequest } from "../../gpu-node/verbs.ts";
import { golden } from "./golden.ts";

const SETTINGS = { max_tokens: 5, temperature: 1, stop_tokens: [] };

/** A device that counts the rows and columns of every prefill run. */
async function counting(): Promise<{ device: Device; runs: (readonly number[])[] }> {
  const cpu = await cpuDevice();
  const runs: (readonly number[])[] = [];
  const compile: Device["compile"] = async (graph, options) => {
    const program = await cpu.compile(graph, options);
    return {
      ...program,
      run(feeds, into) {
        if (feeds["tokens"] && feeds["pads"]) runs.push(feeds["tokens"].dims);
        return program.run(feeds, into);
      },
    };
  };
  return { device: { ...cpu, compile }, runs };
}

const series = (length: number, step: number) =>
  Array.from({ length }, (_, i) => (step * i + 3) % 97);

/** Prompts of 212 tokens of which the first 200 are common to all. */
const request = (policy: string, seed: number, prompts = 16): SampleRequest => ({
  ...SETTINGS,
  policy,
  prompts: Array.from({ length: prompts }, (_, i) => [...series(200, 7), ...series(12, i + 2)]),
  seeds: Array.from({ length: prompts }, (_, i) => 100 * seed + i),
});

for (const family of ["llama-tiny", "qwen3-tiny"]) {
  Deno.test(`sampleTogether of ${family} runs what prompts begin with once`, async () => {
    const { device, runs } = await counting();
    const node = new Kernel(device);
    await node.load({ policy: "a", source: golden(family).folder });
    const [both, other] = [request("a", 1), request("a", 2, 8)];
    const together = await node.sampleTogether([both, other]);
    // 128 tokens once; the rest of 16 different prompts, which two requests have in common.
    assert.deepEqual(runs, [[1, 128], [16, 96]]);
    assert.deepEqual(together[0], await node.sample(both));
    assert.deepEqual(together[1], await node.sample(other));
    for (const at of [0, 5]) {
      const alone = { ...both, prompts: [both.prompts[at]!], seeds: [both.seeds[at]!] };
      const { completions } = await node.sample(alone);
      assert.deepEqual(
        completions[0],
        "completions" in together[0]! &&
          together[0].completions[at],
      );
    }
    await node.close();
  });

  Deno.test(`sampleTogether of ${family} shares no beginning between adapters`, async () => {
    const { device, runs } = await counting();
    const node = new Kernel(device);
    const { folder } = golden(family);
    const requests: SampleRequest[] = [];
    for (const [i, policy] of ["a", "b"].entries()) {
      await node.load({ policy, source: folder, lora: { rank: 4, alpha: 8, seed: i } });
      // A fresh adapter changes nothing: one step makes them differ.
      await node.update({
        policy,
        seq: 1,
        loss: "cross_entropy",
        batch: [{ tokens: series(9, i + 2), prompt_length: 3 }],
        optimizer: { name: "adamw", learning_rate: 0.05 },
      });
      requests.push(request(policy, i, 8));
    }
    runs.length = 0;
    const together = await node.sampleTogether(requests);
    assert.deepEqual(runs, [[2, 128], [16, 96]]);
    for (const [i, own] of requests.entries()) {
      const sequences = own.prompts.map((prompt, k) => {
        const result = together[i]!;
        if (!("completions" in result)) throw result;
        return {
          tokens: [...prompt, ...result.completions[k]!.tokens],
          prompt_length: prompt.length,
          drawn: result.completions[k]!.logprobs,
        };
      });
      const { logprobs } = await node.score(own.policy, sequences);
      sequences.forEach(({ drawn }, k) =>
        drawn.forEach((x, t) =>
          assert.ok(Math.abs(x - logprobs[k]![t]!) < 1e-4, `${i}, ${k}, ${t}: ${x}`)
        )
      );
    }
    await node.close();
  });
}
