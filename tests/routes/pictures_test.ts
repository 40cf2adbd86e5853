/** Pictures and builds over HTTP: of tasks, of turns of episodes, and of what cannot be shown. */
import assert from "node:assert/strict";
import { createEnvironment } from "../../shared/environments/registry.ts";
import { assertProblem, replica, withEdge } from "./edge.ts";

const query = (fields: Record<string, unknown>) =>
  new URLSearchParams(
    Object.entries(fields).map(([name, value]) => [name, JSON.stringify(value)]),
  ).toString();

const actions = { agent_1: "/setblock 0 0 0 stone", agent_2: "/setblock 4 4 0 obsidian" };

Deno.test("GET render.svg is the environment's own picture, GET render.png a PNG of it", async () => {
  const { app } = await replica();
  const environment = createEnvironment("str_build");
  const path = "/v1/environments/str_build/render";
  for (const task of [{ word: "I" }, "str_build_0001"]) {
    const svg = await app.request(`${path}.svg?${query({ task, actions })}&title=A%20wall`);
    assert.equal(svg.status, 200);
    assert.equal(svg.headers.get("content-type"), "image/svg+xml");
    const expected = environment.render!(environment.task(task).task, actions, "A wall");
    assert.equal(await svg.text(), expected);
  }
  const png = await app.request(`${path}.png?${query({ task: { word: "I" }, actions })}`);
  assert.equal(png.headers.get("content-type"), "image/png");
  const bytes = new Uint8Array(await png.arrayBuffer());
  assert.deepEqual([...bytes.slice(0, 4)], [0x89, 0x50, 0x4e, 0x47]);
});

Deno.test("GET render.svg of an episode draws a turn with all that was there before it", async () => {
  await withEdge(async ({ app, get, post }) => {
    const environment = createEnvironment("resource_gathering", { turns: 2 });
    const { task } = environment.item("eval", 0);
    const episode = { environment: "resource_gathering", task, options: { turns: 2 }, seed: 1 };
    await post("/v1/episodes", { id: "e1", ...episode });
    assertProblem(
      await get("/v1/episodes/e1/render.svg"),
      "not_found",
      404,
      "Cannot show turn 0 of episode 'e1': 0 of its turns are played",
    );
    // Somewhere to walk to on the first turn, for every direction that is blocked.
    const texts = [{ agent_1: "/move ESES", agent_2: "/move WNWN" }, {
      agent_1: "/move SESE",
      agent_2: "/move NWNW",
    }];
    for (const [i, joint] of texts.entries()) {
      for (const [agent, text] of Object.entries(joint)) {
        await post(`/v1/episodes/e1/actions/${agent}`, { turn: i + 1, text });
      }
    }
    const first = environment.reset(task, 1);
    const { state } = environment.step(task, first.state, texts[0]!);
    const picture = async (rest: string) =>
      await (await app.request(`/v1/episodes/e1/render.svg${rest}`)).text();
    const second = environment.render!(task, texts[1]!, "e1, turn 2", state);
    assert.equal(await picture(""), second);
    assert.equal(await picture("?turn=1"), environment.render!(task, texts[0]!, "e1, turn 1"));
    assert.notEqual(second, environment.render!(task, texts[1]!, "e1, turn 2"));
    assertProblem(await get("/v1/episodes/e1/render.svg?turn=3"), "not_found", 404, /turn 3/);
  });
});

Deno.test("GET render refuses what has no picture and queries that are wrong", async () => {
  const { get } = await replica();
  const relay = query({ task: { word: "a" }, actions: {} });
  assertProblem(
    await get(`/v1/environments/relay/render.svg?${relay}`),
    "not_found",
    404,
    "Cannot draw environment 'relay': it has no picture",
  );
  const path = "/v1/environments/str_build/render.png";
  const refused = async (fields: Record<string, unknown>, detail: RegExp) =>
    assertProblem(await get(`${path}?${query(fields)}`), "invalid_request", 400, detail);
  await refused({ actions }, /'task' is missing/);
  await refused({ task: 3, actions }, /'task' is/);
  await refused(
    { task: { word: "I" }, actions: { agent_1: 1 } },
    /'actions.agent_1' is 1, expected a string$/,
  );
  await refused({ task: { word: "I" }, actions: {} }, /agent 'agent_1' needs a text/);
});

Deno.test("GET build.mcfunction and build.schem are the environment's own files", async () => {
  await withEdge(async ({ app, get, post }) => {
    const environment = createEnvironment("str_build");
    const task = { word: "I" };
    const file = async (path: string) => {
      const response = await app.request(path);
      assert.equal(response.status, 200);
      return {
        type: response.headers.get("content-type"),
        bytes: new Uint8Array(await response.arrayBuffer()),
      };
    };
    const path = "/v1/environments/str_build/build";
    for (const [format, type] of [["mcfunction", "text/plain"], ["schem", "application/"]]) {
      const answer = await file(`${path}.${format}?${query({ task, actions })}`);
      assert.ok(answer.type!.startsWith(type!), answer.type!);
      const expected = await environment.exportAs!(environment.task(task).task, actions, format!);
      assert.deepEqual(answer.bytes, expected);
    }
    await post("/v1/episodes", { id: "e1", environment: "str_build", task, seed: 1 });
    for (const [agent, text] of Object.entries(actions)) {
      await post(`/v1/episodes/e1/actions/${agent}`, { turn: 1, text });
    }
    const { bytes } = await file("/v1/episodes/e1/build.mcfunction");
    assert.match(new TextDecoder().decode(bytes), /^setblock .* minecraft:obsidian/m);
    const maps = query({ task: "resource_gathering_train_11x7_000123", actions: {} });
    assertProblem(
      await get(`/v1/environments/resource_gathering/build.schem?${maps}`),
      "not_found",
      404,
      "Cannot export environment 'resource_gathering': nothing is built there that has a file",
    );
  });
});
