/**
 * The GPU node over a WebSocket on a real socket: the verbs give what the kernel gives, tokens come
 * as they are drawn, cancelling and lost connections, tokens and pages of other sites refused.
 */
import assert from "node:assert/strict";
import { loadWebSocketClient } from "../../deps.ts";
import { cpuDevice } from "../../gpu-node/device.ts";
import { openNode } from "../../gpu-node/client/open.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { openScheduler } from "../../gpu-node/scheduler.ts";
import type { GpuNode, UpdateRequest } from "../../gpu-node/verbs.ts";
import { CollmError } from "../../shared/errors.ts";
import { MESSAGE_LIMIT } from "../../shared/wire/gpu_socket.ts";
import { listenNode } from "../../shared/wire/listen_node.ts";
import { type Fault, type Line, openLine } from "./broken_line.ts";
import { type GatedNode, gatedNode } from "./gated_node.ts";
import { sequences, type Served, TINY, withServer } from "./served.ts";

interface Context {
  node: GpuNode;
  gate: GatedNode;
  served: Served;
  /** `ws://host:port` of the server, and of a line to it that may break. */
  url: string;
  line: Line;
}

async function withSocket(
  test: (context: Context) => Promise<void>,
  { token, fault = () => null }: { token?: string; fault?: Fault } = {},
): Promise<void> {
  const gate = await gatedNode();
  const guard = token === undefined ? {} : { token };
  await withServer(async (served) => {
    const { drain } = served.app;
    const server = await listenNode(
      { host: "127.0.0.1", port: 0, token, drain, mostMessage: 2 * MESSAGE_LIMIT },
      served.app.fetch,
    );
    const line = openLine(Number(new URL(server.url).port), fault);
    const node = openNode(`ws://127.0.0.1:${line.port}`, guard);
    await test({ node, gate, served, url: server.url.replace("http", "ws"), line });
    await node.close();
    await server.drain();
    await line.close();
  }, { node: openScheduler(gate), ...guard });
}

const ask = {
  policy: "tiny",
  prompts: [[5, 6, 7], [8, 9]],
  seeds: [1, 2 ** 32 - 1],
  max_tokens: 9,
  temperature: 0.7,
  stop_tokens: [3],
};
const update = (seq: number): UpdateRequest => ({
  policy: "tiny",
  seq,
  loss: "policy_gradient",
  batch: sequences.map((s) => ({ ...s, advantage: 1 })),
  optimizer: { name: "adamw", learning_rate: 0.01 },
});
const failure = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof CollmError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};
const until = async (holds: () => boolean) => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2));
};

Deno.test("openNode with ws:// gives for every verb what the kernel gives, many at once", () =>
  withSocket(async ({ node, line }) => {
    const local = new Kernel(await cpuDevice());
    await local.load({ policy: "tiny", source: TINY });
    const verbs: ((n: GpuNode) => Promise<unknown>)[] = [
      (n) => n.score("tiny", sequences),
      (n) => n.values("tiny", sequences.map(({ tokens }) => ({ tokens, read_at: "last" }))),
      (n) => n.sample(ask),
      (n) => n.update(update(1)),
      (n) => n.sample(ask),
    ];
    const expected = [];
    for (const verb of verbs) expected.push(await verb(local));
    assert.deepEqual(await Promise.all(verbs.map((verb) => verb(node))), expected);
    assert.equal(line.count, 1);
    await node.load({ policy: "more", source: "tiny", value_head: { seed: 5 } });
    assert.deepEqual((await node.list()).map((p) => p.policy), ["tiny", "more"]);
    await node.unload("more");
    assert.equal((await node.health()).device, "cpu");
  }));

Deno.test("sample over a WebSocket tells the tokens of the answer, in order", () =>
  withSocket(async ({ node }) => {
    const told = ask.prompts.map((): { tokens: number[]; logprobs: number[] } => ({
      tokens: [],
      logprobs: [],
    }));
    const { completions } = await node.sample(ask, {
      onTokens(row, tokens, logprobs) {
        told[row]!.tokens.push(...tokens);
        told[row]!.logprobs.push(...logprobs);
      },
    });
    assert.deepEqual(
      told,
      completions.map(({ tokens, logprobs }) => ({ tokens, logprobs })),
    );
  }));

Deno.test("a call over a WebSocket that is given up leaves the queue", () =>
  withSocket(async ({ node, gate }) => {
    gate.shut();
    const running = node.score("tiny", sequences);
    await until(() => gate.calls.at(-1) === "score tiny");
    const reason = new Error("enough");
    const gone = new AbortController();
    const dropped = assert.rejects(
      node.sample(ask, { signal: gone.signal }),
      (error) => error === reason,
    );
    // Its turn in the queue is before this one's.
    const kept = node.values("tiny", []);
    await node.list();
    gone.abort(reason);
    await dropped;
    // One connection: what was sent before this answer has come.
    await node.list();
    gate.open();
    await Promise.all([running, kept]);
    assert.deepEqual(gate.calls.slice(-2), ["score tiny", "values tiny"]);
  }));

Deno.test("calls over a WebSocket throw the server's own errors", () =>
  withSocket(async ({ node }) => {
    await assert.rejects(
      node.score("tyni", sequences),
      failure("not_found", /^Cannot find policy 'tyni'/),
    );
    await assert.rejects(
      node.sample({ ...ask, prompts: [[97]], seeds: [1] }),
      failure("invalid_request", /token 97 is outside its vocabulary of 97$/),
    );
    await node.update(update(1));
    await assert.rejects(
      node.update({ ...update(1), max_grad_norm: 2 }),
      failure("conflict", /seq 1 was used for another payload$/),
    );
  }));

Deno.test("a WebSocket that loses its connection is opened again, and an update is applied once", () =>
  withSocket(async ({ node, line }) => {
    const result = await node.update(update(1));
    assert.match(result.policy_version, /^1-/);
    assert.equal(line.count, 3);
    assert.equal((await node.list())[0]!.policy_version, result.policy_version);
  }, { fault: (k) => k < 2 ? "lose answer" : null }));

Deno.test("a WebSocket that can never be opened is given up with one clear sentence", () =>
  withSocket(async ({ line }) => {
    const node = openNode(`ws://127.0.0.1:${line.port}`, { retries: 1 });
    await assert.rejects(node.list(), failure("unavailable", /^Cannot reach ws:\/\/.*\/v1\/ws: /));
    assert.equal(line.count, 2);
    await node.close();
  }, { fault: () => "lose request" }));

Deno.test("a WebSocket needs the token before it opens", () =>
  withSocket(async ({ node, url }) => {
    assert.equal((await node.list()).length, 1);
    for (const [options, why] of [[{}, "missing"], [{ token: "guess" }, "wrong"]] as const) {
      const other = openNode(url, options);
      await assert.rejects(
        other.list(),
        failure("unauthorized", new RegExp(`its bearer token is ${why}$`)),
      );
      await other.close();
    }
  }, { token: "secret" }));

/** A bare connection: what it is told, and how it ends. */
async function bare(url: string, headers: Record<string, string> = {}) {
  const { WebSocket } = await loadWebSocketClient();
  const socket = new WebSocket(`${url}/v1/ws`, { headers });
  // deno-lint-ignore no-explicit-any
  const heard: any[] = [];
  const closed = new Promise<number>((resolve) => socket.on("close", resolve));
  socket.on("message", (data) => heard.push(JSON.parse(String(data))));
  const status = await new Promise<number>((resolve) => {
    socket.on("open", () => resolve(101));
    socket.on("unexpected-response", (_, response) => resolve(response.statusCode ?? 0));
    socket.on("error", () => {});
  });
  return { socket, heard, closed, status };
}

Deno.test("GET /v1/ws refuses a page of another site, and a request that is no upgrade", () =>
  withSocket(async ({ url, served }) => {
    const { host } = new URL(url);
    const own = await bare(url, { origin: `http://${host}` });
    assert.equal(own.status, 101);
    own.socket.close();
    const other = await bare(url, { origin: "http://evil.example" });
    assert.equal(other.status, 403);
    other.socket.terminate();
    const { status, body } = await served.call("GET", "/v1/ws");
    assert.equal(status, 400);
    assert.equal(body.detail, "Cannot open socket: the request is no WebSocket upgrade");
  }));

Deno.test("messages that cannot be read are refused under their id, and the next is answered", () =>
  withSocket(async ({ url }) => {
    const { socket, heard, closed } = await bare(url);
    const wrong: [unknown, number | null, RegExp][] = [
      ["{", null, /^Cannot read the message: its body is not valid JSON$/],
      [[], null, /^Cannot read the message: the body is a list of 0, expected an object$/],
      [{ verb: "list" }, null, /'id' is missing/],
      [{ id: 1, verb: "lst" }, 1, /'verb' is "lst"/],
      [{ id: 2, verb: "score", policy: "tiny", sequence: [] }, 2, /unknown field 'sequence'/],
      [{ id: 3, verb: "list", timeout: -1 }, 3, /'timeout' is -1/],
      [{ id: 4, verb: "unload", policy: "none" }, 4, /^Cannot find policy 'none'/],
    ];
    for (const [message] of wrong) {
      socket.send(typeof message === "string" ? message : JSON.stringify(message));
    }
    socket.send(new Uint8Array([1, 2, 3]));
    socket.send(JSON.stringify({ id: 5, verb: "list" }));
    await until(() => heard.length === wrong.length + 2);
    for (const [message, id, detail] of wrong) {
      const reply = heard.find((r) => r.error?.detail.match(detail));
      assert.equal(reply?.id, id, `${JSON.stringify(message)}: ${JSON.stringify(heard)}`);
    }
    assert.deepEqual(heard.find((r) => r.id === 5).result.policies.length, 1);
    socket.close();
    await closed;
  }));

Deno.test("a message that is too large is refused, on either side, and the next is answered", () =>
  withSocket(async ({ url, node }) => {
    const { socket, heard, closed } = await bare(url);
    socket.send("x".repeat(MESSAGE_LIMIT + 1));
    socket.send(JSON.stringify({ id: 1, verb: "list" }));
    await until(() => heard.length === 2);
    assert.equal(heard[0].error.status, 413);
    const text = "Cannot read the message: it has 33554433 bytes, at most 33554432 are taken";
    assert.equal(heard[0].error.detail, text);
    assert.equal(heard[1].id, 1);
    socket.close();
    await closed;
    const long = { policy: "x".repeat(MESSAGE_LIMIT), sequences: [] };
    await assert.rejects(
      node.score(long.policy, long.sequences),
      failure("payload_too_large", /^Cannot read the message: it has 335\d+ bytes/),
    );
    assert.equal((await node.list()).length, 1);
  }));

Deno.test("a WebSocket request past its deadline is answered with 504, and a closed connection drops its own", () =>
  withSocket(async ({ url, gate, node }) => {
    gate.shut();
    const running = node.score("tiny", sequences);
    await until(() => gate.calls.at(-1) === "score tiny");
    const { socket, heard, closed } = await bare(url);
    socket.send(
      JSON.stringify({ id: 1, verb: "values", timeout: 0.01, policy: "tiny", sequences: [] }),
    );
    await until(() => heard.length === 1);
    assert.equal(heard[0].error.code, "deadline");
    assert.equal(heard[0].error.detail, "Cannot answer within 0.01 s as asked");
    socket.send(JSON.stringify({ id: 2, verb: "values", policy: "tiny", sequences: [] }));
    socket.send(JSON.stringify({ id: 2, verb: "list" }));
    await until(() => heard.length === 2);
    assert.match(heard[1].error.detail, /a request with id 2 is under way$/);
    socket.close();
    await closed;
    await node.health();
    gate.open();
    await running;
    await node.score("tiny", []);
    assert.deepEqual(gate.calls.slice(-2), ["score tiny", "score tiny"]);
  }));

Deno.test("a server that ends answers what a WebSocket asked, and then closes it", () =>
  withSocket(async ({ url, gate, served }) => {
    gate.shut();
    const { socket, heard, closed } = await bare(url);
    socket.send(JSON.stringify({ id: 1, verb: "values", policy: "tiny", sequences: [] }));
    await until(() => gate.calls.at(-1) === "values tiny");
    const drained = served.app.drain();
    socket.send(JSON.stringify({ id: 2, verb: "list" }));
    await until(() => heard.length === 1);
    assert.equal(heard[0].error.code, "unavailable");
    gate.open();
    assert.equal(await closed, 1001);
    assert.deepEqual(heard[1].result.values, []);
    await drained;
  }));
