/**
 * Lists of steps and scores: a line for each, bad ones among good ones, sizes, and callers that
 * go away.
 */
import assert from "node:assert/strict";
import { ABREAST } from "../../routes/environment_batches.ts";
import { defineEnvironment } from "../../shared/environments/define.ts";
import type { Environment, StepResult } from "../../shared/environments/environment.ts";
import { createEnvironment } from "../../shared/environments/registry.ts";
import { createRelay } from "../support/relay.ts";
import { assertProblem, replica, type TestEdge } from "./edge.ts";

interface Line {
  index: number;
  // deno-lint-ignore no-explicit-any -- tests look into any answer
  result?: any;
  error?: { code: string; detail: string };
}

/** Lines of an answer in the order of their requests. */
async function lines(app: TestEdge["app"], path: string, list: unknown): Promise<Line[]> {
  const response = await app.request(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(list),
  });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "application/x-ndjson");
  const text = await response.text();
  assert.ok(text.endsWith("\n"));
  const found = text.trimEnd().split("\n").map((line) => JSON.parse(line) as Line);
  return found.sort((a, b) => a.index - b.index);
}

const empty = { agent_1: "", agent_2: "" };

Deno.test("POST steps takes 1,024 steps, and bad ones among them fail alone", async () => {
  const { app, post } = await replica();
  const path = "/v1/environments/str_build";
  const { json } = await post(`${path}/reset`, { task: { word: "A" }, options: { turns: 2 } });
  const good = { state: json.state, actions: { ...empty, agent_1: "/setblock 0 0 0 stone" } };
  const bad = new Map<number, [request: unknown, code: string, detail: RegExp]>([
    [0, [3, "invalid_request", /^Cannot read the request: the body is 3, expected an object$/]],
    [7, [{ ...good, state: "x" }, "forbidden", /state is not a token of this edge/]],
    [500, [{ ...good, actoins: 1 }, "invalid_request", /did you mean 'actions'\?$/]],
    [1023, [{ ...good, actions: {} }, "invalid_request", /agent 'agent_1' needs a text/]],
  ]);
  const list = Array.from({ length: 1024 }, (_, i) => bad.get(i)?.[0] ?? good);
  const single = await post(`${path}/step`, good);
  const found = await lines(app, `${path}/steps`, list);
  assert.equal(found.length, 1024);
  found.forEach((line, i) => {
    assert.equal(line.index, i);
    const expected = bad.get(i);
    if (!expected) return assert.deepEqual(line.result, single.json);
    assert.equal(line.error?.code, expected[1]);
    assert.match(line.error!.detail, expected[2]);
  });
  assertProblem(
    await post(`${path}/steps`, [...list, good]),
    "invalid_request",
    400,
    "Cannot read the body: the body is a list of 1025, expected at most 1024 entries",
  );
  assertProblem(await post(`${path}/steps`, []), "invalid_request", 400, /at least 1 entries$/);
  assertProblem(await post("/v1/environments/x/steps", [good]), "not_found", 404, /'x'/);
});

Deno.test("POST scores takes the inline task of every environment, with options of its own", async () => {
  const { app } = await replica();
  const [function_, check] = [
    "def f(x):\n    return x + 1",
    "def check(candidate):\n    assert candidate(1) == 2",
  ];
  const coding = { prompt: function_, test: check, entry_point: "f" };
  const box = { local_bbox_from: [0, 0, 0], local_bbox_to: [2, 1, 1] };
  const layers_by_y = { 0: ["CCC", "CAC"], 1: ["AAA", "AAA"] };
  const house = { ...box, inventory: { C: "white_concrete", A: "air" }, layers_by_y };
  const more = { max_commands: 10, limited_resource: true, player_hp: 5, spider_attacks: [3, 1] };
  const cases: [id: string, task: unknown][] = [
    ["str_build", { word: "LLM", max_commands: 20 }],
    ["house_build", { id: "house_build_0101" }],
    ["house_build", { ...house, ...more }],
    ["tldr", { post: "A post about a cat" }],
    ["arxiv", { abstract: "We prove a theorem" }],
    ["humaneval", coding],
    ["coophumaneval", coding],
    ["mbpp", coding],
    ["bridge_build", createEnvironment("bridge_build").item("eval", 0).task],
    ["resource_gathering", createEnvironment("resource_gathering").item("eval", 0).task],
  ];
  for (const [id, task] of cases) {
    const environment: Environment = createEnvironment(id);
    const compat = Object.hasOwn(environment.options, "compat") ? { compat: "reference" } : {};
    const list = [{ task, actions: empty }, { task, actions: empty, options: compat }];
    const found = await lines(app, `/v1/environments/${id}/scores`, list);
    for (const [i, options] of [{}, compat].entries()) {
      const own: Environment = createEnvironment(id, options);
      const expected = await own.score(own.task(task).task, empty);
      assert.deepEqual(found[i]!.result, JSON.parse(JSON.stringify(expected)), `${id} ${i}`);
    }
  }
});

Deno.test("a state that was given is taken back, alone and in a list, or it is not given", async () => {
  const { create } = defineEnvironment<{ text: string }, string>({
    ...{ id: "long", turns: 9, rewardRange: [0, 1], items: { train: [{ text: "" }] } },
    readTask: ({ text }) => ({ text: String(text) }),
    start: ({ text }) => text,
    prompt: ({ turn }) => `${turn}`,
    step: ({ state }) => ({ reward: 1, state: state + state }),
  });
  const { app, post } = await replica("secret", (_id, options) => create(options));
  const path = "/v1/environments/long";
  const task = { text: "x".repeat(2 ** 20 - 100) };
  const { status, json } = await post(`${path}/reset`, { task });
  assert.equal(status, 200);
  assert.ok(json.state.length > 2.5 * 2 ** 20);
  const actions = { agent_1: "a".repeat(2 ** 18), agent_2: "" };
  const over = "Cannot give the state of environment 'long': with its task it has ";
  const refused = await post(`${path}/step`, { state: json.state, actions });
  assertProblem(refused, "payload_too_large", 413, new RegExp(`^${over}\\d+ bytes, more than `));
  const small = (await post(`${path}/reset`, { task: { text: "x".repeat(2 ** 19) } })).json;
  const request = { state: small.state, actions };
  const alone = await post(`${path}/step`, request);
  assert.equal(alone.status, 200);
  assert.ok(alone.json.state.length > 2 * 2 ** 20);
  const [again] = await lines(app, `${path}/steps`, [request]);
  assert.deepEqual(again!.result, alone.json);
  const [next] = await lines(app, `${path}/steps`, [{ state: alone.json.state, actions }]);
  assert.ok(next!.result.state.length > 3 * 2 ** 20);
  const [last] = await lines(app, `${path}/steps`, [{ state: next!.result.state, actions }]);
  assert.equal(last!.error?.code, "payload_too_large");
  const most = {
    state: next!.result.state,
    actions: { agent_1: "a".repeat(2 ** 20), agent_2: "" },
  };
  assertProblem(await post(`${path}/step`, most), "payload_too_large", 413, /^Cannot give the/);
});

Deno.test("POST steps answers what is done before what is slow, and begins nothing for nobody", async () => {
  const gate = Promise.withResolvers<void>();
  let begun = 0;
  const relay = createRelay() as Environment;
  const slow: Environment = {
    ...relay,
    async step(task, state, actions) {
      begun++;
      if (actions["left"] === "wait") await gate.promise;
      return await relay.step(task, state, actions);
    },
  };
  const { app, post } = await replica("secret", () => slow);
  const path = "/v1/environments/relay";
  const { state } = (await post(`${path}/reset`, { task: { word: "a" } })).json;
  const request = (left: string) => ({ state, actions: { left, right: "" } });
  const send = (list: unknown) =>
    app.request(`${path}/steps`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(list),
    });
  const all = [request("wait"), ...Array.from({ length: 99 }, () => request("now"))];
  const whole = await send(all);
  const reader = whole.body!.pipeThrough(new TextDecoderStream()).getReader();
  gate.resolve();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
  const order = text.trimEnd().split("\n").map((line) => JSON.parse(line).index as number);
  assert.deepEqual(order.toSorted((a, b) => a - b), all.map((_, i) => i));
  assert.notEqual(order[0], 0, "the slow one is not waited for");

  begun = 0;
  const never = Promise.withResolvers<void>();
  slow.step = async (task, state, actions) => {
    begun++;
    await never.promise;
    return await relay.step(task, state, actions);
  };
  const left = await send(all);
  await left.body!.cancel();
  never.resolve();
  await new Promise((resume) => setTimeout(resume));
  assert.equal(begun, ABREAST, "the others are not begun");
});

Deno.test("POST steps lets others have their turn, and waits for its reader", async () => {
  const relay = createRelay() as Environment;
  let begun = 0;
  const busy: Environment = {
    ...relay,
    step(task, state, actions) {
      begun++;
      const end = performance.now() + 5;
      while (performance.now() < end);
      const result = relay.step(task, state, actions) as StepResult<unknown>;
      return { ...result, infos: { left: { text: "x".repeat(2 ** 17) }, right: {} } };
    },
  };
  const { app, post } = await replica("secret", () => busy);
  const path = "/v1/environments/relay";
  const { state } = (await post(`${path}/reset`, { task: { word: "a" } })).json;
  const answer = await app.request(`${path}/steps`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(
      Array.from({ length: 200 }, () => ({ state, actions: { left: "", right: "" } })),
    ),
  });
  // A slice is some 10 ms, so that timers run often while 200 steps of 5 ms are taken.
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const reader = answer.body!.getReader();
  await reader.read();
  // Steps stop, however slow the machine is, long before all are taken.
  let unread: number;
  do {
    unread = begun;
    await new Promise((resume) => setTimeout(resume, 200));
  } while (begun !== unread);
  assert.ok(unread < 100, `${unread} steps were taken for nobody`);
  const before = ticks;
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    bytes += part.value.length;
  }
  clearInterval(timer);
  assert.equal(begun, 200);
  assert.ok(bytes > 190 * 2 ** 17);
  assert.ok(ticks - before > 20, `${ticks - before} ticks`);
});
