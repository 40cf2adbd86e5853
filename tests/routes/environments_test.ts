/**
 * Stateless environments: a state that travels, and every way to send a wrong one.
 */
import assert from "node:assert/strict";
import { createEnvironment } from "../../shared/environments/registry.ts";
import { PALETTES } from "../../shared/environments/minecraft/textures.ts";
import { assertProblem, replica, withEdge } from "./edge.ts";

const ICML = { word: "ICML", max_commands: 300 };

Deno.test("GET /v1/environments lists all of them", async () => {
  const { get } = await replica();
  const { status, json } = await get("/v1/environments");
  assert.equal(status, 200);
  assert.deepEqual(json.environments.map(({ id }: { id: string }) => id), ["str_build", "relay"]);
  assert.deepEqual(json.environments[0].agents, ["agent_1", "agent_2"]);
});

Deno.test("GET /v1/environments/:id shows agents, turns, rewards, options and splits", async () => {
  const { get } = await replica();
  const { status, json } = await get("/v1/environments/str_build");
  const environment = createEnvironment("str_build", {});
  assert.equal(status, 200);
  assert.deepEqual(json.agents, ["agent_1", "agent_2"]);
  assert.equal(json.turns, 4);
  assert.deepEqual(json.reward_range, [...environment.rewardRange]);
  assert.deepEqual(json.options, environment.options);
  assert.deepEqual(json.splits, environment.splits());
});

Deno.test("GET /v1/environments/:id names the nearest of an unknown one", async () => {
  const { get } = await replica();
  assertProblem(
    await get("/v1/environments/str_bild"),
    "not_found",
    404,
    "Cannot find environment 'str_bild', did you mean 'str_build'?",
  );
});

Deno.test("POST reset and step play an episode over replicas without memory", async () => {
  const replicas = [await replica(), await replica()];
  const start = await replicas[0]!.post("/v1/environments/str_build/reset", {
    ...{ task: ICML, seed: 3, options: { turns: 2 } },
  });
  assert.equal(start.status, 200);
  assert.deepEqual(start.json.agents, ["agent_1", "agent_2"]);
  const environment = createEnvironment("str_build", { turns: 2 });
  const { task } = environment.task(ICML);
  const reset = environment.reset(task, 3);
  assert.deepEqual(start.json.observations, reset.observations);
  assert.deepEqual(start.json.infos, reset.infos);

  let { state } = start.json;
  let here = reset.state;
  for (const turn of [1, 2]) {
    const actions = { agent_1: `/setblock ${turn} 0 0 black_concrete`, agent_2: "nothing" };
    const { status, json } = await replicas[turn % 2]!.post(
      "/v1/environments/str_build/step",
      { state, actions },
    );
    const { state: next, ...expected } = environment.step(task, here, actions);
    assert.equal(status, 200);
    const { state: token, ...result } = json;
    assert.deepEqual(result, expected);
    [state, here] = [token, next];
  }
  assertProblem(
    await replicas[0]!.post("/v1/environments/str_build/step", {
      ...{ state, actions: { agent_1: "", agent_2: "" } },
    }),
    "conflict",
    409,
    "Cannot step str_build: the episode ended after turn 2",
  );
});

Deno.test("POST step refuses every state that is not exactly one of its own", async () => {
  const { post } = await replica();
  const { json } = await post("/v1/environments/relay/reset", { task: { word: "a" } });
  const token: string = json.state;
  const actions = { left: "l", right: "r" };
  const step = (state: string, id = "relay") =>
    post(`/v1/environments/${id}/step`, { state, actions });
  assert.equal((await step(token)).status, 200);

  const [payload, signature] = token.split(".") as [string, string];
  const forged = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
  forged.task = { word: "b" };
  const flip = (text: string, at: number) =>
    text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
  const changed = [
    ...[0, 7, payload.length, payload.length + 1].map((at) => flip(token, at)),
    `${btoa(JSON.stringify(forged)).replace(/=+$/, "")}.${signature}`,
    ...[`${token}=`, `${token}.`, ` ${token}`, `${payload}.`, payload, "", "."],
    `${token.slice(0, -1)}`,
  ];
  for (const state of changed) {
    assertProblem(await step(state), "forbidden", 403, /^Cannot step environment 'relay': state /);
  }
  assertProblem(
    await (await replica("another")).post("/v1/environments/relay/step", {
      ...{ state: token, actions },
    }),
    "forbidden",
    403,
    /^Cannot step environment 'relay'/,
  );
  assertProblem(
    await step(token, "str_build"),
    "invalid_request",
    400,
    "Cannot step environment 'str_build': state is one of environment 'relay'",
  );
});

Deno.test("POST score gives the rewards of an item or an inline task", async () => {
  const { post } = await replica();
  const environment = createEnvironment("str_build", {});
  const item = environment.item("eval", 3);
  const actions = { agent_1: "/setblock 0 0 0 black_concrete", agent_2: "" };
  for (const task of [item.id, item.task]) {
    const { status, json } = await post("/v1/environments/str_build/score", { task, actions });
    assert.equal(status, 200);
    assert.deepEqual(json, environment.score(item.task, actions));
  }
});

Deno.test("POST score refuses wrong tasks, actions and options with one sentence", async () => {
  const { post } = await replica();
  const refused = async (body: unknown, status: number, detail: RegExp) => {
    const code = status === 404 ? "not_found" : "invalid_request";
    assertProblem(await post("/v1/environments/str_build/score", body), code, status, detail);
  };
  const actions = { agent_1: "", agent_2: "" };
  await refused({ task: "str_build_evil_1", actions }, 404, /^Cannot find item 'str_build_evil_1'/);
  await refused(
    { task: { wrd: "A" }, actions },
    400,
    /unknown field 'wrd', did you mean 'word'\?$/,
  );
  await refused({ task: ICML, actions: { agent_1: "" } }, 400, /agent 'agent_2' needs a text/);
  await refused({ task: ICML, actions: { ...actions, bob: "" } }, 400, /unknown agent 'bob'/);
  await refused(
    { task: ICML, actions: { agent_1: 3 } },
    400,
    /'actions.agent_1' is 3, expected a string$/,
  );
  await refused(
    { task: ICML, actions, options: { turn: 2 } },
    400,
    /unknown option 'turn', did you mean 'turns'\?$/,
  );
  await refused(
    { task: ICML, acctions: actions },
    400,
    /^Cannot read the body: unknown field 'acctions', did you mean 'actions'\?$/,
  );
  await refused([], 400, /^Cannot read the body: the body is a list of 0, expected an object$/);
  await refused("{", 400, /^Cannot read request: its body is not valid JSON$/);
  await refused("", 400, /^Cannot read request: its body is not valid JSON$/);
  await refused(
    `{"task":${"[".repeat(100_000)}`,
    400,
    /^Cannot read request: its JSON is nested more than 64 deep$/,
  );
});

Deno.test("POST refuses other content types and bodies that are too large", async () => {
  await withEdge(async ({ app, post }) => {
    const path = "/v1/environments/relay/score";
    const body = JSON.stringify({ task: { word: "a" }, actions: {} });
    for (
      const [type, named] of [["text/plain", /not 'text\/plain'$/], [null, /not 'text|missing/]]
    ) {
      const headers = type === null ? {} : { "content-type": type as string };
      const response = await app.request(path, { method: "POST", body, headers });
      const json = await response.json();
      const answer = { status: response.status, headers: response.headers, json };
      assertProblem(answer, "invalid_request", 400, named as RegExp);
    }
    const large = JSON.stringify({ task: { word: "a".repeat(2 ** 20) }, actions: {} });
    assertProblem(
      await post(path, large),
      "payload_too_large",
      413,
      "Cannot read request: its body is larger than 1048576 bytes",
    );
    const streamed = await app.request(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: new Blob([large]).stream(),
    });
    assert.equal(streamed.status, 413);
    await streamed.body?.cancel();
  });
});

Deno.test("GET of an unknown route is a problem document", async () => {
  const { get } = await replica();
  assertProblem(
    await get("/v1/environment"),
    "not_found",
    404,
    "Cannot find route GET /v1/environment",
  );
});

Deno.test("a method that a known route does not take is refused with those it takes", async () => {
  const { app } = await replica();
  for (
    const [method, path, allow] of [
      ["DELETE", "/v1/environments/str_build", "GET"],
      ["PUT", "/v1/environments/str_build/step", "POST"],
      ["DELETE", "/v1/runs", "GET"],
      ["POST", "/health", "GET"],
      ["POST", "/openapi.json", "GET"],
    ] as const
  ) {
    const response = await app.request(path, {
      method,
      headers: { "content-type": "application/json" },
    });
    assert.equal(response.headers.get("allow"), allow, path);
    const answer = { status: response.status, headers: response.headers };
    assertProblem(
      { ...answer, json: await response.json() },
      "method_not_allowed",
      405,
      `Cannot ${method} ${path}: it takes ${allow}`,
    );
  }
  const unknown = await app.request("/v1/environments/a/b/c", { method: "DELETE" });
  assert.equal(unknown.status, 404);
  await unknown.body?.cancel();
});

Deno.test("GET /openapi.json shows examples that hold", async () => {
  const { get } = await replica();
  const { paths, components } = (await get("/openapi.json")).json;
  const { rewardRange } = createEnvironment("str_build", {});
  assert.deepEqual(
    components.schemas.Environment.properties.reward_range.example,
    [...rewardRange],
  );
  const commands = JSON.stringify({ paths, components }).match(/\/setblock [^"\\]*/g) ?? [];
  assert.ok(commands.length >= 2);
  for (const command of commands) {
    const block = command.split(" ")[4]!;
    assert.ok(PALETTES[0]!.includes(block), `'${block}' is no block of agent_1`);
  }
});

Deno.test("GET /v1/episodes/:id without a database is unavailable", async () => {
  const { get } = await replica();
  assertProblem(
    await get("/v1/episodes/e1"),
    "unavailable",
    503,
    "Cannot keep episodes: this edge has no database",
  );
});

Deno.test("a key __proto__ is refused in a body, as any unknown field, however it is written", async () => {
  const { post } = await replica();
  for (const key of ["__proto__", "\\u005f_proto__", "__\\u0070roto__"]) {
    for (
      const body of [
        `{"task":{"word":"A"},"options":{"${key}":{"turns":1}}}`,
        `{"task":{"word":"A","${key}":1}}`,
        `{"task":{"word":"A"},"${key}":1}`,
      ]
    ) {
      const answer = await post("/v1/environments/str_build/reset", body);
      const detail = "Cannot read request: unknown field '__proto__'";
      assertProblem(answer, "invalid_request", 400, detail);
    }
  }
  const { status } = await post("/v1/environments/str_build/score", {
    task: { word: "A" },
    actions: { agent_1: '{"__proto__":1}', agent_2: "__proto__" },
  });
  assert.equal(status, 200);
});

Deno.test("no request names the address of an expert", async () => {
  const { get, post } = await replica();
  const options = { expert_url: "http://10.0.0.1/v1", feedback: "expert_edits" };
  const task = "mbpp_eval_0";
  const query = new URLSearchParams({ options: JSON.stringify(options) });
  for (
    const answer of [
      await post("/v1/environments/mbpp/reset", { task, options }),
      await post("/v1/environments/mbpp/score", { task, actions: {}, options }),
      await get(`/v1/environments/mbpp?${query}`),
      await get(`/v1/environments/mbpp/splits/eval/items?${query}`),
      await post("/v1/environments/mbpp/reset", {
        task,
        options: { expert_url: options.expert_url },
      }),
    ]
  ) {
    const detail =
      "Cannot create a coding environment: expert_url 'http://10.0.0.1/v1' is not that " +
      "of COLLM_EXPERT_URL";
    assertProblem(answer, "forbidden", 403, detail);
  }
});

Deno.test("the inline tasks of docs/minecraft.md are played as they stand there", async () => {
  const url = new URL("../../docs/minecraft.md", import.meta.url);
  const sections = (await Deno.readTextFile(url)).split(/^## /m).slice(1);
  const { post } = await replica();
  const found: Record<string, Record<string, unknown>> = {};
  for (const section of sections) {
    const [, id = ""] = /^`(\w+)`/.exec(section) ?? [];
    const [, task] = /^```json\n(.*?)^```$/ms.exec(section) ?? [];
    if (task === undefined) continue;
    const { status, json } = await post(
      `/v1/environments/${id}/reset`,
      `{"task":${task}}`,
    );
    assert.equal(status, 200, JSON.stringify(json));
    found[id] = JSON.parse(task);
    const { state } = json;
    const held = JSON.parse(atob(state.split(".")[0].replaceAll("-", "+").replaceAll("_", "/")));
    assert.deepEqual(held.task, found[id]);
  }
  assert.deepEqual(Object.keys(found), ["bridge_build", "resource_gathering"]);
  assert.deepEqual(Object.keys(found["bridge_build"]!), ["map"]);
  assert.deepEqual(Object.keys(found["resource_gathering"]!), ["map", "starts", "units", "goal"]);
});
