/**
 * Loading and saving over the wire: adapters with and without their base named, merged checkpoints,
 * frozen policies, hub ids; and what an update must hold for its loss.
 */
import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { openHttpNode } from "../../gpu-node/client/http.ts";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { Checkpoints } from "../../gpu-node/server/checkpoints.ts";
import { servePolicies } from "../../gpu-node/server/policies.ts";
import { openSources } from "../../gpu-node/server/sources.ts";
import { uploadId } from "../../gpu-node/server/upload_id.ts";
import { checkUpdate } from "../../gpu-node/server/update.ts";
import type { PolicyInfo, UpdateRequest } from "../../gpu-node/verbs.ts";
import { CollmError } from "../../shared/errors.ts";
import { listen } from "../../shared/wire/listen.ts";
import { sequences, TINY, withServer } from "./served.ts";

const lora = { rank: 2, alpha: 4, target_modules: ["q_proj", "v_proj"], seed: 3 };
const update = (policy: string) => ({
  policy,
  seq: 1,
  loss: "policy_gradient",
  batch: sequences.map((s) => ({ ...s, advantage: 1 })),
  optimizer: { name: "adamw", learning_rate: 0.05 },
});

Deno.test("POST /v1/policies loads adapters on one base; saved, they load again beside it", () =>
  withServer(async ({ call }) => {
    const load = await call("POST", "/v1/policies", { policy: "a", source: "tiny", lora });
    assert.equal(load.status, 201);
    assert.deepEqual(load.body.lora, { rank: 2, alpha: 4, target_modules: lora.target_modules });
    assert.ok(load.body.trainable_parameters < load.body.parameters / 4);
    const { body: learnt } = await call("POST", "/v1/update", update("a"));
    const { body: saved } = await call("POST", "/v1/checkpoints", { policy: "a" });
    assert.equal(saved.id, `a-${learnt.policy_version}`);
    const names = saved.files.map((file: { name: string }) => file.name);
    assert.ok(names.includes("adapter_model.safetensors") && !names.includes("model.safetensors"));

    const again = await call("POST", "/v1/policies", { policy: "b", source: saved.id });
    assert.equal(again.status, 201, JSON.stringify(again.body));
    assert.equal(again.body.policy_version, learnt.policy_version);
    const named = { policy: "c", source: saved.id, base: "tiny" };
    assert.equal((await call("POST", "/v1/policies", named)).status, 201);
    const kept = await call("DELETE", `/v1/checkpoints/${saved.id}`);
    assert.equal(kept.status, 409);

    const merged = await call("POST", "/v1/checkpoints", { policy: "a", form: "merged" });
    assert.equal(merged.body.id, `a-${learnt.policy_version}-merged`);
    await call("POST", "/v1/policies", { policy: "m", source: merged.body.id });
    const score = async (policy: string) =>
      (await call("POST", "/v1/score", { policy, sequences })).body.logprobs.flat() as number[];
    const [adapted, whole] = [await score("a"), await score("m")];
    adapted.forEach((x, i) => assert.ok(Math.abs(x - whole[i]!) < 1e-4));
  }));

const ADAPTER_CONFIG = "adapter_config.json";
const baseNamed = (text: string): unknown => JSON.parse(text).base_model_name_or_path;

Deno.test("GET /v1/checkpoints names an adapter's base as clients know it; the file here loads here", () =>
  withServer(async ({ call, app, root }) => {
    await call("POST", "/v1/policies", { policy: "a", source: "tiny", lora });
    const { body: saved } = await call("POST", "/v1/checkpoints", { policy: "a" });
    const path = `/v1/checkpoints/${saved.id}`;
    const text = await (await app.request(`${path}/files/${ADAPTER_CONFIG}`)).text();
    assert.equal(baseNamed(text), "tiny");
    assert.ok(!text.includes(TINY) && !text.includes(root), text);
    assert.equal(JSON.parse(text).r, lora.rank);
    const bytes = (info: typeof saved) =>
      info.files.find(({ name }: { name: string }) => name === ADAPTER_CONFIG).bytes;
    assert.equal(bytes(saved), text.length);
    assert.equal(bytes((await call("GET", path)).body), text.length);

    const here = join(root, saved.id);
    assert.equal(baseNamed(Deno.readTextFileSync(join(here, ADAPTER_CONFIG))), TINY);
    const local = new Kernel(await cpuDevice());
    const { policy_version } = await local.load({ policy: "a", source: here });
    assert.ok(saved.id.endsWith(policy_version));
  }));

Deno.test("an adapter's base without a name of its own is called as the adapter that extends it, or nothing", async () => {
  const temp = await Deno.makeTempDir();
  const kernel = new Kernel(await cpuDevice());
  await kernel.load({ policy: "p", source: TINY, lora: { rank: 2, alpha: 4 } });
  const adapter = join(temp, "adapter");
  await kernel.save("p", adapter);
  const checkpoints = new Checkpoints(join(temp, "checkpoints"));
  const named = (models: Record<string, string>) =>
    openSources({ models: new Map(Object.entries(models)), checkpoints });
  assert.equal(await named({ a: adapter }).nameOfBase(TINY), "a");
  assert.equal(await named({ a: adapter, t: TINY }).nameOfBase(TINY), "t");
  assert.equal(await named({}).nameOfBase(TINY), null);
  assert.equal(await named({}).nameOfBase("owner/model"), "owner/model");
  assert.equal(await named({}).nameOfBase(join(checkpoints.root, "upload.x")), "upload.x");
  // What a client reads there leads back to the base.
  const config = join(adapter, ADAPTER_CONFIG);
  const json = JSON.parse(Deno.readTextFileSync(config));
  const copy = join(temp, "copy");
  cpSync(adapter, copy, { recursive: true });
  Deno.writeTextFileSync(
    join(copy, ADAPTER_CONFIG),
    JSON.stringify({ ...json, base_model_name_or_path: "a" }),
  );
  const request = { policy: "x", source: "upload" };
  assert.equal(await named({ a: adapter }).baseOf(request, copy), TINY);
  await Deno.remove(temp, { recursive: true });
});

Deno.test("an adapter whose base is a path of elsewhere is refused, and the path not looked at", () =>
  withServer(async ({ call, root }) => {
    const kernel = new Kernel(await cpuDevice());
    const base = join(root, "..", "elsewhere");
    cpSync(TINY, base, { recursive: true });
    await kernel.load({ policy: "p", source: base, lora: { rank: 2, alpha: 4 } });
    const folder = join(root, "..", "adapter");
    await kernel.save("p", folder);
    const id = await uploadId(folder, readdirSync(folder));
    Deno.mkdirSync(root);
    Deno.renameSync(folder, join(root, id));
    const { status, body } = await call("POST", "/v1/policies", { policy: "x", source: id });
    assert.equal(status, 400);
    assert.match(body.detail, /which is no model of this server, name one as base$/);
    const named = await call("POST", "/v1/policies", { policy: "x", source: id, base: "tiny" });
    assert.equal(named.status, 201, JSON.stringify(named.body));
  }));

Deno.test("openHttpNode brings an adapter and its base, and takes either form back", () =>
  withServer(async ({ app, root }) => {
    const server = listen({ host: "127.0.0.1", port: 0, token: undefined }, app.fetch);
    const node = openHttpNode(server.url);
    const folder = join(root, "..", "here");
    const local = new Kernel(await cpuDevice());
    await local.load({ policy: "p", source: TINY, lora: { rank: 2, alpha: 4 } });
    await local.update(update("p") as UpdateRequest);
    await local.save("p", join(folder, "adapter"), { state: true });

    const [{ policy_version }] = await local.list() as [PolicyInfo];
    const adapter = join(folder, "adapter");
    const there = await node.load({ policy: "p", source: adapter, base: TINY });
    assert.equal(there.policy_version, policy_version);
    const back = join(folder, "back");
    await node.save("p", back, { state: true });
    // It loads here, and there again without its base being named: that is brought along.
    assert.equal(baseNamed(Deno.readTextFileSync(join(back, ADAPTER_CONFIG))), TINY);
    const again = { policy: "again", source: back };
    assert.equal((await local.load(again)).policy_version, policy_version);
    const other = openHttpNode(server.url);
    assert.equal((await other.load(again)).policy_version, policy_version);
    await node.save("p", join(folder, "merged"), { form: "merged" });
    assert.ok(existsSync(join(folder, "merged", "model.safetensors")));
    assert.deepEqual(readdirSync(root).filter((name) => !name.startsWith("upload.")), []);
    await server.drain();
  }));

Deno.test("openHttpNode brings a folder of ONNX files, which loads frozen", () =>
  withServer(async ({ app, root, call }) => {
    const server = listen({ host: "127.0.0.1", port: 0, token: undefined }, app.fetch);
    const folder = join(root, "..", "onnx-only");
    cpSync("models/collm-tiny", folder, { recursive: true });
    Deno.removeSync(join(folder, "model.safetensors"));
    const info = await openHttpNode(server.url).load({ policy: "f", source: folder });
    assert.equal(info.can_learn, false);
    const { body, status } = await call("POST", "/v1/update", update("f"));
    assert.equal(status, 400);
    assert.match(body.detail, /f/);
    await server.drain();
  }));

Deno.test("POST /v1/policies refuses hub ids unless the server allows them", () =>
  withServer(async ({ call }) => {
    const load = (source: string) => call("POST", "/v1/policies", { policy: "x", source });
    const { status, body } = await load("owner/model");
    assert.equal(status, 404);
    assert.match(body.detail, /'owner\/model' is on a hub, which needs a server started with/);
    for (const path of ["models/../x", "/etc/passwd", "a/b/c", "./tiny", "..", "a\\b"]) {
      assert.equal((await load(path)).status, 400, path);
    }
  }));

Deno.test("a refusal repeats what the client wrote, also where that is a folder served here", () => {
  const models = new Map([["named", "owner/model"]]);
  const { withNames } = openSources({ models, checkpoints: new Checkpoints("nowhere") });
  const text = "Cannot load policy 'p': 'owner/model' is on a hub, not 'owner/model/config.json'";
  const asked = { policy: "p", source: "owner/model" };
  assert.match(withNames(text, asked), /: 'owner\/model' is on a hub, not 'named\/config.json'$/);
  assert.match(withNames(text, { ...asked, source: "x" }), /: 'named' is on a hub/);
});

Deno.test("servePolicies takes a hub id to the hub where that is allowed", async () => {
  const kernel = new Kernel(await cpuDevice());
  const asked: string[] = [];
  const policies = servePolicies({
    node: kernel,
    models: new Map(),
    checkpoints: new Checkpoints("nowhere"),
    fromHub: ({ source }) => {
      asked.push(source);
      return Promise.resolve(TINY);
    },
  });
  assert.equal((await policies.load({ policy: "p", source: "owner/model" })).source, "owner/model");
  assert.deepEqual(asked, ["owner/model"]);
  assert.deepEqual([...policies.sources()], ["owner/model"]);
});

const s = { tokens: [1, 2, 3, 4, 5], prompt_length: 3 };
const base = { policy: "p", seq: 1, optimizer: { name: "adamw", learning_rate: 1 } } as const;
const clip = { ...base, loss: "ppo_clip" } as const;
const value = { ...base, loss: "value_mse" } as const;
const gradient = { ...base, loss: "policy_gradient" } as const;
const old_logprobs = [-1, -1];
const unread = (field: string) =>
  new RegExp(`batch\\[0\\] has ${field}, which the loss \\w+ does not read$`);
const WRONG: [string, UpdateRequest, RegExp][] = [
  [
    "no old_logprobs",
    { ...clip, batch: [{ ...s, advantage: 1 }] },
    /batch\[0\] needs old_logprobs/,
  ],
  [
    "old_logprobs of another length",
    { ...clip, batch: [{ ...s, advantage: 1, old_logprobs: [-1] }] },
    /has 1 old_logprobs for a response of 2 tokens/,
  ],
  [
    "advantages of another length",
    { ...gradient, batch: [{ ...s, advantages: [1, 2, 3] }] },
    /has 3 advantages for a response of 2 tokens/,
  ],
  [
    "both forms of advantage",
    { ...clip, batch: [{ ...s, advantage: 1, advantages: [1, 1], old_logprobs }] },
    /needs either advantage or advantages for the loss ppo_clip/,
  ],
  [
    "no reference",
    { ...gradient, kl_coef: 0.1, batch: [{ ...s, advantage: 1 }] },
    /needs ref_logprobs for kl_coef 0.1/,
  ],
  [
    "a ratio of no ratio",
    { ...gradient, ratio: "token", batch: [{ ...s, advantage: 1 }] },
    /ratio is 'token' but the loss policy_gradient has none/,
  ],
  [
    "a clip of nothing",
    { ...gradient, clip: 0.2, batch: [{ ...s, advantage: 1 }] },
    /clip is 0.2 but the loss policy_gradient clips nothing/,
  ],
  ["no target", { ...value, batch: [s] }, /needs a target/],
  ["no old value", { ...value, clip: 0.2, batch: [{ ...s, target: 1 }] }, /needs an old_value/],
  [
    "a reference of values",
    { ...value, kl_coef: 0.1, batch: [{ ...s, target: 1 }] },
    /the loss value_mse has no tokens to compare/,
  ],
  [
    "a target of tokens",
    { ...gradient, batch: [{ ...s, advantage: 1, target: 1 }] },
    unread("target"),
  ],
  [
    "a weight of actions",
    { ...gradient, batch: [{ ...s, advantage: 1, weight: 2 }] },
    unread("weight"),
  ],
  [
    "an old value of tokens",
    { ...clip, batch: [{ ...s, advantage: 1, old_logprobs, old_value: 1 }] },
    unread("old_value"),
  ],
  [
    "a place of no value",
    { ...gradient, batch: [{ ...s, advantage: 1, read_at: 1 }] },
    unread("read_at"),
  ],
  [
    "an old value that nothing is clipped to",
    { ...value, batch: [{ ...s, target: 1, old_value: 1 }] },
    /batch\[0\] has old_value, which is read with clip only$/,
  ],
  [
    "a reference without a price",
    { ...gradient, batch: [{ ...s, advantage: 1, ref_logprobs: [-1, -1] }] },
    /batch\[0\] has ref_logprobs, which is read with kl_coef only$/,
  ],
  [
    "an advantage of labels",
    { ...base, loss: "cross_entropy", batch: [{ ...s, advantage: 1 }] },
    unread("advantage"),
  ],
  [
    "log-probabilities of values",
    { ...value, batch: [{ ...s, target: 1, old_logprobs }] },
    unread("old_logprobs"),
  ],
  [
    "a prompt that is too long",
    { ...gradient, batch: [{ ...s, prompt_length: 6, advantage: 1 }] },
    /has a prompt of 6 in 5 tokens/,
  ],
];

for (const [what, request, message] of WRONG) {
  Deno.test(`checkUpdate refuses ${what}`, () => {
    assert.throws(() => checkUpdate(request), (error) => {
      assert.ok(error instanceof CollmError && error.code === "invalid_request");
      assert.match(error.message, /^Cannot update policy 'p': /);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("checkUpdate takes every loss with what it reads", () => {
  const whole = { ...s, old_logprobs, ref_logprobs: [-1, -2], advantages: [1, 2] };
  checkUpdate({ ...clip, clip: 0.1, ratio: "sequence", kl_coef: 0.1, batch: [whole] });
  checkUpdate({ ...gradient, kl_coef: 0, batch: [{ ...s, advantage: 1 }] });
  const { old_logprobs: _, ...priced } = whole;
  checkUpdate({ ...gradient, kl_coef: 0, batch: [priced] });
  checkUpdate({ ...value, clip: 0.2, batch: [{ ...s, target: 1, old_value: 0, read_at: 4 }] });
  checkUpdate({ ...base, loss: "cross_entropy", batch: [{ ...s, weight: 2 }] });
});

Deno.test("a model of the command line may be an adapter on any base, and so what is saved of it", async () => {
  const root = await Deno.makeTempDir();
  const kernel = new Kernel(await cpuDevice());
  await kernel.load({ policy: "p", source: TINY, lora: { rank: 2, alpha: 4 } });
  await kernel.save("p", join(root, "adapter"));
  await withServer(async ({ call }) => {
    const { body: saved } = await call("POST", "/v1/checkpoints", { policy: "a" });
    const again = await call("POST", "/v1/policies", { policy: "b", source: saved.id });
    assert.equal(again.status, 201, JSON.stringify(again.body));
  }, { models: { a: join(root, "adapter") } });
  await Deno.remove(root, { recursive: true });
});

Deno.test("a body that ends early is no error of the server's", () =>
  withServer(async ({ app }) => {
    const body = new ReadableStream({ pull: (c) => c.error(new Error("gone")) });
    const response = await app.request("/v1/score", {
      method: "POST",
      headers: { "content-type": "application/json", "content-length": "9" },
      body,
    });
    assert.equal(response.status, 400);
    assert.match((await response.json()).detail, /its body ended early$/);
  }));

Deno.test("POST /v1/policies adds a value head for true, or for an object with its seed", () =>
  withServer(async ({ call }) => {
    const value = async (policy: string, value_head: unknown) => {
      const load = await call("POST", "/v1/policies", { policy, source: "headless", value_head });
      assert.equal(load.body.has_value_head, true, JSON.stringify(load.body));
      const reads = [{ tokens: [5, 6, 7], read_at: "last" }];
      return (await call("POST", "/v1/values", { policy, sequences: reads })).body.values[0];
    };
    assert.equal(await value("a", true), await value("b", { seed: 0 }));
    assert.notEqual(await value("c", { seed: 1 }), await value("d", {}));
    const { body } = await call("POST", "/v1/policies", {
      ...{ policy: "e", source: "headless", value_head: 3 },
    });
    assert.match(body.detail, /'value_head' is 3, expected true/);
  }, { models: { headless: "models/collm-tiny" } }));

Deno.test("POST /v1/checkpoints saves what is there, also where a version is one that was saved before", () =>
  withServer(async ({ call, root }) => {
    const saved = async (policy = "a") => (await call("POST", "/v1/checkpoints", { policy })).body;
    const alphaOf = (id: string) =>
      JSON.parse(Deno.readTextFileSync(join(root, id, ADAPTER_CONFIG))).lora_alpha;
    await call("POST", "/v1/policies", { policy: "a", source: "tiny", lora });
    const first = await saved();
    await call("POST", "/v1/policies", {
      policy: "a",
      source: "tiny",
      lora: { ...lora, alpha: 64 },
    });
    const other = await saved();
    assert.notEqual(first.id, other.id);
    assert.deepEqual([first, other].map(({ id }) => alphaOf(id)), [lora.alpha, 64]);
    assert.deepEqual([other.created, (await saved()).created], [true, false]);

    // Files that are no part of a version.
    const text = { method: "PUT", name: "tokenizer_config.json" };
    Deno.writeTextFileSync(join(root, other.id, text.name), "{}");
    const again = await saved();
    assert.match(again.id, new RegExp(`^${other.id}-[0-9a-f]{16}$`));
    assert.deepEqual([again.created, alphaOf(again.id)], [true, 64]);
    assert.deepEqual((await saved()).id, again.id);
  }));
