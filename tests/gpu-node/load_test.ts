/** Loading: errors about weights name the file that they lie in. */
import assert from "node:assert/strict";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import {
  readSafetensors,
  type TensorData,
  writeSafetensors,
} from "../../gpu-node/model/safetensors.ts";
import { golden } from "./golden.ts";

const { folder } = golden("llama-tiny");

Deno.test("load names the file or the index of a tensor that is missing or misshaped", async () => {
  const temp = await Deno.makeTempDir();
  try {
    const kernel = new Kernel(await cpuDevice());
    const source = join(temp, "m");
    cpSync(folder, source, { recursive: true });
    const weights = join(source, "model.safetensors");
    const index = `${weights}.index.json`;
    const { tensors } = readSafetensors(weights);
    const name = "model.norm.weight";
    const wrong = { shape: [3], data: new Float32Array(3) };
    const refused = (path: string, why: string) =>
      assert.rejects(kernel.load({ policy: "p", source }), {
        message: `Cannot use '${path}': tensor '${name}' ${why}`,
      });
    for (const wide of [false, true]) {
      const why = wide ? "has shape [3], expected [32]" : "is missing";
      const changed = new Map<string, TensorData>(tensors);
      if (wide) changed.set(name, wrong);
      else changed.delete(name);
      writeSafetensors(weights, changed);
      await refused(weights, why);
      const shard = "model-00001-of-00001.safetensors";
      writeSafetensors(join(source, shard), changed);
      const weight_map = Object.fromEntries([...changed.keys()].map((key) => [key, shard]));
      writeFileSync(index, JSON.stringify({ weight_map }));
      rmSync(weights);
      await refused(index, why);
    }
  } finally {
    await Deno.remove(temp, { recursive: true });
  }
});
