/**
 * The GPU node's HTTP client against a server on a real socket: the verbs give what the kernel
 * gives, errors keep code and sentence, failed connections are tried again a bounded number of
 * times, and checkpoint folders travel both ways.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { cpuDevice } from "../../gpu-node/device.ts";
import { openHttpNode } from "../../gpu-node/client/http.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { readCheckpointTensors } from "../../gpu-node/model/checkpoint.ts";
import type { GpuNode, UpdateRequest } from "../../gpu-node/verbs.ts";
import { CollmError } from "../../shared/errors.ts";
import { listen } from "../../shared/wire/listen.ts";
import { freePort } from "../support/sqld.ts";
import { type Fault, type Line, openLine } from "./broken_line.ts";
import { golden, sequences, type Served, TINY, withServer } from "./served.ts";

interface Context {
  node: GpuNode;
  served: Served;
  folder: string;
  url: string;
  line: Line;
  /** Methods of the requests that came through. */
  methods: string[];
}

/** Runs `test` with a client of a server on a socket, over a line that may break. */
async function withClient(
  test: (context: Context) => Promise<void>,
  { token, fault = () => null }: { token?: string; fault?: Fault } = {},
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "collm-client-" });
  try {
    await withServer(async (served) => {
      const methods: string[] = [];
      const server = listen({ host: "127.0.0.1", port: 0, token }, async (request) => {
        methods.push(request.method);
        const response = await served.app.fetch(request);
        // One request per connection, so that the line's faults are faults of requests.
        response.headers.set("connection", "close");
        return response;
      });
      const line = openLine(Number(new URL(server.url).port), fault);
      const url = `http://127.0.0.1:${line.port}`;
      const node = openHttpNode(`${url}/`, token === undefined ? {} : { token });
      await test({ node, served, folder, url, line, methods });
      await node.close();
      await server.drain();
      await line.close();
    }, token === undefined ? {} : { token });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const update = (extra: Partial<UpdateRequest> = {}): UpdateRequest => ({
  policy: "tiny",
  seq: 1,
  loss: "policy_gradient",
  batch: sequences.map((s, i) => ({ ...s, advantage: golden.batch.advantages[i] })),
  optimizer: { name: "adamw", learning_rate: 0.01, betas: [0.9, 0.999], weight_decay: 0.01 },
  max_grad_norm: 1,
  ...extra,
});

const code = (expected: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof CollmError, String(error));
  assert.equal(error.code, expected);
  assert.match(error.message, message);
  return true;
};

Deno.test("openHttpNode gives for every verb what the kernel gives", () =>
  withClient(async ({ node }) => {
    const local = new Kernel(await cpuDevice());
    await local.load({ policy: "tiny", source: TINY });
    const verbs: ((n: GpuNode) => Promise<unknown>)[] = [
      (n) => n.score("tiny", sequences),
      (n) => n.values("tiny", sequences.map(({ tokens }) => ({ tokens, read_at: "last" }))),
      (n) =>
        n.sample({
          policy: "tiny",
          prompts: [[5, 6, 7], [8, 9]],
          seeds: [1, 2 ** 32 - 1],
          max_tokens: 9,
          temperature: 0.7,
          stop_tokens: [3],
        }),
      (n) => n.update(update({ apply: false, report: "gradients" })),
      (n) => n.update(update()),
      (n) => n.score("tiny", sequences),
    ];
    for (const verb of verbs) assert.deepEqual(await verb(node), await verb(local));
    const health = async (n: GpuNode) => ({ ...await n.health(), memory_bytes: 0 });
    assert.deepEqual(await health(node), await health(local));
    const strip = async (n: GpuNode) => (await n.list()).map(({ source: _, ...info }) => info);
    assert.deepEqual(await strip(node), await strip(local));
    await node.load({ policy: "more", source: "tiny", value_head: { seed: 5 } });
    assert.equal((await node.list()).length, 2);
    await node.unload("more");
    assert.deepEqual((await node.list()).map((p) => p.policy), ["tiny"]);
  }));

Deno.test("openHttpNode throws the server's own error", () =>
  withClient(async ({ node }) => {
    await assert.rejects(
      node.score("tyni", sequences),
      code("not_found", /^Cannot find policy 'tyni'/),
    );
    await assert.rejects(
      node.score("tiny", [{ tokens: [97], prompt_length: 1 }]),
      code("invalid_request", /token 97 is outside its vocabulary of 97$/),
    );
    await node.update(update());
    await assert.rejects(
      node.update(update({ max_grad_norm: 2 })),
      code("conflict", /seq 1 was used for another payload$/),
    );
  }));

Deno.test("openHttpNode sends its token, and without it is refused", () =>
  withClient(async ({ node, url }) => {
    assert.equal((await node.list()).length, 1);
    await assert.rejects(openHttpNode(url).list(), code("unauthorized", /bearer token is missing/));
    await assert.rejects(
      openHttpNode(url, { token: "guess" }).load({ policy: "p", source: TINY }),
      code("unauthorized", /bearer token is wrong/),
    );
  }, { token: "secret" }));

for (const fault of ["lose request", "lose answer"] as const) {
  Deno.test(`update is applied once when two connections ${fault}`, () =>
    withClient(async ({ node, line, methods }) => {
      const result = await node.update(update());
      assert.match(result.policy_version, /^1-/);
      assert.equal(line.count, 3);
      assert.equal(methods.length, fault === "lose answer" ? 3 : 1);
      assert.equal((await node.list())[0]!.policy_version, result.policy_version);
    }, { fault: (k) => k < 2 ? fault : null }));
}

Deno.test("openHttpNode stops trying after a bounded number of attempts", () =>
  withClient(async ({ url, line }) => {
    await assert.rejects(
      openHttpNode(url, { retries: 2 }).list(),
      code("unavailable", /^Cannot reach http:\/\/127.0.0.1:\d+\/v1\/policies: /),
    );
    assert.equal(line.count, 3);
  }, { fault: () => "lose answer" }));

Deno.test("openHttpNode says that nothing listens", async () => {
  const node = openHttpNode(`http://127.0.0.1:${freePort()}`, { retries: 1 });
  await assert.rejects(node.list(), code("unavailable", /^Cannot reach http/));
});

Deno.test("openHttpNode gives up on a server that does not answer in time", async () => {
  const never = Promise.withResolvers<Response>();
  const server = listen({ host: "127.0.0.1", port: 0, token: undefined }, () => never.promise);
  await assert.rejects(
    openHttpNode(server.url, { timeoutMs: 50 }).list(),
    code("unavailable", /no answer in 50 ms$/),
  );
  never.resolve(new Response());
  await server.drain();
});

Deno.test("openHttpNode refuses the answers of another kind of server", async () => {
  const answers = ["<html>", '{"policies":[{"policy":1}]}'];
  const server = listen(
    { host: "127.0.0.1", port: 0, token: undefined },
    () => new Response(answers.shift()),
  );
  const node = openHttpNode(server.url);
  await assert.rejects(node.list(), code("unavailable", /its answer is not JSON$/));
  await assert.rejects(node.list(), code("unavailable", /'policies\[0\].policy' is 1, expected/));
  await server.drain();
});

Deno.test("save brings a checkpoint here, leaves none there, and load takes it back", () =>
  withClient(async ({ node, served, folder, methods }) => {
    const { policy_version } = await node.update(update());
    const state = join(folder, "deep", "state");
    await node.save("tiny", state, { state: true });
    assert.ok(existsSync(join(state, "onnx", "model.onnx")));
    assert.deepEqual([...Deno.readDirSync(served.root)], []);
    assert.ok(readCheckpointTensors(state).size > 0);

    const next = await node.update(update({ seq: 2 }));
    const back = await node.load({ policy: "tiny", source: state });
    assert.equal(back.policy_version, policy_version);
    assert.deepEqual(await node.update(update({ seq: 2 })), next);

    const uploads = () => methods.filter((method) => method === "PUT").length;
    const before = uploads();
    await node.load({ policy: "twin", source: state });
    assert.equal(uploads(), before, "the same content travels once");

    const plain = join(folder, "plain");
    await node.save("tiny", plain);
    assert.ok(!existsSync(join(plain, "training_state.json")));
  }));

Deno.test("save replaces a checkpoint here, and no folder that holds anything else", () =>
  withClient(async ({ node, folder }) => {
    const target = join(folder, "saved");
    await node.save("tiny", target);
    await node.save("tiny", `${target}/`);
    assert.deepEqual([...Deno.readDirSync(folder)].map((entry) => entry.name), ["saved"]);
    for (const name of ["saved.writing", "saved.old"]) {
      Deno.mkdirSync(join(folder, name));
      Deno.writeTextFileSync(join(folder, name, "notes.md"), "mine");
      await assert.rejects(node.save("tiny", target), code("conflict", /holds other files/));
      assert.equal(Deno.readTextFileSync(join(folder, name, "notes.md")), "mine");
      Deno.removeSync(join(folder, name), { recursive: true });
    }
  }));

Deno.test("load of a folder survives lost connections on the way", () =>
  withClient(async ({ node, methods }) => {
    const info = await node.load({ policy: "again", source: TINY });
    assert.equal(info.policy_version, (await node.list())[0]!.policy_version);
    assert.ok(methods.filter((method) => method === "PUT").length > 1);
  }, { fault: (k) => k % 2 === 0 ? "lose answer" : null }));

Deno.test("load of a folder that is no checkpoint says so", () =>
  withClient(async ({ node, folder }) => {
    await assert.rejects(
      node.load({ policy: "p", source: folder }),
      code("not_found", /it holds no config.json$/),
    );
    await assert.rejects(
      node.load({ policy: "p", source: join(folder, "missing") }),
      code("not_found", /^Cannot read checkpoint '.*missing': no such file or folder$/),
    );
  }));
