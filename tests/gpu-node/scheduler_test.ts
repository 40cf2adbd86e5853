/**
 * Order and bounds of the queue in front of the device, on the real kernel: batches, barriers,
 * a full queue, requests given up.
 */
import assert from "node:assert/strict";
import { type DeviceCall, openScheduler, type SchedulerOptions } from "../../gpu-node/scheduler.ts";
import type { SampleRequest, UpdateRequest } from "../../gpu-node/verbs.ts";
import { CollmError } from "../../shared/errors.ts";
import { gatedNode } from "./gated_node.ts";
import { sequences, TINY } from "./served.ts";

/** A scheduler over a shut gate, with two policies that share a base and one that does not. */
async function scheduled(options: SchedulerOptions = {}) {
  const node = await gatedNode();
  const device: DeviceCall[] = [];
  const scheduler = openScheduler(node, { onCall: (call) => device.push(call), ...options });
  const lora = { rank: 2, alpha: 4 };
  await scheduler.load({ policy: "a", source: TINY, lora });
  await scheduler.load({ policy: "b", source: TINY, lora });
  await scheduler.load({ policy: "c", source: TINY });
  await begun();
  node.calls.length = device.length = 0;
  node.shut();
  return { node, scheduler, device };
}

const ask = (policy: string, seed = 1): SampleRequest => ({
  policy,
  prompts: [[5, 6, 7]],
  seeds: [seed],
  max_tokens: 6,
  temperature: 1,
  stop_tokens: [],
});
const update = (policy: string, seq: number): UpdateRequest => ({
  policy,
  seq,
  loss: "policy_gradient",
  batch: sequences.map((s) => ({ ...s, advantage: 1 })),
  optimizer: { name: "adamw", learning_rate: 0.05 },
});
/** After it the device works on what came first. */
const begun = () => new Promise((resolve) => setTimeout(resolve));
const code = (expected: string) => (error: unknown) =>
  error instanceof CollmError && error.code === expected;

Deno.test("openScheduler runs requests that wait for one base as one batch, in order of arrival", async () => {
  const { node, scheduler, device } = await scheduled();
  const all = ["a", "b", "c", "a", "b", "c"].map((policy, i) => scheduler.sample(ask(policy, i)));
  assert.equal(scheduler.waiting, 6);
  await begun();
  assert.equal(scheduler.waiting, 2);
  const late = scheduler.sample(ask("a"));
  node.open();
  await late;
  await begun();
  const together = await Promise.all(all);
  assert.deepEqual(node.calls, ["sample a b a b", "sample c c", "sample a"]);
  assert.deepEqual(device.map((call) => [call.verb, call.requests, call.rows]), [
    ["sample", 4, 4],
    ["sample", 2, 2],
    ["sample", 1, 1],
  ]);
  for (const [i, policy] of ["a", "b", "c", "a", "b", "c"].entries()) {
    assert.deepEqual(await scheduler.sample(ask(policy, i)), together[i]);
  }
});

Deno.test("a write is a barrier for its policy and for no other", async () => {
  const { node, scheduler } = await scheduled();
  const first = scheduler.score("c", sequences);
  const before = scheduler.sample(ask("a"));
  const write = scheduler.update(update("a", 1));
  const other = scheduler.sample(ask("b"));
  const after = scheduler.sample(ask("a"));
  node.open();
  const versions = await Promise.all(
    [before, write, after].map(async (x) => (await x).policy_version),
  );
  await first;
  await other;
  assert.deepEqual(node.calls, ["score c", "sample a b", "update a", "sample a"]);
  assert.notEqual(versions[0], versions[1]);
  assert.equal(versions[1], versions[2]);
});

Deno.test("load and unload are barriers too", async () => {
  const { node, scheduler } = await scheduled();
  const first = scheduler.score("c", sequences);
  const before = scheduler.sample(ask("a"));
  const gone = scheduler.unload("a");
  const after = assert.rejects(scheduler.sample(ask("a")), code("not_found"));
  const back = scheduler.load({ policy: "a", source: TINY });
  const again = scheduler.sample(ask("a"));
  node.open();
  await Promise.all([first, before, gone, after, back, again]);
  assert.deepEqual(node.calls.slice(1), ["sample a", "unload a", "sample a", "load a", "sample a"]);
});

Deno.test("a batch has at most as many rows as it may, unless one request has more", async () => {
  const { node, scheduler } = await scheduled({ rows: 3 });
  const first = scheduler.score("c", sequences);
  const wide = { ...ask("a"), prompts: [[5], [6]], seeds: [1, 2] };
  const huge = { ...ask("a"), prompts: [[5], [6], [7], [8]], seeds: [1, 2, 3, 4] };
  const all = [wide, wide, ask("b"), huge].map((request) => scheduler.sample(request));
  node.open();
  await Promise.all([first, ...all]);
  assert.deepEqual(node.calls.slice(1), ["sample a b", "sample a", "sample a"]);
});

Deno.test("a request that fails in a batch fails alone", async () => {
  const { node, scheduler } = await scheduled();
  const first = scheduler.score("c", sequences);
  const wrong = assert.rejects(
    scheduler.sample({ ...ask("a"), prompts: [[1e6]] }),
    code("invalid_request"),
  );
  const right = scheduler.sample(ask("a"));
  node.open();
  await Promise.all([first, wrong]);
  assert.equal((await right).completions[0]!.tokens.length, 6);
  assert.equal(node.calls.at(-1), "sample a a");
});

Deno.test("a full queue refuses with too_many_requests and takes more when it has room", async () => {
  const { node, scheduler } = await scheduled({ requests: 2 });
  const running = scheduler.score("c", sequences);
  await begun();
  const taken = [1, 2].map((seed) => scheduler.sample(ask("a", seed)));
  await assert.rejects(scheduler.sample(ask("a")), (error: Error) => {
    assert.equal(error.message, "Cannot sample policy 'a': 2 requests wait already");
    return code("too_many_requests")(error);
  });
  await assert.rejects(scheduler.update(update("c", 1)), code("too_many_requests"));
  node.open();
  await Promise.all([running, ...taken]);
  await scheduler.sample(ask("a"));
});

Deno.test("a queue is full of a few large requests as of many small ones", async () => {
  const { node, scheduler } = await scheduled({ numbers: 10 });
  const taken = [1, 2, 3].map((seed) => scheduler.sample(ask("a", seed)));
  await assert.rejects(scheduler.sample(ask("a")), code("too_many_requests"));
  node.open();
  await Promise.all(taken);
  await scheduler.sample(ask("a"));
});

Deno.test("a request that is given up leaves the queue, and the device never sees it", async () => {
  const { node, scheduler } = await scheduled();
  const first = scheduler.score("c", sequences);
  const reason = new CollmError("deadline", "Cannot wait longer");
  const gone = new AbortController();
  const all = [
    scheduler.sample(ask("a"), { signal: gone.signal }),
    scheduler.update(update("a", 1), { signal: gone.signal }),
    scheduler.values("a", [], { signal: gone.signal }),
    scheduler.score("a", [], { signal: gone.signal }),
  ];
  const kept = scheduler.sample(ask("a"));
  gone.abort(reason);
  for (const one of all) await assert.rejects(one, (error) => error === reason);
  await assert.rejects(
    scheduler.sample(ask("a"), { signal: gone.signal }),
    (error) => error === reason,
  );
  assert.equal(scheduler.waiting, 1);
  node.open();
  await Promise.all([first, kept]);
  assert.deepEqual(node.calls, ["score c", "sample a"]);
});

Deno.test("an update under way that is given up is applied, and its seq answers with it", async () => {
  const { node, scheduler } = await scheduled();
  const gone = new AbortController();
  const write = scheduler.update(update("a", 1), { signal: gone.signal });
  await begun();
  gone.abort(new CollmError("deadline", "Cannot wait longer"));
  node.open();
  const again = await scheduler.update(update("a", 1));
  assert.deepEqual(await write, again);
  assert.match(again.policy_version, /^1-/);
  assert.equal((await scheduler.score("a", [])).policy_version, again.policy_version);
});

Deno.test("clients that come back after a batch share the next one", async () => {
  const { node, scheduler, device } = await scheduled();
  const client = async (seed: number) => {
    for (let k = 0; k < 6; k++) await scheduler.sample({ ...ask("a", seed), max_tokens: 64 });
  };
  const clients = [client(0)];
  await begun();
  for (let seed = 1; seed < 8; seed++) clients.push(client(seed));
  node.open();
  await Promise.all(clients);
  await begun();
  assert.deepEqual(device.map((call) => call.requests), [1, 8, 8, 8, 8, 8, 7]);
});

Deno.test("clients that come back one after another, long after a batch, share the next one", async () => {
  const { node, scheduler, device } = await scheduled();
  const sample = (seed: number) => scheduler.sample({ ...ask("a", seed), max_tokens: 64 });
  const alone = sample(0);
  await begun();
  const together = Array.from({ length: 8 }, (_, seed) => sample(seed));
  node.open();
  await Promise.all([alone, ...together]);
  // Longer than a part of what a batch of so few tokens takes.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const back = Array.from({ length: 8 }, async (_, seed) => {
    for (let turns = 0; turns < 10 * seed; turns++) await null;
    await sample(seed);
  });
  await Promise.all(back);
  await begun();
  assert.deepEqual(device.map((call) => call.requests), [1, 8, 8]);
});

Deno.test("a request that is too large for any queue is refused as such; copies of a prompt count once", async () => {
  const { node, scheduler } = await scheduled({ numbers: 10 });
  node.open();
  const prompt = [5, 6, 7];
  const copies = (count: number) => ({
    ...ask("a"),
    prompts: Array.from({ length: count }, () => prompt),
    seeds: Array.from({ length: count }, (_, i) => i),
  });
  assert.equal((await scheduler.sample(copies(9))).completions.length, 9);
  const large = { ...ask("a"), prompts: [Array.from({ length: 11 }, () => 5)] };
  await assert.rejects(scheduler.sample(large), (error: Error) => {
    const why = "the request holds 11 numbers, at most 10 are taken";
    assert.equal(error.message, `Cannot sample policy 'a': ${why}`);
    return code("payload_too_large")(error);
  });
});
