/** Listing of items and data sets: pages, ends, splits without end, wrong queries. */
import assert from "node:assert/strict";
import { registerDataSet } from "../../shared/environments/data/data_set.ts";
import { defineEnvironment } from "../../shared/environments/define.ts";
import { RemoteEnvironment } from "../../shared/environments/remote.ts";
import { itemPage } from "../../shared/wire/environment_items.ts";
import { createEnvironment, registerEnvironment } from "../../shared/environments/registry.ts";
import { assertProblem, replica, withEdge } from "./edge.ts";

Deno.test("GET items pages through a split, and its ids and tasks are those of the split", async () => {
  const { get } = await replica();
  const path = "/v1/environments/str_build/splits/paper/items";
  const environment = createEnvironment("str_build");
  const found = [];
  for (let first: number | null = 0, pages = 0; first !== null; pages++) {
    const { status, json } = await get(`${path}?limit=4&first=${first}`);
    assert.equal(status, 200);
    assert.ok(pages < 3);
    assert.deepEqual([json.environment, json.split, json.size], ["str_build", "paper", 10]);
    found.push(...json.items);
    first = json.next;
  }
  const expected = Array.from({ length: 10 }, (_, index) => (
    { index, ...environment.item("paper", index) }
  ));
  assert.deepEqual(found, expected);
  assert.deepEqual((await get(`${path}?first=10`)).json.items, []);
});

Deno.test("GET items ends where a split ends, also one that tells no size", async () => {
  const few = defineEnvironment({
    ...{ id: "few", rewardRange: [0, 1], prompt: () => "", step: () => 0 },
    items: {
      train: (index): unknown => index < 5 ? `task ${index}` : undefined,
      eval: [3, "three", null, [3], { n: 3 }],
    },
  });
  const { get } = await replica(
    "secret",
    (id, options) => id === "few" ? few.create(options) : createEnvironment(id, options),
  );
  const page = async (path: string) => (await get(`/v1/environments/${path}`)).json;
  const last = await page("few/splits/train/items?first=3&limit=4");
  assert.deepEqual([last.size, last.next], [null, null]);
  assert.deepEqual(last.items.map(({ task }: { task: unknown }) => task), ["task 3", "task 4"]);
  assert.deepEqual((await page("few/splits/train/items?first=9")).items, []);
  const any = await page("few/splits/eval/items");
  assert.deepEqual(any.items.map(({ task }: { task: unknown }) => task), [
    ...[3, "three", null, [3]],
    { n: 3 },
  ]);

  const most = Number.MAX_SAFE_INTEGER;
  const endless = await page(`str_build/splits/train/items?first=${most - 2}&limit=4`);
  assert.deepEqual([endless.items.length, endless.next], [2, null]);
  const { size } = await page("house_build/splits/train/items?limit=1");
  assert.equal(size, 57_600_000);
  const houses = await page(`house_build/splits/train/items?first=${size - 1}&limit=4`);
  assert.deepEqual([houses.items.length, houses.next], [1, null]);
});

Deno.test("tasks of any JSON value are listed, read by another edge's client and played in the store", async () => {
  const tasks: unknown[] = [3, "three", null, [3], { n: 3 }, false];
  const { create } = defineEnvironment<unknown>({
    ...{ id: "any", rewardRange: [0, 9], turns: 1, items: { train: tasks } },
    prompt: ({ task }) => JSON.stringify(task),
    step: ({ task }) => tasks.indexOf(task) + 1,
  });
  registerEnvironment("any", create);
  await withEdge(async ({ app, get, post }) => {
    const listed = itemPage.parse((await get("/v1/environments/any/splits/train/items")).json);
    assert.deepEqual(listed.items.map(({ task }) => task), tasks);
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, app.fetch);
    try {
      const url = `http://127.0.0.1:${server.addr.port}/v1/environments/any`;
      const remote = new RemoteEnvironment(url, "any", {});
      await remote.describe({});
      const there = remote.create({});
      for (const [index, task] of tasks.entries()) {
        const { observations } = await there.reset(there.item("train", index).task, 0);
        assert.equal(observations["agent_1"]!.text, JSON.stringify(task));
        const episode = { environment: "any", task: `any_train_${index}`, id: `e${index}` };
        const opened = await post("/v1/episodes", episode);
        assert.equal(opened.status, 201, JSON.stringify(opened.json));
        const { json } = await get(`/v1/episodes/e${index}`);
        assert.deepEqual(json.task, task);
      }
    } finally {
      await server.shutdown();
    }
  });
});

Deno.test("GET items gives a page of a split without end, with options", async () => {
  const { get } = await replica();
  const options = encodeURIComponent(JSON.stringify({ max_commands: 7 }));
  const path = "/v1/environments/str_build/splits/train/items";
  const { json } = await get(`${path}?first=5&limit=2&options=${options}`);
  const environment = createEnvironment("str_build", { max_commands: 7 });
  assert.equal(json.size, null);
  assert.equal(json.next, 7);
  assert.deepEqual(json.items.map(({ task }: { task: unknown }) => task), [
    environment.item("train", 5).task,
    environment.item("train", 6).task,
  ]);
});

Deno.test("GET items refuses unknown splits and bad queries with one sentence", async () => {
  const { get } = await replica();
  const path = "/v1/environments/str_build/splits";
  assertProblem(
    await get(`${path}/evl/items`),
    "not_found",
    404,
    "Cannot list split 'evl' of 'str_build', did you mean 'eval'?",
  );
  const refusals = [
    ["limit=0", /'limit' is "?0"?, expected at least 1$/],
    ["limit=2000", /'limit' is "?2000"?, expected at most 1024$/],
    ["first=x", /'first' is "x", expected/],
    ["first=", /'first' is "", expected a whole number in digits$/],
    ["first=0x10", /'first' is "0x10", expected a whole number in digits$/],
    ["first=1e3", /'first' is "1e3", expected a whole number in digits$/],
    ["first=-1", /'first' is "-1", expected a whole number in digits$/],
    ["first=9007199254740992", /'first' is "9007199254740992", expected/],
    ["options={", /'options' is "\{", expected JSON$/],
    ["options=[]", /'options' is/],
    ['options={"__proto__":{"turns":1}}', /^Cannot read the query: unknown field '__proto__'$/],
    ["frist=1", /unknown field 'frist', did you mean 'first'\?$/],
  ] as const;
  for (const [query, detail] of refusals) {
    assertProblem(await get(`${path}/eval/items?${query}`), "invalid_request", 400, detail);
  }
});

Deno.test("GET /v1/datasets names the registered data sets", async () => {
  const { get } = await replica();
  registerDataSet({ name: "listed", splits: { train: [{ prompt: "a" }, { prompt: "b" }] } });
  const { json } = await get("/v1/datasets");
  assert.deepEqual(json.data_sets.filter(({ name }: { name: string }) => name === "listed"), [
    { name: "listed", splits: [{ name: "train", rows: 2 }] },
  ]);
});

Deno.test("GET /v1/environments/:id shows the splits of a data set chosen by options", async () => {
  const { get } = await replica();
  const prompts = Array.from({ length: 3 }, (_, i) => ({ prompt: `Post ${i}` }));
  registerDataSet({ name: "three", splits: { train: prompts } });
  const options = encodeURIComponent(JSON.stringify({ data: "three" }));
  const { json } = await get(`/v1/environments/tldr?options=${options}`);
  const environment = createEnvironment("tldr", { data: "three" });
  assert.deepEqual(json.splits, environment.splits());
  assert.equal(json.options.data, "three");
});
