/**
 * Manners of the GPU server: its document, wrong methods, deadlines, a full queue, metrics, health,
 * and an end that lets what is under way be answered.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openHttpNode } from "../../gpu-node/client/http.ts";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { openScheduler, type ScheduledNode } from "../../gpu-node/scheduler.ts";
import { counted, createMetrics, verbOf } from "../../gpu-node/server/metrics.ts";
import { timeoutOf } from "../../gpu-node/server/wait.ts";
import type { GpuNode, SampleOptions, SampleRequest } from "../../gpu-node/verbs.ts";
import { CollmError } from "../../shared/errors.ts";
import { listen } from "../../shared/wire/listen.ts";
import { type GatedNode, gatedNode } from "./gated_node.ts";
import { sequences, type Served, TINY, withServer } from "./served.ts";

interface Context extends Served {
  gate: GatedNode;
  scheduler: ScheduledNode;
}

/** A server over a queue over a gate; `requests` wait at most. */
async function withQueue(test: (context: Context) => Promise<void>, requests = 100) {
  const gate = await gatedNode();
  const scheduler = openScheduler(gate, { requests });
  await withServer((served) => test({ ...served, gate, scheduler }), { node: scheduler });
}

const until = async (holds: () => boolean) => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2));
};
const score = { policy: "tiny", sequences };
const headers = { "content-type": "application/json" };
const post = ({ app }: Context, path: string, body: unknown, more: Record<string, string> = {}) =>
  app.request(path, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { ...headers, ...more },
  });

Deno.test("GET /openapi.json describes every route with the schemas that check it", () =>
  withServer(async ({ app, call }) => {
    const { status, body } = await call("GET", "/openapi.json");
    assert.equal(status, 200);
    assert.equal(body.openapi, "3.1.0");
    const routes = app.routes.filter(({ method, path }) =>
      method !== "ALL" && path !== "/openapi.json"
    ).map(({ method, path }) =>
      `${method} ${path.replace(/\{\.\+\}/, "").replace(/:(\w+)/g, "{$1}")}`
    );
    const described = Object.entries(body.paths as Record<string, object>).flatMap((
      [path, methods],
    ) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
    // Hono lists a route once per handler, and the limit of bodies as a route.
    const real = [...new Set(routes)].filter((route) => !route.endsWith("*")).sort();
    assert.deepEqual(described.sort(), real);
    const update = body.components.schemas.UpdateRequest;
    assert.deepEqual(update.required, ["policy", "seq", "loss", "batch", "optimizer"]);
    assert.equal(update.additionalProperties, false);
    assert.deepEqual(update.properties.loss.enum, [
      "policy_gradient",
      "ppo_clip",
      "value_mse",
      "cross_entropy",
    ]);
  }));

Deno.test("a method that a path does not take is 405 with those it takes", () =>
  withServer(async ({ app }) => {
    for (
      const [method, path, allow] of [
        ["PUT", "/v1/sample", "POST"],
        ["PATCH", "/v1/policies", "POST, GET"],
        ["GET", "/v1/policies/tiny", "DELETE"],
        ["POST", "/health", "GET"],
        ["POST", "/v1/checkpoints/x/files/onnx/model.onnx", "GET, PUT"],
      ] as const
    ) {
      const response = await app.request(path, { method });
      assert.equal(response.status, 405, path);
      assert.equal(response.headers.get("allow"), allow);
      assert.equal((await response.json()).detail, `Cannot ${method} ${path}: it takes ${allow}`);
    }
  }));

Deno.test("POST refuses a body that is not said to be JSON, and one nested too deeply", () =>
  withServer(async ({ app, call }) => {
    const plain = await app.request("/v1/score", { method: "POST", body: JSON.stringify(score) });
    assert.equal(plain.status, 400);
    assert.match((await plain.json()).detail, /content-type must be application\/json/);
    const deep = await call("POST", "/v1/score", "[".repeat(100_000));
    assert.match(deep.body.detail, /nested more than 64 deep$/);
  }));

Deno.test("a request past its deadline is 504 and leaves the queue", () =>
  withQueue(async (context) => {
    const { gate, scheduler } = context;
    gate.shut();
    const running = post(context, "/v1/score", score);
    await until(() => gate.calls.includes("score tiny"));
    const late = await post(context, "/v1/score", score, { "request-timeout": "0.02" });
    assert.equal(late.status, 504);
    const { code, detail } = await late.json();
    assert.equal(code, "deadline");
    assert.equal(detail, "Cannot answer within 0.02 s as asked");
    assert.equal(scheduler.waiting, 0);
    gate.open();
    assert.equal((await running).status, 200);
    assert.equal(
      (await post(context, "/v1/score", score, { "request-timeout": "60" })).status,
      200,
    );
    const wrong = await post(context, "/v1/score", score, { "request-timeout": "soon" });
    assert.equal(wrong.status, 400);
  }));

Deno.test("a deadline holds for every verb while the device is busy, and listing never waits", () =>
  withQueue(async (context) => {
    const { gate, scheduler, app, call } = context;
    gate.shut();
    const running = post(context, "/v1/score", score);
    await until(() => gate.calls.includes("score tiny"));
    const late = { "request-timeout": "0.02" };
    const unload = { method: "DELETE", headers: late };
    const answers = await Promise.all([
      post(context, "/v1/policies", { policy: "other", source: "tiny" }, late),
      post(context, "/v1/checkpoints", { policy: "tiny" }, late),
      app.request("/v1/policies/tiny", unload),
    ]);
    assert.deepEqual(answers.map(({ status }) => status), [504, 504, 504]);
    assert.equal(scheduler.waiting, 0);
    const listed = await call("GET", "/v1/policies");
    assert.deepEqual(listed.body.policies.map((p: { policy: string }) => p.policy), ["tiny"]);
    assert.equal((await call("GET", "/v1/models")).body.data[0].id, "tiny");
    gate.open();
    assert.equal((await running).status, 200);
    assert.deepEqual(gate.calls, ["load tiny", "score tiny"]);
  }));

Deno.test("work that has begun at its deadline goes on, and what became of it is known", () =>
  withQueue(async (context) => {
    const { gate, app, call, root } = context;
    const late = { "request-timeout": "0.02" };
    /** Answers 504 while the device works on it, which then goes on. */
    const begin = async (response: () => Response | Promise<Response>) => {
      gate.shut();
      assert.equal((await response()).status, 504);
      gate.open();
      await call("POST", "/v1/score", score);
    };
    await begin(() => post(context, "/v1/policies", { policy: "other", source: "tiny" }, late));
    const batch = sequences.map((s) => ({ ...s, advantage: 1 }));
    const optimizer = { name: "adamw", learning_rate: 0.01 };
    const update = { policy: "tiny", seq: 1, loss: "policy_gradient", batch, optimizer };
    await begin(() => post(context, "/v1/update", update, late));
    const { policies } = (await call("GET", "/v1/policies")).body;
    assert.deepEqual(policies.map((p: { policy: string }) => p.policy), ["tiny", "other"]);
    assert.match(policies[0].policy_version, /^1-/);
    await begin(() => post(context, "/v1/checkpoints", { policy: "tiny" }, late));
    await until(() => existsSync(join(root, `tiny-${policies[0].policy_version}`)));
    await begin(() => app.request("/v1/policies/other", { method: "DELETE", headers: late }));
    assert.equal((await call("GET", "/v1/models/other")).status, 404);
    assert.equal((await call("GET", "/v1/policies")).body.policies.length, 1);
  }));

Deno.test("timeoutOf reads seconds and refuses everything else", () => {
  assert.equal(timeoutOf(undefined), null);
  assert.equal(timeoutOf("0.5"), 0.5);
  assert.equal(timeoutOf("86400"), 86_400);
  for (const text of ["0", "-1", "", "1e3", "1s", "86401", "Infinity", "9".repeat(50)]) {
    assert.throws(() => timeoutOf(text), /request-timeout is '.{0,40}', expected seconds/, text);
  }
});

Deno.test("a full queue is 429 with Retry-After, and the client asks again by itself", () =>
  withQueue(async (context) => {
    const { gate, scheduler, app } = context;
    const server = listen({ host: "127.0.0.1", port: 0, token: undefined }, app.fetch);
    gate.shut();
    const running = [post(context, "/v1/score", score)];
    await until(() => gate.calls.includes("score tiny"));
    running.push(post(context, "/v1/score", score));
    await until(() => scheduler.waiting === 1);
    const refused = await post(context, "/v1/score", score);
    assert.equal(refused.status, 429);
    assert.equal(refused.headers.get("retry-after"), "1");
    assert.equal((await refused.json()).code, "too_many_requests");
    await assert.rejects(
      openHttpNode(server.url, { retries: 0 }).score("tiny", sequences),
      (error) => error instanceof CollmError && error.code === "too_many_requests",
    );
    const patient = openHttpNode(server.url).score("tiny", sequences);
    gate.open();
    for (const one of running) assert.equal((await one).status, 200);
    assert.equal((await patient).logprobs.length, sequences.length);
    await server.drain();
  }, 1));

Deno.test("drain answers what is under way, refuses what comes with 503, and then ends", () =>
  withQueue(async (context) => {
    const { app, gate } = context;
    gate.shut();
    const running = post(context, "/v1/score", score);
    await until(() => gate.calls.includes("score tiny"));
    let drained = false;
    const draining = app.drain().then(() => drained = true);
    const refused = await post(context, "/v1/score", score);
    assert.equal(refused.status, 503);
    assert.match((await refused.json()).detail, /the server is ending$/);
    assert.equal((await (await app.request("/health")).json()).status, "draining");
    assert.equal(drained, false);
    gate.open();
    assert.equal((await running).status, 200);
    await draining;
  }));

Deno.test("drain waits for the last byte of a stream", async () => {
  const gate = await gatedNode();
  const scheduler = openScheduler(gate);
  await withServer(async (served) => {
    const body = { model: "tiny", prompt: "a", stream: true, max_tokens: 4 };
    const response = await post({ ...served, gate, scheduler }, "/v1/completions", body);
    const draining = served.app.drain();
    assert.match(await response.text(), /data: \[DONE\]\n\n$/);
    await draining;
  }, { node: scheduler, models: { tiny: "models/collm-tiny" } });
});

Deno.test("GET /health tells device, threads, memory, policies and what waits", () =>
  withQueue(async ({ call }) => {
    const { status, body } = await call("GET", "/health");
    assert.equal(status, 200);
    assert.ok(body.memory_bytes > 1e6);
    delete body.memory_bytes;
    assert.deepEqual(body, {
      status: "ok",
      device: "cpu",
      threads: 2,
      cpu_nodes: {},
      policies: ["tiny"],
      waiting: 0,
    });
  }));

Deno.test("GET /metrics counts requests by verb and status, whatever paths are asked for", () =>
  withQueue(async (context) => {
    const { call, app } = context;
    await call("POST", "/v1/score", score);
    await call("POST", "/v1/score", { policy: "no", sequences });
    for (let i = 0; i < 20; i++) await call("GET", `/v1/x${i}`);
    for (let i = 0; i < 20; i++) await call("DELETE", `/v1/policies/x${i}`);
    const response = await app.request("/metrics");
    assert.match(response.headers.get("content-type")!, /^text\/plain/);
    const text = await response.text();
    for (
      const line of [
        'collm_requests_total{verb="score",status="200"} 1',
        'collm_requests_total{verb="score",status="404"} 1',
        'collm_requests_total{verb="other",status="404"} 20',
        'collm_requests_total{verb="policies",status="404"} 20',
        'collm_request_seconds_count{verb="score"} 2',
        "collm_queue_depth 0",
        "collm_policies 1",
      ]
    ) assert.ok(text.includes(`${line}\n`), `${line} is not in\n${text}`);
    assert.match(text, /process_resident_memory_bytes \d{6,}/);
  }));

Deno.test("createMetrics counts batches, tokens, mismatch and restarts", async () => {
  const metrics = await createMetrics({ waiting: () => 3, policies: () => 2 });
  metrics.call({ verb: "sample", requests: 5, rows: 9, waited: [0.002, 0.02], seconds: 0.5 });
  metrics.call({ verb: "update", requests: 1, rows: 1, waited: [0], seconds: 2 });
  metrics.sampled(6);
  metrics.updated({
    loss: 1,
    grad_norm: 1,
    tokens: 7,
    policy_version: "1",
    logprob_mismatch: 5e-4,
  });
  metrics.restarted();
  const text = await metrics.text();
  for (
    const line of [
      'collm_batch_requests_bucket{le="4"} 0',
      'collm_batch_requests_bucket{le="8"} 1',
      "collm_batch_rows_sum 9",
      "collm_queue_seconds_count 3",
      'collm_device_seconds_sum{verb="update"} 2',
      'collm_tokens_total{kind="sampled"} 6',
      'collm_tokens_total{kind="trained"} 7',
      'collm_logprob_mismatch_bucket{le="0.001"} 1',
      'collm_logprob_mismatch_bucket{le="0.0001"} 0',
      "collm_worker_restarts_total 1",
      "collm_queue_depth 3",
    ]
  ) assert.ok(text.includes(`${line}\n`), `${line} is not in\n${text}`);
});

Deno.test("counted counts every token drawn, also those after a stop text and before drawing ended", async () => {
  const kernel = new Kernel(await cpuDevice());
  const drawn: number[] = [];
  const watched: boolean[] = [];
  /** Tells tokens one by one, as a worker does. */
  const dripping: GpuNode = Object.assign(Object.create(kernel), {
    load: kernel.load.bind(kernel),
    async sample(request: SampleRequest, { onTokens, signal }: SampleOptions = {}) {
      watched.push(onTokens !== undefined);
      const whole = await kernel.sample(request);
      for (let at = 0; onTokens && at < request.max_tokens; at++) {
        signal?.throwIfAborted();
        whole.completions.forEach(({ tokens, logprobs }, row) =>
          onTokens(row, tokens.slice(at, at + 1), logprobs.slice(at, at + 1))
        );
      }
      return whole;
    },
  });
  const node = Object.assign(Object.create(dripping), {
    sample: counted(dripping, { sampled: (n) => drawn.push(n), updated() {} }).sample,
  });
  await withServer(async ({ call }) => {
    const ask = { policy: "p", prompts: ["ab"], n: 2, max_tokens: 20, seed: 3, stop_tokens: [] };
    const whole = (await call("POST", "/v1/sample", ask)).body.completions;
    assert.deepEqual([drawn.pop(), watched.pop()], [40, false]);
    // The first row ends early, the second is drawn to its end all the same.
    const [first, second] = whole.map(({ text }: { text: string }) => text);
    const at = [...first].findIndex((_, i) => i > 0 && !second.includes(first.slice(i, i + 3)));
    const one = first.slice(at, at + 3);
    const cut = (await call("POST", "/v1/sample", { ...ask, stop: one })).body.completions;
    assert.ok(cut[0].tokens.length < 20 && cut[1].tokens.length === 20);
    assert.equal(drawn.pop(), 40);
    // Alone, it ends the drawing, with the tokens that hold the stop text.
    const alone = await call("POST", "/v1/sample", { ...ask, n: 1, stop: one });
    assert.equal(drawn.pop(), alone.body.completions[0].tokens.length);
    assert.equal((await call("POST", "/v1/sample", { ...ask, prompts: [[9999]] })).status, 400);
    assert.equal(drawn.pop(), 0);
  }, { node, models: { p: "models/collm-tiny" } });
});

Deno.test("verbOf knows few names", () => {
  assert.equal(verbOf("/v1/sample"), "sample");
  assert.equal(verbOf("/v1/chat/completions"), "chat");
  assert.equal(verbOf("/v1/policies/x"), "policies");
  assert.equal(verbOf("/health"), "health");
  assert.equal(verbOf("/v1/samples"), "other");
  assert.equal(verbOf("/v1/sample?x"), "other");
});

Deno.test("GET /metrics needs the token", () =>
  withServer(async ({ app }) => {
    assert.equal((await app.request("/metrics")).status, 401);
    assert.equal((await app.request("/health")).status, 200);
  }, { token: "secret" }));

Deno.test("counted counts an update once, and none that only gives gradients", async () => {
  const kernel = new Kernel(await cpuDevice());
  let updates = 0;
  const node = counted(kernel, { sampled() {}, updated: () => updates++ });
  await node.load({ policy: "p", source: TINY });
  const update = (seq: number, apply = true) => ({
    ...{ policy: "p", seq, apply, loss: "cross_entropy" as const, batch: sequences },
    optimizer: { name: "adamw" as const, learning_rate: 0.01 },
  });
  for (const seq of [1, 1, 2, 1, 2]) await node.update(update(seq));
  assert.equal(updates, 2);
  await node.update(update(3, false));
  assert.equal(updates, 2);
  // Loaded again it learns the same again.
  await node.load({ policy: "p", source: TINY });
  await node.update(update(1));
  assert.equal(updates, 3);
  await kernel.close();
});
