/**
 * Checkpoints of a client's making: what they say about themselves is checked before it counts,
 * and a refused one leaves the server as it was.
 */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { readSafetensors, writeSafetensors } from "../../gpu-node/model/safetensors.ts";
import { Checkpoints } from "../../gpu-node/server/checkpoints.ts";
import { uploadId } from "../../gpu-node/server/upload_id.ts";
import type { UpdateRequest } from "../../gpu-node/verbs.ts";
import { CollmError } from "../../shared/errors.ts";
import { sequences, TINY, withServer } from "./served.ts";

const HASH = "0123456789abcdef01234567";
const update = (policy: string, learning_rate = 1e-3): UpdateRequest => ({
  policy,
  seq: 1,
  loss: "cross_entropy",
  batch: sequences,
  optimizer: { name: "adamw", learning_rate },
});

async function inTemp(use: (folder: string, kernel: Kernel) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder, new Kernel(await cpuDevice()));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Writes a policy one update old, with its state. */
async function saved(kernel: Kernel, folder: string, lora?: { rank: number; alpha: number }) {
  await kernel.load({ policy: "w", source: TINY, ...lora && { lora } });
  const { policy_version } = await kernel.update(update("w"));
  await kernel.save("w", folder, { state: true });
  await kernel.unload("w");
  return policy_version;
}

/** Loading must be refused in one sentence, without a policy coming to be. */
async function refused(kernel: Kernel, source: string, message: RegExp): Promise<void> {
  await assert.rejects(kernel.load({ policy: "x", source }), (error) => {
    assert.ok(error instanceof CollmError && error.code === "invalid_request", String(error));
    assert.match(error.message, message);
    return true;
  });
  assert.deepEqual(await kernel.list(), []);
}

Deno.test("load refuses a training state that is none, and names what is wrong", () =>
  inTemp(async (temp, kernel) => {
    const source = join(temp, "c");
    await saved(kernel, source);
    const version = `1-${HASH}`;
    const states: [string, RegExp][] = [
      ["not json", /is not valid JSON$/],
      ["null", /holds no JSON object$/],
      [JSON.stringify({ version: 5 }), /step is undefined, expected a number of steps$/],
      [JSON.stringify({ step: -5, version }), /step is -5/],
      [JSON.stringify({ step: 3.5, version }), /step is 3.5/],
      [JSON.stringify({ step: 2, version }), /expected '2-' and a hash$/],
      [JSON.stringify({ step: 1, version: null }), /version is null/],
      [JSON.stringify({ step: 1, version: "/../../out-via-x" }), /version is "\/\.\.\/\.\./],
      [JSON.stringify({ step: 1, version: `1-via-${HASH}/../x` }), /version is "1-via-/],
    ];
    for (const [text, message] of states) {
      writeFileSync(join(source, "training_state.json"), text);
      await refused(kernel, source, message);
    }
  }));

Deno.test("load on the CPU gives weights the version of their content, whatever their state claims", () =>
  inTemp(async (temp, kernel) => {
    const source = join(temp, "c");
    const version = await saved(kernel, source);
    for (const claimed of [`1-via-${HASH}`, `1-${HASH}`]) {
      const state = { step: 1, version: claimed, content: version };
      writeFileSync(join(source, "training_state.json"), JSON.stringify(state));
      assert.equal((await kernel.load({ policy: "x", source })).policy_version, version);
    }
  }));

Deno.test("Checkpoints.save makes no path of a version that is none", () =>
  inTemp(async (temp, kernel) => {
    await kernel.load({ policy: "p", source: TINY });
    const root = join(temp, "a", "b");
    for (const version of ["/../../out-via-x", `1-${HASH}/../../x`, "", `1-via-${HASH}-x`]) {
      await assert.rejects(new Checkpoints(root).save(kernel, "p", () => version), {
        message: `Cannot save policy 'p': its version is '${version}', which is none`,
      });
    }
    assert.deepEqual([readdirSync(root), readdirSync(temp)], [[], ["a"]]);
  }));

Deno.test("load refuses moments that are misshaped, unknown, alone or not finite, by name", () =>
  inTemp(async (temp, kernel) => {
    const source = join(temp, "c");
    await saved(kernel, source);
    const path = join(source, "optimizer.safetensors");
    const { tensors } = readSafetensors(path);
    const m = "adam.m.model.norm.weight";
    const { shape, data } = tensors.get(m)!;
    const cases: [RegExp, (all: Map<string, unknown>) => void][] = [
      [/tensor 'adam\.m\.model\.norm\.weight' has shape \[3\], expected \[\d+\]$/, (all) => {
        all.set(m, { shape: [3], data: new Float32Array(3) });
      }],
      [/tensor 'adam\.m\.x' is no moment of a parameter that learns$/, (all) => {
        all.set("adam.m.x", { shape, data });
      }],
      [/tensor 'adam\.m\.model\.norm\.weight' is missing$/, (all) => all.delete(m)],
      [/tensor 'adam\.m\.model\.norm\.weight' holds NaN at index 1$/, (all) => {
        all.set(m, { shape, data: data.map((x, i) => i === 1 ? NaN : x) });
      }],
    ];
    for (const [message, change] of cases) {
      const changed = new Map(tensors);
      change(changed as Map<string, unknown>);
      writeSafetensors(path, changed);
      await refused(kernel, source, message);
    }
  }));

Deno.test("load refuses a value head that is not finite, of weights of its own or of an adapter", () =>
  inTemp(async (temp, kernel) => {
    for (const lora of [undefined, { rank: 2, alpha: 4 }]) {
      const source = join(temp, `c${lora ? 1 : 0}`);
      const value_head = { seed: 1 };
      await kernel.load({ policy: "w", source: TINY, value_head, ...lora && { lora } });
      await kernel.save("w", source);
      await kernel.unload("w");
      const path = join(source, "value_head.safetensors");
      const { tensors } = readSafetensors(path);
      for (const [bad, index] of [[NaN, 0], [Infinity, 3], [-Infinity, 1]] as const) {
        for (const [name, { shape, data }] of tensors) {
          if (data.length <= index) continue;
          const changed = data.map((x, i) => i === index ? bad : x);
          writeSafetensors(path, new Map(tensors).set(name, { shape, data: changed } as never));
          const what = `Cannot use '${path}': tensor '${name}' holds ${bad} at index ${index}`;
          await assert.rejects(kernel.load({ policy: "x", source }), { message: what });
          assert.deepEqual(await kernel.list(), []);
        }
      }
      writeSafetensors(path, tensors);
      assert.equal((await kernel.load({ policy: "x", source })).has_value_head, true);
      await kernel.unload("x");
    }
  }));

Deno.test("load refuses an adapter that is not finite or scaled beyond reason, and keeps no base", () =>
  inTemp(async (temp, kernel) => {
    const source = join(temp, "c");
    await saved(kernel, source, { rank: 2, alpha: 4 });
    // The base is a copy that disappears: a policy that still stood on it could load without it.
    const base = join(temp, "base");
    cpSync(TINY, base, { recursive: true });
    const config = join(source, "adapter_config.json");
    const json = JSON.parse(Deno.readTextFileSync(config));
    const weights = join(source, "adapter_model.safetensors");
    const { tensors } = readSafetensors(weights);
    const [name, first] = [...tensors][0]!;
    writeSafetensors(
      weights,
      new Map(tensors).set(name, { ...first, data: first.data.map(() => NaN) }),
    );
    writeFileSync(config, JSON.stringify({ ...json, base_model_name_or_path: base }));
    await refused(kernel, source, /adapter_model\.safetensors': tensor '.*' holds NaN at index 0$/);
    writeSafetensors(weights, tensors);
    Deno.removeSync(join(base, "model.safetensors"));
    await assert.rejects(kernel.load({ policy: "x", source }), CollmError);

    for (const lora_alpha of [1e300, 1e-300, 1e7]) {
      writeFileSync(config, JSON.stringify({ ...json, lora_alpha }));
      await refused(
        kernel,
        source,
        /lora_alpha is .*, expected a number from 0.000001 to 1000000$/,
      );
    }
    const lora = { rank: 2, alpha: 1e300 };
    await assert.rejects(kernel.load({ policy: "x", source: TINY, lora }), /alpha 1e\+300/);
  }));

Deno.test("update refuses new weights that are not finite, and the policy stays as it was", () =>
  inTemp(async (_, kernel) => {
    for (const lora of [undefined, { rank: 2, alpha: 4 }]) {
      await kernel.load({ policy: "p", source: TINY, ...lora && { lora } });
      await kernel.load({ policy: "q", source: TINY, ...lora && { lora } });
      for (const tokens_per_run of [undefined, 24]) {
        const learn = (policy: string, seq: number, rate: number, weight_decay = 0.01) => {
          const request = update(policy, rate);
          const optimizer = { ...request.optimizer, weight_decay };
          return kernel.update({
            ...request,
            seq,
            optimizer,
            ...tokens_per_run && { tokens_per_run },
          });
        };
        // Twice, so that the second bad one would write over the buffers of the step before.
        for (const k of [1, 2, 3]) {
          const seq = k + (tokens_per_run ?? 0);
          await assert.rejects(learn("p", seq, 1e300), {
            code: "invalid_request",
            message: /^Cannot update policy 'p': .*, norm of the new weights (NaN|Infinity)$/,
          });
          await assert.rejects(learn("p", seq, 1e-3, 1e300), { code: "invalid_request" });
          assert.deepEqual(await learn("p", seq, 1e-3), await learn("q", seq, 1e-3));
        }
      }
    }
  }));

const FILES = ["config.json", "model.safetensors"];

Deno.test("an upload loads under the hash of its files only, and stays as it is while in use", () =>
  withServer(async ({ app, call }) => {
    const id = await uploadId(TINY, FILES);
    const put = async (id: string, name: string, from = name) => {
      const body = readFileSync(join(TINY, from));
      return (await app.request(`/v1/checkpoints/${id}/files/${name}`, { method: "PUT", body }))
        .status;
    };
    const spoof = `upload.${"a".repeat(32)}`;
    for (const name of FILES) {
      assert.deepEqual([await put(id, name), await put(spoof, name)], [204, 204]);
    }
    const load = (source: string) => call("POST", "/v1/policies", { policy: "p", source });
    const refused = await load(spoof);
    assert.equal(refused.status, 400);
    const detail = `Cannot use checkpoint '${spoof}': its files have the id '${id}'`;
    assert.equal(refused.body.detail, detail);
    assert.equal((await load(id)).status, 201);
    assert.equal(await put(id, "model.safetensors", "config.json"), 409);
    assert.equal(await put(id, "generation_config.json", "config.json"), 409);
    assert.equal((await call("DELETE", "/v1/policies/p")).status, 204);
    assert.equal(await put(id, "model.safetensors"), 204);
  }));

Deno.test("a checkpoint that an adapter found as its base is not deleted while it is in use", () =>
  withServer(async ({ call }) => {
    const { body: whole } = await call("POST", "/v1/checkpoints", { policy: "tiny" });
    const lora = { rank: 2, alpha: 4 };
    await call("POST", "/v1/policies", { policy: "a", source: whole.id, lora });
    const { body: adapter } = await call("POST", "/v1/checkpoints", { policy: "a" });
    await call("DELETE", "/v1/policies/a");
    const again = await call("POST", "/v1/policies", { policy: "b", source: adapter.id });
    assert.equal(again.status, 201);
    const removing = () => call("DELETE", `/v1/checkpoints/${whole.id}`);
    assert.equal((await removing()).status, 409);
    await call("DELETE", "/v1/policies/b");
    assert.equal((await removing()).status, 204);
  }));

Deno.test("POST /v1/policies refuses a broken source by its name, without the server's path", () =>
  withServer(async ({ call, root }) => {
    const id = `tiny-0-${HASH}`;
    mkdirSync(join(root, id), { recursive: true });
    const broken = { "config.json": "x", "model.safetensors": "x", "tokenizer.json": "x" };
    for (const [name, text] of Object.entries(broken)) {
      writeFileSync(join(root, id, name), text);
      const { status, body } = await call("POST", "/v1/policies", { policy: "p", source: id });
      assert.equal(status, 400);
      assert.ok(
        body.detail.includes(`'${id}/${name}'`) && !body.detail.includes(root),
        body.detail,
      );
      if (name === "config.json") cpSync(join(TINY, name), join(root, id, name));
    }
    const wrong = { policy: "p", source: "tiny", base: "tiny" };
    const { body } = await call("POST", "/v1/policies", wrong);
    assert.equal(body.detail, "Cannot load policy 'p': base is 'tiny' but 'tiny' is no adapter");
  }));

Deno.test("Checkpoints.upload keeps a bounded number of uploads and of their bytes", async () => {
  const root = await Deno.makeTempDir();
  const checkpoints = new Checkpoints(root, { count: 2, bytes: 100 });
  const put = (digit: string, bytes: number, name = "config.json") =>
    checkpoints.upload(
      `upload.${digit.repeat(32)}`,
      name,
      new Blob([new Uint8Array(bytes)]).stream(),
    );
  mkdirSync(join(root, `tiny-0-${HASH}`));
  await put("0", 40);
  await put("1", 40);
  await assert.rejects(put("2", 1), { code: "conflict", message: /: 2 uploads are kept, delete/ });
  await assert.rejects(put("1", 21, "tokenizer.json"), {
    code: "payload_too_large",
    message: "Cannot upload 'tokenizer.json': it exceeds the 20 bytes that are left",
  });
  await put("1", 20, "tokenizer.json");
  checkpoints.remove(`upload.${"0".repeat(32)}`);
  await put("2", 1);
  await Deno.remove(root, { recursive: true });
});
