/** Models by their hub id, from a server of this machine that stands for the hub. */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { cpuDevice } from "../../gpu-node/device.ts";
import { transformersLibrary } from "../../gpu-node/frozen/library.ts";
import { hubIdOf, modelFolder } from "../../gpu-node/hub.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { readCheckpointTensors } from "../../gpu-node/model/checkpoint.ts";
import { loadTokenizer } from "../../gpu-node/model/tokenizer.ts";
import { writeSafetensors } from "../../gpu-node/model/safetensors.ts";
import { golden } from "./golden.ts";

const { folder: LLAMA, sequences } = golden("llama-tiny");
const TINY = new URL("../../models/collm-tiny", import.meta.url).pathname;

interface Hub {
  /** Where `owner/name` folders lie on the hub. */
  models: string;
  /** Files asked for so far, as `owner/name/file`. */
  asked: string[];
  cache: string;
  /** Takes the place of the answer to a file. */
  answers: Map<string, () => Response>;
  close(): Promise<void>;
}

/** Runs `use` with Transformers.js's settings pointing at a hub of ours and an empty cache. */
async function withHub(use: (hub: Hub) => Promise<void>): Promise<void> {
  const { env } = await transformersLibrary();
  const { remoteHost, cacheDir } = env;
  const [models, cache] = [await Deno.makeTempDir(), await Deno.makeTempDir()];
  const asked: string[] = [];
  const answers: Hub["answers"] = new Map();
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const match = /^\/([^/]+\/[^/]+)\/resolve\/main\/(.+)$/.exec(new URL(request.url).pathname);
    const name = match ? `${match[1]}/${match[2]}` : "";
    asked.push(name);
    const path = join(models, name);
    if (answers.has(name)) return answers.get(name)!();
    if (!match || !existsSync(path)) return new Response("Entry not found", { status: 404 });
    return new Response(await Deno.readFile(path));
  });
  let open = true;
  const close = async () => {
    if (open) await server.shutdown();
    open = false;
  };
  Object.assign(env, { remoteHost: `http://127.0.0.1:${server.addr.port}/`, cacheDir: cache });
  try {
    await use({ models, asked, cache, answers, close });
  } finally {
    Object.assign(env, { remoteHost, cacheDir });
    await close();
    for (const folder of [models, cache]) await Deno.remove(folder, { recursive: true });
  }
}

const publish = (hub: Hub, id: string, folder: string) =>
  cpSync(folder, join(hub.models, id), { recursive: true });
const load = (source: string, extra = {}) => modelFolder({ policy: "p", source, ...extra }, "cpu");

Deno.test("modelFolder fetches a checkpoint once, and needs no hub afterwards", () =>
  withHub(async (hub) => {
    publish(hub, "some-org/tiny.v1", TINY);
    const seen = new Map<string, number[]>();
    const folder = await modelFolder(
      { policy: "p", source: "some-org/tiny.v1" },
      "cpu",
      (file, loaded, total) => seen.set(file, [loaded, total]),
    );
    assert.equal(folder, join(hub.cache, "some-org/tiny.v1"));
    const files = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
    for (const file of files) {
      assert.deepEqual(Deno.readFileSync(join(folder, file)), Deno.readFileSync(join(TINY, file)));
      const { size } = Deno.statSync(join(TINY, file));
      assert.deepEqual(seen.get(file), [size, size], file);
    }
    assert.ok(!existsSync(join(folder, "onnx")), "a checkpoint that learns needs no ONNX files");
    assert.equal(await hubIdOf(folder), "some-org/tiny.v1");

    const count = hub.asked.length;
    assert.equal(await load("some-org/tiny.v1"), folder);
    assert.equal(hub.asked.length, count, hub.asked.slice(count).join());
    await hub.close();
    assert.equal(await load("some-org/tiny.v1"), folder);
    // The library finds the same files under the same id.
    const { AutoTokenizer } = await transformersLibrary();
    const tokenizer = await AutoTokenizer.from_pretrained("some-org/tiny.v1");
    assert.ok(tokenizer.encode("stone").length > 0);
  }));

Deno.test("loadTokenizer takes a hub id, fetches no weights, and needs no hub afterwards", () =>
  withHub(async (hub) => {
    publish(hub, "org/tiny", TINY);
    const ids = (await loadTokenizer("org/tiny")).encode("stone");
    assert.deepEqual(ids, (await loadTokenizer(TINY)).encode("stone"));
    assert.ok(hub.asked.every((name) => !/safetensors|onnx/.test(name)), hub.asked.join());
    await hub.close();
    assert.deepEqual((await loadTokenizer("org/tiny")).encode("stone"), ids);
    await assert.rejects(loadTokenizer("org/other"), { code: "unavailable" });
  }));

Deno.test("modelFolder finds what Transformers.js has fetched", () =>
  withHub(async (hub) => {
    publish(hub, "org/tiny", TINY);
    const { AutoTokenizer } = await transformersLibrary();
    await AutoTokenizer.from_pretrained("org/tiny");
    const before = hub.asked.filter((name) => name.endsWith("tokenizer.json")).length;
    assert.ok(before > 0);
    await load("org/tiny");
    assert.equal(hub.asked.filter((name) => name.endsWith("tokenizer.json")).length, before);
  }));

Deno.test("modelFolder fetches shards, and no file that an index could place elsewhere", () =>
  withHub(async (hub) => {
    const folder = join(hub.models, "org/shards");
    mkdirSync(folder, { recursive: true });
    cpSync(join(LLAMA, "config.json"), join(folder, "config.json"));
    const tensors = [...readCheckpointTensors(LLAMA)];
    const weight_map: Record<string, string> = {};
    for (const part of [0, 1]) {
      const shard = `model-0000${part + 1}-of-00002.safetensors`;
      const mine = tensors.filter((_, i) => i % 2 === part);
      writeSafetensors(join(folder, shard), new Map(mine));
      for (const [name] of mine) weight_map[name] = shard;
    }
    const index = join(folder, "model.safetensors.index.json");
    Deno.writeTextFileSync(index, JSON.stringify({ weight_map }));
    const node = new Kernel(await cpuDevice());
    await node.load({ policy: "p", source: "org/shards" });
    await node.load({ policy: "whole", source: LLAMA });
    const scores = await Promise.all(["p", "whole"].map((name) => node.score(name, sequences)));
    assert.deepEqual(scores[0]!.logprobs, scores[1]!.logprobs);

    cpSync(folder, join(hub.models, "org/evil"), { recursive: true });
    const evil = { weight_map: { a: "../../../outside.safetensors" } };
    Deno.writeTextFileSync(
      join(hub.models, "org/evil/model.safetensors.index.json"),
      JSON.stringify(evil),
    );
    await assert.rejects(load("org/evil"), { message: /tensor 'a' has no plain file name/ });
  }));

Deno.test("load fetches an adapter of the hub with the base that it names, and save names it again", () =>
  withHub(async (hub) => {
    publish(hub, "org/base", LLAMA);
    const adapter = join(hub.models, "org/adapter");
    const maker = new Kernel(await cpuDevice());
    await maker.load({ policy: "p", source: LLAMA, lora: { rank: 2, alpha: 4 } });
    await maker.save("p", adapter);
    const config = join(adapter, "adapter_config.json");
    const json = JSON.parse(Deno.readTextFileSync(config));
    assert.equal(json.base_model_name_or_path, LLAMA.replace(/\/$/, ""));
    const named = { ...json, base_model_name_or_path: "org/base" };
    Deno.writeTextFileSync(config, JSON.stringify(named));

    const node = new Kernel(await cpuDevice());
    const info = await node.load({ policy: "p", source: "org/adapter" });
    assert.equal(info.lora!.rank, 2);
    assert.ok(existsSync(join(hub.cache, "org/base/model.safetensors")));
    const saved = join(hub.cache, "saved");
    await node.save("p", saved);
    const again = JSON.parse(Deno.readTextFileSync(join(saved, "adapter_config.json")));
    assert.equal(again.base_model_name_or_path, "org/base");
    await hub.close();
    await node.load({ policy: "again", source: "org/adapter" });
  }));

Deno.test("modelFolder fetches ONNX files for what cannot learn or shall not", () =>
  withHub(async (hub) => {
    publish(hub, "org/tiny", TINY);
    const folder = await load("org/tiny", { frozen: true });
    assert.ok(existsSync(join(folder, "onnx/model.onnx")));
    assert.ok(!existsSync(join(folder, "model.safetensors")));
    const config = JSON.parse(Deno.readTextFileSync(join(TINY, "config.json")));
    publish(hub, "org/foreign", TINY);
    Deno.writeTextFileSync(
      join(hub.models, "org/foreign/config.json"),
      JSON.stringify({ ...config, model_type: "mistral", architectures: ["MistralForCausalLM"] }),
    );
    const node = new Kernel(await cpuDevice());
    const info = await node.load({ policy: "p", source: "org/foreign" });
    assert.deepEqual([info.can_learn, info.architecture], [false, "mistral"]);
  }));

Deno.test("modelFolder leaves folders, and what can be no id, as they are", () =>
  withHub(async (hub) => {
    for (const source of [LLAMA, "models/collm-tiny", "nowhere", "/no/where", "a/b/c", "../x"]) {
      assert.equal(await load(source), source);
    }
    assert.deepEqual(hub.asked, []);
    assert.equal(await hubIdOf(LLAMA), undefined);
  }));

Deno.test("modelFolder says what the hub has not, and leaves no half of a file", () =>
  withHub(async (hub) => {
    const refused = (source: string, message: RegExp, code = "not_found") =>
      assert.rejects(load(source), { message, code });
    const at = String.raw`from http://127\.0\.0\.1:\d+/: `;
    await refused(
      "org/none",
      new RegExp(
        `^Cannot fetch 'config.json' of model 'org/none' ${at}there is no such model, and no such ` +
          "folder here$",
      ),
    );
    publish(hub, "org/gated", LLAMA);
    hub.answers.set("org/gated/config.json", () => new Response("no", { status: 401 }));
    await refused("org/gated", /or it needs a token \(HF_TOKEN\)$/);
    publish(hub, "org/busy", LLAMA);
    hub.answers.set("org/busy/model.safetensors", () => new Response("later", { status: 503 }));
    await refused("org/busy", /'model.safetensors'.* it answers 503$/, "unavailable");

    publish(hub, "org/cut", LLAMA);
    const bytes = Deno.readFileSync(join(LLAMA, "model.safetensors"));
    const { env } = await transformersLibrary();
    const held = env.fetch;
    let sent = false;
    const broken = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent) controller.error(new Error("gone"));
        else controller.enqueue(bytes.subarray(0, 5000));
        sent = true;
      },
    });
    env.fetch = (url: string | URL, init?: RequestInit) =>
      init?.method !== "HEAD" && `${url}`.endsWith("/model.safetensors")
        ? Promise.resolve(new Response(broken))
        : held(url, init);
    await refused(
      "org/cut",
      new RegExp(`'model.safetensors' of model 'org/cut' ${at}.`),
      "unavailable",
    );
    const left = readdirSync(join(hub.cache, "org/cut"));
    assert.deepEqual(left, ["config.json"]);
    await assert.rejects(loadTokenizer("org/cut"), { message: /tokenizer.json': no such file/ });
    env.fetch = held;
    assert.ok(existsSync(join(await load("org/cut"), "model.safetensors")));

    publish(hub, "org/hollow", LLAMA);
    Deno.removeSync(join(hub.models, "org/hollow/model.safetensors"));
    await refused(
      "org/hollow",
      /'onnx\/model.onnx' of model 'org\/hollow' .* there is no such file$/,
    );
    await hub.close();
    await refused(
      "org/tiny",
      new RegExp(`'config.json' of model 'org/tiny' ${at}.`),
      "unavailable",
    );
  }));

Deno.test("modelFolder sends a token to the hub itself and to no other host", () =>
  withHub(async (hub) => {
    const { env } = await transformersLibrary();
    const sent: (string | null)[] = [];
    const held = env.fetch;
    const token = Deno.env.get("HF_TOKEN");
    env.fetch = (_: string | URL, init?: RequestInit) => {
      sent.push(new Headers(init?.headers).get("authorization"));
      return Promise.resolve(new Response(null, { status: 404 }));
    };
    Deno.env.set("HF_TOKEN", "secret");
    try {
      await assert.rejects(load("org/none"));
      env.remoteHost = "https://huggingface.co/";
      await assert.rejects(load("org/none"));
    } finally {
      env.fetch = held;
      if (token === undefined) Deno.env.delete("HF_TOKEN");
      else Deno.env.set("HF_TOKEN", token);
    }
    assert.deepEqual(sent, [null, null, "Bearer secret", "Bearer secret"]);
    assert.deepEqual(hub.asked, []);
  }));

Deno.test("deno task gpu serves a model by its hub id, with its tokenizer", () =>
  withHub(async (hub) => {
    publish(hub, "org/tiny", TINY);
    const { env } = await transformersLibrary();
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "gpu-node/main.ts", "--port", "0", "--model", "t=org/tiny"],
      cwd: new URL("../..", import.meta.url).pathname,
      env: {
        COLLM_TOKEN: "",
        NO_COLOR: "1",
        HF_ENDPOINT: env.remoteHost,
        COLLM_HUB_CACHE: hub.cache,
      },
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const { value } = await reader.read();
    const url = /http:\S+/.exec(value ?? "")?.[0];
    assert.ok(url, `${value}`);
    const response = await fetch(`${url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "t", prompt: "stone", max_tokens: 4, temperature: 0 }),
    });
    const { choices } = await response.json();
    assert.equal(typeof choices[0].text, "string");
    child.kill("SIGTERM");
    await reader.cancel();
    await child.status;
    assert.ok(existsSync(join(hub.cache, "org/tiny/model.safetensors")));
  }));
