/**
 * Conformance with OpenEnv's protocol: every message of its table over a real socket and over HTTP,
 * what its validator looks at, error codes, capacity, and teams whose agents come one by one.
 */
import assert from "node:assert/strict";
import { loadWebSocketClient } from "../../deps.ts";
import type { EdgeDeps } from "../../routes/edge.ts";
import { createEnvironment } from "../../shared/environments/registry.ts";
import { listen } from "../../shared/wire/listen.ts";
import { assertProblem, replica, type TestEdge, TOKEN, withEdge } from "../routes/edge.ts";
import { until } from "../support/process.ts";

const { WebSocket } = await loadWebSocketClient();

// deno-lint-ignore no-explicit-any -- tests look into any message
type Message = { type: string; data: any };

interface Client {
  /** Sends one message and waits for the answer. */
  ask(message: unknown): Promise<Message>;
  send(message: unknown): void;
  next(): Promise<Message>;
  readonly closed: { code: number } | null;
  readonly refused: number | null;
  close(): void;
}

function connect(url: string, path: string, headers: Record<string, string> = {}): Promise<Client> {
  const socket = new WebSocket(url.replace("http", "ws") + path, { headers });
  const [heard, waiting]: [Message[], ((message: Message) => void)[]] = [[], []];
  let [closed, refused]: [{ code: number } | null, number | null] = [null, null];
  socket.on("message", (data) => {
    const message = JSON.parse(String(data)) as Message;
    const taken = waiting.shift();
    if (taken) taken(message);
    else heard.push(message);
  });
  socket.on("close", (code) => closed = { code });
  socket.on("error", () => {});
  const next = () =>
    new Promise<Message>((resolve) => {
      const message = heard.shift();
      if (message) resolve(message);
      else waiting.push(resolve);
    });
  const send = (message: unknown) =>
    socket.send(
      typeof message === "string" || message instanceof Uint8Array
        ? message
        : JSON.stringify(message),
    );
  const client: Client = {
    ...{ send, next, close: () => socket.close() },
    ask: (message) => (send(message), next()),
    get closed() {
      return closed;
    },
    get refused() {
      return refused;
    },
  };
  return new Promise((resolve) => {
    socket.on("open", () => resolve(client));
    socket.on("unexpected-response", (_request, response) => {
      refused = response.statusCode ?? 0;
      socket.terminate();
      resolve(client);
    });
  });
}

async function served(
  body: (edge: TestEdge & { url: string }) => Promise<void>,
  changes: Partial<EdgeDeps> = {},
): Promise<void> {
  await withEdge(async (edge) => {
    const { url, drain, finished } = listen(
      { host: "127.0.0.1", port: 0, token: changes.token },
      edge.app.fetch,
    );
    try {
      await body({ ...edge, url });
    } finally {
      await drain();
      await finished;
    }
  }, changes);
}

const I = { task: { word: "I" }, options: { turns: 2 } };
const ACTIONS = { agent_1: "/setblock 0 0 0 stone", agent_2: "/setblock 0 4 0 obsidian" };

Deno.test("/ws replays every message of the protocol", async () => {
  await served(async ({ url, episodes }) => {
    const client = await connect(url, "/openenv/str_build/ws");
    const environment = createEnvironment("str_build", { turns: 2 });
    const { task } = environment.task(I.task);
    const expected = environment.reset(task, 5);

    const reset = await client.ask({ type: "reset", data: { seed: 5, episode_id: "e1", ...I } });
    assert.equal(reset.type, "observation");
    assert.deepEqual(Object.keys(reset.data).sort(), ["done", "observation", "reward"]);
    assert.deepEqual([reset.data.reward, reset.data.done], [null, false]);
    assert.deepEqual(reset.data.observation.observations, expected.observations);
    assert.equal(reset.data.observation.episode_id, "e1");

    let { state } = expected;
    for (const turn of [1, 2]) {
      const result = environment.step(task, state, ACTIONS);
      const step = await client.ask({ type: "step", data: { actions: ACTIONS } });
      assert.equal(step.type, "observation");
      assert.equal(step.data.reward, result.rewards["agent_1"]);
      assert.equal(step.data.done, turn === 2);
      assert.deepEqual(step.data.observation.observations, result.observations);
      assert.deepEqual(step.data.observation.components, result.components);
      state = result.state;
      const told = await client.ask({ type: "state" });
      assert.equal(told.type, "state");
      assert.deepEqual([told.data.episode_id, told.data.step_count], ["e1", turn]);
    }
    const over = await client.ask({ type: "step", data: { actions: ACTIONS } });
    assert.deepEqual([over.type, over.data.code], ["error", "EXECUTION_ERROR"]);

    const mcp = await client.ask({
      type: "mcp",
      data: { jsonrpc: "2.0", id: 7, method: "tools/list" },
    });
    assert.deepEqual([mcp.type, mcp.data.id, mcp.data.result.tools[0].name], ["mcp", 7, "act"]);

    const again = await client.ask({ type: "reset", data: { seed: 6 } });
    assert.notEqual(again.data.observation.episode_id, "e1");
    assert.equal(again.data.done, false);
    client.send({ type: "close" });
    await until("the close", () => client.closed !== null, 10);
    assert.equal(client.closed?.code, 1000);
    const id = again.data.observation.episode_id;
    await until("the end of the episode", async () => {
      return (await episodes.episodes([id]))[0]!.status === "failed";
    }, 10);
    assert.equal((await episodes.episodes(["e1"]))[0]!.status, "finished");
  });
});

Deno.test("/ws names every mistake with the protocol's code and stays open", async () => {
  await served(async ({ url }) => {
    const client = await connect(url, "/openenv/str_build/ws");
    const mistakes: [unknown, string, RegExp][] = [
      ["{", "INVALID_JSON", /not valid JSON$/],
      [new Uint8Array([1, 2]), "INVALID_JSON", /it is no text$/],
      ["[".repeat(1000), "INVALID_JSON", /nested more than 64 deep$/],
      [`"${"a".repeat(2 ** 20)}"`, "VALIDATION_ERROR", /longer than 1048576 characters$/],
      [3, "VALIDATION_ERROR", /the body is 3, expected an object$/],
      [{}, "UNKNOWN_TYPE", /without a type: known: reset,/],
      [{ data: {} }, "UNKNOWN_TYPE", /without a type/],
      [{ type: 3 }, "VALIDATION_ERROR", /'type'/],
      [{ type: "jump" }, "UNKNOWN_TYPE", /'jump': known: reset, step, state, mcp, close$/],
      [{ type: "toString" }, "UNKNOWN_TYPE", /'toString'/],
      [{ type: "step", data: { actions: ACTIONS } }, "SESSION_ERROR", /reset first$/],
      [{ type: "state" }, "SESSION_ERROR", /reset first$/],
      [
        { type: "reset", data: { seed: -1 } },
        "VALIDATION_ERROR",
        /'seed' is -1, expected at least 0/,
      ],
      [{ type: "reset", data: { sed: 1 } }, "VALIDATION_ERROR", /did you mean 'seed'\?$/],
      [{ type: "reset", data: { task: { wrd: "A" } } }, "VALIDATION_ERROR", /'word'\?$/],
      [{ type: "reset", data: { task: "nothing" } }, "EXECUTION_ERROR", /Cannot find item/],
      [{ type: "reset", data: { split: "evl" } }, "VALIDATION_ERROR", /did you mean 'eval'\?$/],
    ];
    for (const [message, code, detail] of mistakes) {
      const { type, data } = await client.ask(message);
      assert.deepEqual([type, data.code], ["error", code], JSON.stringify(message).slice(0, 80));
      assert.match(data.message, detail);
    }
    assert.equal((await client.ask({ type: "reset", data: I })).type, "observation");
    const wrong: [unknown, RegExp][] = [
      [{ actions: { agent_1: "" } }, /agent 'agent_2' needs a text/],
      [{ actions: { ...ACTIONS, agent_3: "" } }, /unknown agent 'agent_3'/],
      [{ action: "" }, /did you mean 'actions'\?$/],
      [{ actions: ACTIONS, turn: 0 }, /'turn' is 0/],
    ];
    for (const [data, detail] of wrong) {
      const answer = await client.ask({ type: "step", data });
      assert.equal(answer.data.code, "VALIDATION_ERROR", JSON.stringify(answer));
      assert.match(answer.data.message, detail);
    }
    const step = await client.ask({ type: "step", data: { actions: ACTIONS } });
    assert.equal(step.type, "observation");
    // Messages that are sent at once are answered in their order.
    client.send({ type: "state" });
    client.send({ type: "step", data: { actions: ACTIONS } });
    client.send({ type: "state" });
    const answers = [await client.next(), await client.next(), await client.next()];
    assert.deepEqual(
      answers.map(({ data }) => data.step_count ?? data.done),
      [1, true, 2],
    );
    client.close();
  });
});

Deno.test("/ws of one agent waits for the others of its team and shows nothing of theirs", async () => {
  await served(async ({ url }) => {
    const join = (agent: string) => connect(url, `/openenv/relay/agents/${agent}/ws`);
    const [left, right] = [await join("left"), await join("right")];
    const data = { episode_id: "team", seed: 3, task: { word: "w" } };
    const first = await left.ask({ type: "reset", data });
    assert.deepEqual(first.data, {
      observation: {
        ...{ episode_id: "team", turn: 1, text: "w: secret of left on turn 1", messages: null },
        info: { seed: 3, agent: "left" },
      },
      ...{ reward: null, done: false },
    });
    const joined = await right.ask({ type: "reset", data: { episode_id: "team" } });
    assert.equal(joined.data.observation.text, "w: secret of right on turn 1");

    left.send({ type: "step", data: { text: "four" } });
    const second = await right.ask({ type: "step", data: { text: "eleven chars" } });
    assert.deepEqual([second.data.reward, second.data.done], [12, false]);
    const own = await left.next();
    assert.deepEqual([own.data.reward, own.data.observation.text], [
      4,
      "w: secret of left on turn 2",
    ]);
    assert.ok(!JSON.stringify(own).includes("secret of right"));
    // The same action again, as after a lost answer.
    const again = await left.ask({ type: "step", data: { text: "four", turn: 1 } });
    assert.deepEqual(again, own);
    const other = await left.ask({ type: "step", data: { text: "five!", turn: 1 } });
    assert.equal(other.data.code, "EXECUTION_ERROR");
    // One that goes away leaves the other to play on.
    left.close();
    await until("the close", () => left.closed !== null, 10);
    const back = await join("left");
    assert.equal(
      (await back.ask({ type: "reset", data: { episode_id: "team" } })).data.observation.turn,
      2,
    );
    back.send({ type: "step", data: { text: "a" } });
    const last = await right.ask({ type: "step", data: { text: "b" } });
    assert.deepEqual([last.data.done, last.data.reward, last.data.observation.text], [true, 1, ""]);
    assert.equal((await back.next()).data.done, true);
    right.close();
    back.close();
  });
});

Deno.test("/ws tells CAPACITY_REACHED and FACTORY_ERROR, and closes", async () => {
  await served(async ({ url }) => {
    const first = await connect(url, "/openenv/relay/ws");
    await first.ask({ type: "state" });
    const second = await connect(url, "/openenv/relay/ws");
    const { type, data } = await second.next();
    assert.equal(type, "error");
    assert.deepEqual(data, {
      message: "Cannot open session: all 1 are taken",
      ...{ code: "CAPACITY_REACHED", active_sessions: 1, max_sessions: 1 },
    });
    await until("the close", () => second.closed !== null, 10);
    assert.equal(second.closed?.code, 1013);
    first.close();
    await until("the close", () => first.closed !== null, 10);
    const unknown = await connect(url, "/openenv/relai/ws");
    assert.equal((await unknown.next()).data.code, "FACTORY_ERROR");
    const agent = await connect(url, "/openenv/relay/agents/lef/ws");
    const refused = (await agent.next()).data;
    assert.equal(refused.code, "FACTORY_ERROR");
    assert.match(refused.message, /did you mean 'left'\?$/);
    await until("the close", () => agent.closed !== null, 10);
    const third = await connect(url, "/openenv/relay/ws");
    assert.equal((await third.ask({ type: "state" })).data.code, "SESSION_ERROR");
    third.close();
  }, { openenv_sessions: 1 });
});

Deno.test("/ws on an edge without a database is a FACTORY_ERROR", async () => {
  const { app } = await replica();
  const { url, drain } = listen({ host: "127.0.0.1", port: 0, token: undefined }, app.fetch);
  const client = await connect(url, "/openenv/relay/ws");
  const { data } = await client.next();
  assert.deepEqual([data.code, data.message], [
    "FACTORY_ERROR",
    "Cannot keep episodes: this edge has no database",
  ]);
  await drain();
});

Deno.test("/ws lets nobody in without a token, an agent only as itself, and no foreign page", async () => {
  await served(async ({ url, post }) => {
    const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
    const path = "/openenv/relay/agents/left/ws";
    assert.equal((await connect(url, path)).refused, 401);
    const tokenOf = async (body: object) => (await post("/v1/tokens", body, TOKEN)).json.token;
    const [left, right] = [await tokenOf({ agent: "left" }), await tokenOf({ agent: "right" })];
    assert.equal((await connect(url, "/openenv/relay/ws", bearer(left))).refused, 403);
    const own = await connect(url, path, bearer(left));
    const data = { episode_id: "e1", seed: 1, task: { word: "w" } };
    assert.equal((await own.ask({ type: "reset", data })).type, "observation");
    const other = await connect(url, path, bearer(right));
    const refused = await other.ask({ type: "reset", data: { episode_id: "e1" } });
    assert.equal(
      refused.data.message,
      "Cannot act as agent 'left': this token is for agent 'right'",
    );
    own.close();
    other.close();
    const page = { ...bearer(TOKEN), origin: "http://elsewhere.example" };
    assert.equal((await connect(url, path, page)).refused, 403);
  }, { token: TOKEN });
});

Deno.test("HTTP takes what the protocol's typed clients send: nulls, metadata, ids of 255", async () => {
  await withEdge(async ({ post }) => {
    const base = "/openenv/str_build";
    assert.equal((await post(`${base}/reset`, { seed: null, episode_id: null })).status, 200);
    const episode_id = "e".repeat(255);
    assert.equal((await post(`${base}/reset`, { seed: 1, episode_id, ...I })).status, 200);
    const action = { actions: ACTIONS, metadata: {} };
    const step = { action, episode_id, timeout_s: null, request_id: null };
    assert.equal((await post(`${base}/step`, step)).json.done, false);
    const long = await post(`${base}/reset`, { episode_id: "e".repeat(256) });
    assertProblem(long, "invalid_request", 400, /1 to 255 printable characters$/);
  });
});

Deno.test("HTTP plays whole episodes by episode_id", async () => {
  await withEdge(async ({ get, post }) => {
    const base = "/openenv/str_build";
    const environment = createEnvironment("str_build", { turns: 2 });
    const { task } = environment.task(I.task);
    let { state } = environment.reset(task, 9);
    const reset = await post(`${base}/reset`, { seed: 9, episode_id: "h1", ...I });
    assert.equal(reset.status, 200);
    assert.deepEqual([reset.json.reward, reset.json.done], [null, false]);
    for (const turn of [1, 2]) {
      const expected = environment.step(task, state, ACTIONS);
      const step = await post(`${base}/step`, {
        ...{ action: { actions: ACTIONS }, episode_id: "h1", request_id: "r", timeout_s: 5 },
      });
      assert.deepEqual([step.json.reward, step.json.done], [
        expected.rewards["agent_1"],
        turn === 2,
      ]);
      assert.deepEqual(step.json.observation.observations, expected.observations);
      state = expected.state;
      const { json } = await get(`${base}/state?episode_id=h1`);
      assert.deepEqual([json.episode_id, json.step_count], ["h1", turn]);
    }
    assertProblem(
      await post(`${base}/step`, { action: { actions: ACTIONS }, episode_id: "h1" }),
      "conflict",
      409,
      "Cannot step episode 'h1': it ended on turn 2, reset first",
    );
    const missing = await post(`${base}/step`, { action: { actions: ACTIONS } });
    assertProblem(missing, "invalid_request", 400, /'episode_id' is missing/);
    assertProblem(
      await post(`${base}/step`, { action: { actions: ACTIONS }, episode_id: "none" }),
      "not_found",
      404,
      /episode 'none'/,
    );
    assertProblem(
      await post("/openenv/relay/step", { action: { actions: ACTIONS }, episode_id: "h1" }),
      "conflict",
      409,
      "Cannot play episode 'h1' here: it is one of environment 'str_build'",
    );
  });
});

Deno.test("HTTP step of one agent says when the others did not act, and is taken up again", async () => {
  await withEdge(async ({ post }) => {
    const base = "/openenv/relay/agents";
    await post(`${base}/left/reset`, { episode_id: "t", seed: 1, task: { word: "w" } });
    const step = (agent: string, text: string, more = {}) =>
      post(`${base}/${agent}/step`, { action: { text, turn: 1 }, episode_id: "t", ...more });
    assertProblem(
      await step("left", "abc", { timeout_s: 0.01 }),
      "deadline",
      504,
      "Cannot step episode 't': other agents have not acted on turn 1 for 0.01 s, send the same " +
        "action with turn 1 again to wait further",
    );
    const waiting = step("left", "abc");
    assert.equal((await step("right", "de")).json.reward, 2);
    assert.equal((await waiting).json.reward, 3);
  });
});

Deno.test("GET health, metadata, schema, openapi.json and POST mcp are what the validator wants", async () => {
  await withEdge(async ({ get, post }) => {
    for (const base of ["/openenv/str_build", "/openenv/str_build/agents/agent_2"]) {
      assert.deepEqual((await get(`${base}/health`)).json, { status: "healthy" });
      const { name, description, version } = (await get(`${base}/metadata`)).json;
      assert.deepEqual([name, version], ["StrBuild", "0.0.1"]);
      assert.equal(typeof description, "string");
      const schema = (await get(`${base}/schema`)).json;
      assert.deepEqual(Object.keys(schema).sort(), ["action", "observation", "state"]);
      for (const one of Object.values(schema)) {
        assert.equal((one as { type: string }).type, "object");
      }
      const document = (await get(`${base}/openapi.json`)).json;
      assert.equal(document.info.version, "0.0.1");
      for (const path of ["/reset", "/step", "/state"]) assert.ok(document.paths[path], path);
      const mcp = await post(`${base}/mcp`, {});
      assert.deepEqual([mcp.status, mcp.json.jsonrpc], [200, "2.0"]);
      assert.equal(mcp.json.error.code, -32600);
    }
    assertProblem(await get("/openenv/x/health"), "not_found", 404, /'x'/);
  });
});

Deno.test("POST mcp plays an episode by tool calls", async () => {
  await withEdge(async ({ post }) => {
    const call = async (method: unknown, params?: unknown) =>
      (await post("/openenv/relay/mcp", { jsonrpc: "2.0", id: 1, method, params })).json;
    const created = await call("openenv/session/create", { task: { word: "w" }, seed: 1 });
    const { session_id } = created.result;
    const act = (given: unknown, session = session_id) =>
      call("tools/call", { name: "act", arguments: given, session_id: session });
    const first = await act({ actions: { left: "a", right: "bcd" } });
    assert.equal(first.result.isError, false);
    assert.deepEqual(JSON.parse(first.result.content[0].text), first.result.structuredContent);
    assert.deepEqual(first.result.structuredContent.reward, 2);
    const errors = [
      [await act({ actions: {} }), -32602, /agent 'left' needs a text/],
      [await act({ actions: {} }, "none"), -32000, /episode 'none'/],
      [await call("tools/call", { name: "run" }), -32602, /known: act$/],
      [await call("tools/call", { name: "act" }), -32602, /'session_id' is missing/],
      [await call("tools/jump"), -32601, /no such method$/],
      [await call(3), -32600, /JSON-RPC/],
      [await call("tools/list", []), -32602, /no object$/],
    ] as const;
    for (const [{ error }, code, message] of errors) {
      assert.equal(error.code, code);
      assert.match(error.message, message);
    }
    assert.equal((await call("openenv/session/close", { session_id })).result.closed, true);
    const closed = await act({ actions: { left: "", right: "" } });
    assert.match(closed.error.message, /ended on turn 2/);
  });
});

Deno.test("WebSocket mcp speaks JSON-RPC alone", async () => {
  await served(async ({ url }) => {
    const client = await connect(url, "/openenv/relay/mcp");
    const ask = (message: object) => client.ask({ jsonrpc: "2.0", id: 1, ...message });
    // deno-lint-ignore no-explicit-any -- JSON-RPC has no type and data
    const created: any = await ask({
      method: "openenv/session/create",
      params: { task: { word: "w" } },
    });
    assert.equal(created.jsonrpc, "2.0");
    const params = { name: "act", arguments: { actions: { left: "a", right: "b" } } };
    // deno-lint-ignore no-explicit-any -- as above
    const acted: any = await ask({ method: "tools/call", params });
    assert.equal(acted.result.structuredContent.reward, 1);
    client.close();
  });
});

Deno.test("GET /openapi.json of the edge lists every route, each with a name of its own", async () => {
  const { app, get } = await replica();
  const { paths } = (await get("/openapi.json")).json;
  const listed = new Set<string>();
  const names: string[] = [];
  for (const [path, methods] of Object.entries(paths as Record<string, object>)) {
    for (const [method, { operationId }] of Object.entries(methods)) {
      listed.add(`${method.toUpperCase()} ${path}`);
      names.push(operationId);
    }
  }
  const routes = app.routes.filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
  const missing = [...new Set(routes)].filter((route) => !listed.has(route));
  assert.deepEqual(missing, ["GET /openapi.json"]);
  assert.equal(new Set(names).size, names.length);
});
