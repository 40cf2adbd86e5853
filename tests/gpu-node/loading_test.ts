/** What loading a checkpoint takes: little more memory than its weights as float32. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type ModelConfig, toHuggingFaceConfig } from "../../gpu-node/model/config.ts";
import { modelTensorShapes } from "../../gpu-node/model/parameters.ts";

const CONFIG: ModelConfig = {
  architecture: "llama",
  vocabSize: 1000,
  hiddenSize: 1024,
  intermediateSize: 4096,
  layers: 2,
  heads: 16,
  kvHeads: 16,
  headDim: 64,
  normEps: 1e-5,
  ropeTheta: 10000,
  tied: true,
  maxPositions: 128,
  eosIds: [],
};

/** A checkpoint of `dtype` in which every weight is 0.5; returns the number of weights. */
async function writeHalves(folder: string, dtype: "F32" | "BF16"): Promise<number> {
  const width = dtype === "F32" ? 4 : 2;
  const header: Record<string, unknown> = {};
  let at = 0;
  for (const [name, shape] of modelTensorShapes(CONFIG)) {
    const bytes = width * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype, shape, data_offsets: [at, at += bytes] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = new BigUint64Array([BigInt(json.length)]);
  const piece = new Uint8Array(1 << 20);
  const half = dtype === "F32" ? [0, 0, 0, 0x3f] : [0, 0x3f];
  for (let i = 0; i < piece.length; i++) piece[i] = half[i % width]!;
  using file = await Deno.open(join(folder, "model.safetensors"), { write: true, create: true });
  await file.write(new Uint8Array(length.buffer));
  await file.write(json);
  for (let left = at; left > 0; left -= piece.length) await file.write(piece.subarray(0, left));
  await Deno.writeTextFile(
    join(folder, "config.json"),
    JSON.stringify(toHuggingFaceConfig(CONFIG)),
  );
  return at / width;
}

Deno.test({
  name: "loadPolicy needs at most a third more memory than the weights, F32 or BF16",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const versions = new Set<string>();
    for (const dtype of ["F32", "BF16"] as const) {
      const folder = await Deno.makeTempDir();
      const weights = await writeHalves(folder, dtype);
      const child = new URL("./loading_child.ts", import.meta.url).pathname;
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", child, folder],
        cwd: new URL("../..", import.meta.url).pathname,
      }).output();
      assert.equal(new TextDecoder().decode(stderr), "");
      const { grown, version } = JSON.parse(new TextDecoder().decode(stdout));
      assert.ok(grown > 4 * weights * 0.9, `${dtype}: ${grown} for ${weights} weights`);
      assert.ok(grown < 4 * weights * 4 / 3, `${dtype}: ${grown} for ${weights} weights`);
      versions.add(version);
      await Deno.remove(folder, { recursive: true });
    }
    assert.equal(versions.size, 1);
  },
});
