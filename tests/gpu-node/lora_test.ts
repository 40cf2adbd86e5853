/** Adapters: PyTorch's numbers, PEFT folders out and in, merging, sharing of one base. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { readSafetensors, writeSafetensors } from "../../gpu-node/model/safetensors.ts";
import { close, compareGradients, FAMILIES, golden, relative } from "./golden.ts";

const kernel = async () => new Kernel(await cpuDevice());

/** The golden adapter as a PEFT folder. */
function peftFolder(folder: string, parent: string, config: Record<string, unknown> = {}): string {
  const target = join(parent, "adapter");
  Deno.mkdirSync(target, { recursive: true });
  const { tensors } = readSafetensors(join(folder, "lora.safetensors"));
  writeSafetensors(
    join(target, "adapter_model.safetensors"),
    new Map([...tensors].map(([name, t]) => [`base_model.model.${name}.weight`, t])),
  );
  const modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
  const json = { peft_type: "LORA", r: 4, lora_alpha: 8, target_modules: modules, ...config };
  Deno.writeTextFileSync(
    join(target, "adapter_config.json"),
    JSON.stringify({ base_model_name_or_path: folder, ...json }),
  );
  return target;
}

async function inTemp<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    return await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (const family of FAMILIES) {
  const { folder, expected, sequences, policyGradient } = golden(family);

  Deno.test(`score and update of ${family} with an adapter give PyTorch's numbers`, () =>
    inTemp(async (temp) => {
      const node = await kernel();
      const info = await node.load({ policy: "tiny", source: peftFolder(folder, temp) });
      assert.deepEqual([info.lora!.rank, info.lora!.alpha], [4, 8]);
      const { logprobs } = await node.score("tiny", sequences);
      logprobs.forEach((row, i) => {
        const sum = row.reduce((a, b) => a + b, 0);
        relative(sum, expected.lora.sequence_logprobs[i], 1e-4, `sequence ${i}`);
      });
      const result = await node.update(policyGradient({ apply: false, report: "gradients" }));
      relative(result.loss, expected.lora.loss, 1e-3, "loss");
      relative(result.grad_norm, expected.lora.grad_norm, 1e-3, "grad_norm");
      compareGradients(result.gradients!, expected.lora.grads, 1e-3);
    }));

  Deno.test(`save of ${family} gives a PEFT folder and a merged one with the same logprobs`, () =>
    inTemp(async (temp) => {
      const node = await kernel();
      await node.load({ policy: "tiny", source: folder, lora: { rank: 3, alpha: 6, seed: 1 } });
      for (const seq of [1, 2, 3]) await node.update(policyGradient({ seq }));
      const { logprobs } = await node.score("tiny", sequences);
      await node.save("tiny", join(temp, "adapter"), { state: true });
      await node.save("tiny", join(temp, "merged"), { form: "merged" });
      const again = await kernel();
      await again.load({ policy: "adapter", source: join(temp, "adapter") });
      await again.load({ policy: "merged", source: join(temp, "merged") });
      for (const policy of ["adapter", "merged"]) {
        const read = await again.score(policy, sequences);
        read.logprobs.flat().forEach((x, i) =>
          close(x, logprobs.flat()[i]!, 1e-4, `${policy} ${i}`)
        );
      }
      // With its state, the adapter goes on exactly where it stood.
      const [a, b] = await Promise.all([
        node.update(policyGradient({ seq: 4 })),
        again.update(policyGradient({ seq: 4, policy: "adapter" })),
      ]);
      assert.deepEqual(a, b);
      await assert.rejects(node.save("tiny", join(temp, "no"), { state: true, form: "merged" }), {
        message: "Cannot save policy 'tiny': a merged model has no optimizer state of its adapter",
      });
    }));
}

const { folder, sequences, policyGradient } = golden("llama-tiny");

Deno.test("load with a fresh adapter gives the base's logprobs until an update", async () => {
  const node = await kernel();
  await node.load({ policy: "base", source: folder });
  await node.load({ policy: "tiny", source: folder, lora: { rank: 4, alpha: 8 } });
  const [base, fresh] = await Promise.all(["base", "tiny"].map((p) => node.score(p, sequences)));
  base!.logprobs.flat().forEach((x, i) => close(fresh!.logprobs.flat()[i]!, x, 1e-5, `${i}`));
  await node.update(policyGradient());
  const after = await node.score("tiny", sequences);
  assert.ok(after.logprobs.flat().some((x, i) => Math.abs(x - base!.logprobs.flat()[i]!) > 1e-3));
});

Deno.test("load of adapters on one base shares its memory and changes none of the others", async () => {
  const node = await kernel();
  const names = ["a", "b", "c"];
  for (const [seed, policy] of names.entries()) {
    await node.load({ policy, source: folder, lora: { rank: 4, alpha: 8, seed } });
  }
  const infos = await node.list();
  assert.equal(new Set(infos.map((i) => i.base)).size, 1);
  for (const info of infos) {
    assert.equal(info.trainable_parameters, info.bytes / 4);
    assert.ok(info.trainable_parameters < info.parameters / 2, `${info.trainable_parameters}`);
  }
  const before = await node.score("b", sequences);
  await node.update(policyGradient({ policy: "a" }));
  assert.deepEqual(await node.score("b", sequences), before);
});

Deno.test("value_mse on an adapter with a value head trains both and only them", async () => {
  const node = await kernel();
  await node.load({
    policy: "tiny",
    source: folder,
    lora: { rank: 2, alpha: 4, target_modules: ["q_proj", "down_proj"] },
    value_head: { seed: 3 },
  });
  const batch = sequences.map((s, i) => ({ ...s, target: i / 2 }));
  const request = policyGradient({ loss: "value_mse", batch });
  const { gradients } = await node.update({ ...request, apply: false, report: "gradients" });
  const kinds = new Set(Object.keys(gradients!).map((n) => n.replace(/\.\d+\./, ".")));
  assert.equal(kinds.size, 4 + 2, [...kinds].join());
  const losses = [];
  for (let seq = 0; seq < 20; seq++) losses.push((await node.update({ ...request, seq })).loss);
  assert.ok(losses.at(-1)! < losses[0]! / 2, losses.join());
});

Deno.test("load refuses adapters that it does not compute, naming file and key", () =>
  inTemp(async (temp) => {
    const node = await kernel();
    const refuse = async (config: Record<string, unknown>, message: RegExp) => {
      const source = peftFolder(folder, temp, config);
      await assert.rejects(node.load({ policy: "p", source }), { message });
    };
    await refuse({ use_dora: true }, /adapter_config.json': use_dora is true, expected false$/);
    await refuse(
      { target_modules: "all-linear" },
      /target_modules is "all-linear", expected a list/,
    );
    await refuse({ r: 5 }, /tensor '.*q_proj.lora_A' has shape \[4, 32\], expected \[5, 32\]$/);
    await refuse({ target_modules: ["q_proj"] }, /is no matrix of this adapter on this base$/);
    await refuse({ base_model_name_or_path: "/no/where" }, /the base '\/no\/where' of adapter/);
    const source = peftFolder(folder, temp);
    await assert.rejects(node.load({ policy: "p", source, lora: { rank: 1, alpha: 1 } }), {
      message: /is an adapter already, lora asks for another$/,
    });
    await assert.rejects(node.load({ policy: "p", source: folder, base: folder }), {
      message: /is no adapter$/,
    });
  }));

Deno.test("load puts a fresh adapter on a model that was saved with its optimizer's state", () =>
  inTemp(async (temp) => {
    const { folder, sequences, policyGradient } = golden("llama-tiny");
    const node = await kernel();
    await node.load({ policy: "tiny", source: folder });
    await node.update(policyGradient({ seq: 1 }));
    const { logprobs } = await node.score("tiny", sequences);
    const saved = join(temp, "saved");
    await node.save("tiny", saved, { state: true });
    const lora = { rank: 2, alpha: 2 };
    const { policy_version } = await node.load({ policy: "tiny", source: saved, lora });
    assert.match(policy_version, /^0-/);
    const { logprobs: same } = await node.score("tiny", sequences);
    same.flat().forEach((x, i) => close(x, logprobs.flat()[i]!, 1e-6, `token ${i}`));
    await node.update(policyGradient({ seq: 1 }));
    await node.close();
  }));

Deno.test("load takes an adapter's base as it was held when the adapter was saved", () =>
  inTemp(async (temp) => {
    const { folder, sequences } = golden("llama-tiny");
    const node = await kernel();
    const lora = { rank: 2, alpha: 2 };
    const { policy_version: held } = await node.load({
      ...{ policy: "tiny", source: folder, lora, dtype: "fp16" },
    });
    const { logprobs } = await node.score("tiny", sequences);
    const saved = join(temp, "saved");
    await node.save("tiny", saved, { state: true });
    const again = await node.load({ policy: "tiny", source: saved });
    assert.deepEqual([again.policy_version, again.dtype], [held, "fp16"]);
    assert.deepEqual((await node.score("tiny", sequences)).logprobs, logprobs);
    const whole = await node.load({ policy: "tiny", source: saved, dtype: "fp32" });
    assert.equal(whole.dtype, undefined);
    await node.close();
  }));

Deno.test("save deletes nothing but a checkpoint, and never the base that its adapter stands on", () =>
  inTemp(async (temp) => {
    const { folder } = golden("llama-tiny");
    const node = await kernel();
    await node.load({ policy: "tiny", source: folder });
    const model = join(temp, "model");
    // A slash at the end is no part of the name.
    await node.save("tiny", `${model}/`);
    await node.save("tiny", model);
    for (
      const [place, name] of [[model, "thesis.docx"], [`${model}.old`, "a"], [
        `${model}.writing`,
        "b",
      ]] as const
    ) {
      Deno.mkdirSync(place, { recursive: true });
      const file = join(place, name);
      Deno.writeTextFileSync(file, "mine");
      await assert.rejects(
        node.save("tiny", model),
        new RegExp(`Cannot write '${place}': it holds other files, '${name}'$`),
      );
      assert.equal(Deno.readTextFileSync(file), "mine");
      Deno.removeSync(file);
    }
    await node.save("tiny", model);
    await node.load({ policy: "q", source: model, lora: { rank: 2, alpha: 2 } });
    for (const form of ["adapter", "merged"] as const) {
      await assert.rejects(
        node.save("q", `${model}/`, { form }),
        /Cannot save policy 'q' to '.*model\/': the base of the policy is there$/,
      );
    }
    assert.deepEqual([...Deno.readDirSync(temp)].map(({ name }) => name), ["model"]);
    await node.close();
  }));

Deno.test("load refuses adapters that change their base, and target modules that there are not", () =>
  inTemp(async (temp) => {
    const { folder } = golden("llama-tiny");
    const node = await kernel();
    for (
      const [key, value] of [
        ...["pissa", "pissa_niter_4", "olora", "corda", "loftq"].map((init) =>
          ["init_lora_weights", init] as const
        ),
        ["use_qalora", true],
        ["target_parameters", ["x"]],
        ["exclude_modules", ["layers.0"]],
        ["task_type", "SEQ_CLS"],
      ] as const
    ) {
      const source = peftFolder(folder, temp, { [key]: value });
      await assert.rejects(node.load({ policy: "x", source }), new RegExp(`: ${key} is `));
    }
    const fine = { init_lora_weights: "gaussian", exclude_modules: [], task_type: "CAUSAL_LM" };
    await node.load({ policy: "x", source: peftFolder(folder, temp, fine) });
    const lora = { rank: 1, alpha: 1, target_modules: ["foo"] as never };
    await assert.rejects(
      node.load({ policy: "y", source: folder, lora }),
      /Cannot load policy 'y': lora has target module 'foo', expected some of q_proj/,
    );
    await node.close();
  }));

Deno.test("update takes any positive max_grad_norm: beyond float32 it is as good as its ends", async () => {
  const { folder, policyGradient } = golden("llama-tiny");
  const versions: string[] = [];
  for (const max_grad_norm of [1e39, undefined, 3e38]) {
    const node = await kernel();
    await node.load({ policy: "tiny", source: folder });
    const request = policyGradient({ seq: 1, ...max_grad_norm && { max_grad_norm } });
    if (max_grad_norm === undefined) delete request.max_grad_norm;
    versions.push((await node.update(request)).policy_version);
    await node.close();
  }
  assert.equal(new Set(versions).size, 1);
  const node = await kernel();
  await node.load({ policy: "tiny", source: folder });
  const still = policyGradient({ seq: 1, max_grad_norm: 1e-50 });
  const batch = still.batch.map((s) => ({ ...s, advantage: 0 }));
  const { grad_norm } = await node.update({ ...still, batch });
  assert.equal(grad_norm, 0);
  await node.close();
});
