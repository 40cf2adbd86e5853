/** The reference that a KL penalty compares with: the policy as it was before it learned. */
import assert from "node:assert/strict";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import type { Batch } from "../../shared/algorithms/algorithm.ts";
import { resolveConfig } from "../../train/config.ts";
import { withReferenceKl } from "../../train/reference.ts";
import { loadModels, modelNames, type Roles } from "../../train/roles.ts";
import { createAlgorithm } from "../../shared/algorithms/registry.ts";
import { createEnvironment } from "../../shared/environments/registry.ts";

Deno.test("withReferenceKl compares adapters with their base, whose memory they share", async () => {
  const config = await resolveConfig({
    sets: ["policy.lora.rank=4", "algorithm.reference_kl_coef=0.1"],
  });
  const node = new Kernel(await cpuDevice());
  const environment = createEnvironment(config.environment.id, config.environment.options);
  const algorithm = createAlgorithm(config.algorithm);
  const parts = { config, node, environment, algorithm, handle: (name: string) => name };
  const roles = parts as unknown as Roles;
  await loadModels(roles, () => undefined);
  const { policies: [agent] } = modelNames(roles);
  const loaded = (await node.list()).filter(({ policy }) => policy.endsWith(agent!));
  assert.equal(loaded.length, 2);
  assert.equal(new Set(loaded.map(({ base }) => base)).size, 1);

  const [prompt, response] = [[5, 6, 7, 8], [9, 10, 11, 12, 13]];
  const sequence = { tokens: [...prompt, ...response], prompt_length: prompt.length };
  const divergence = async () => {
    const { logprobs } = await node.score(agent!, [sequence]);
    const act = { prompt, response, logprobs: logprobs[0]! };
    const batch = { agents: [agent], transcripts: [{ turns: [{ acts: [act] }] }] };
    const priced = await withReferenceKl(roles, batch as unknown as Batch);
    return priced.transcripts[0]!.turns[0]!.acts[0]!.reference_kl!;
  };
  assert.ok(Math.abs(await divergence()) < 1e-8);
  for (let seq = 0; seq < 5; seq++) {
    await node.update({
      policy: agent!,
      seq,
      loss: "policy_gradient",
      batch: [{ ...sequence, advantage: 1 }],
      optimizer: { name: "adamw", learning_rate: 0.01 },
    });
  }
  assert.ok(await divergence() > 1e-2);
});
