/**
 * Recorded episodes over HTTP: opening, observing, acting exactly once, reading.
 */
import assert from "node:assert/strict";
import { assertProblem, relayRequest, type TestEdge, withEdge } from "./edge.ts";

const act = ({ post }: TestEdge, agent: string, turn: number, more: object = {}) =>
  post(`/v1/episodes/e1/actions/${agent}`, { turn, text: `${agent} on ${turn}`, ...more });

Deno.test("POST /v1/episodes opens one episode, and finds it when asked again", async () => {
  await withEdge(async ({ post }) => {
    const first = await post("/v1/episodes", relayRequest("e1"));
    assert.equal(first.status, 201);
    assert.deepEqual(first.json, {
      ...{ id: "e1", run_id: null, environment: "relay", options: {}, item_id: "inline" },
      ...{ task: { word: "w1" }, seed: 7, turn_seeds: null, stop_above: null },
      ...{ purpose: "external", policy_versions: null, deadline_at: null },
      ...{ agents: ["left", "right"], status: "running", turn: 1, cause: null, tokens: null },
    });
    assert.deepEqual((await post("/v1/episodes", relayRequest("e1"))).json, first.json);
    assertProblem(
      await post("/v1/episodes", relayRequest("e1", { seed: 8 })),
      "conflict",
      409,
      "Cannot open episode 'e1': the id is taken by an episode with another spec",
    );
  });
});

Deno.test("POST /v1/episodes opens a list, by item id or inline task, with new ids", async () => {
  await withEdge(async ({ post, get }) => {
    const one = { environment: "str_build", options: { turns: 1 } };
    const { status, json } = await post("/v1/episodes", [
      { ...one, task: "str_build_eval_001" },
      { ...one, task: { word: "AB" }, item_id: "mine" },
    ]);
    assert.equal(status, 201);
    const [a, b] = json.episodes;
    assert.notEqual(a.id, b.id);
    assert.deepEqual([a.item_id, b.item_id], ["str_build_eval_001", "mine"]);
    assert.deepEqual(b.task, { word: "AB", max_commands: 300 });
    assert.equal((await get(`/v1/episodes/${a.id}`)).json.status, "running");
  });
});

Deno.test("POST /v1/episodes refuses what cannot be opened", async () => {
  await withEdge(async ({ post }) => {
    const refused = async (body: unknown, status: number, detail: string | RegExp) => {
      const code = status === 404 ? "not_found" : "invalid_request";
      assertProblem(await post("/v1/episodes", body), code, status, detail);
    };
    await refused(
      { environment: "relax", task: "x" },
      404,
      /^Cannot find environment 'relax', known: str_build, /,
    );
    await refused(
      relayRequest("e1", { run_id: "r1" }),
      404,
      "Cannot open episode 'e1': run 'r1' does not exist",
    );
    await refused(
      relayRequest("e1", { sede: 1 }),
      400,
      "Cannot read the body: unknown field 'sede', did you mean 'seed'?",
    );
    await refused(
      [relayRequest("e1", { purpose: "trian" })],
      400,
      `Cannot read the body: '[0].purpose' is "trian", expected "train" or "evaluate" or "external"`,
    );
    await refused(relayRequest("e\u0000"), 400, /'id' is "e\\u0000", expected 1 to 255 printable/);
    await refused(relayRequest("\ud800"), 400, /id must be 1 to 255 printable characters/);
    await refused(relayRequest("e1", { seed: 1.5 }), 400, /'seed' is 1.5, expected a whole number/);
    await refused(relayRequest("e1", { turn_seeds: ["a"] }), 400, /expected a list of integers/);
    await refused(
      relayRequest("e1", { policy_versions: { lft: "v1" } }),
      400,
      /policy_versions names unknown agent 'lft', did you mean 'left'\?$/,
    );
    const many = Array.from({ length: 1025 }, () => ({ not: "an episode" }));
    await refused(
      many,
      400,
      "Cannot read the body: the body is a list of 1025, expected at most 1024 entries",
    );
    await refused("[]", 400, /at least 1 entries$/);
  });
});

Deno.test("POST actions plays an episode to its end, exactly once", async () => {
  await withEdge(async (edge) => {
    const { post, get } = edge;
    await post("/v1/episodes", relayRequest("e1"));
    const seen = await get("/v1/episodes/e1/observations/left");
    assert.equal(seen.status, 200);
    assert.equal(seen.json.status, "waiting");
    assert.ok(Number.isSafeInteger(seen.json.seed));
    assert.equal(seen.json.observation.text, "w1: secret of left on turn 1");
    assert.ok(!JSON.stringify(seen.json).includes("right"));

    const policy = { tokens: [1, 2], logprobs: [-0.5, -1e-9], policy_version: "v1", seed: 9 };
    const stored = await act(edge, "left", 1, policy);
    assert.deepEqual([stored.status, stored.json], [200, {
      ...{ status: "stored", turn: 1, episode_status: "running" },
    }]);
    assert.deepEqual((await act(edge, "left", 1, policy)).json.status, "repeated");
    assertProblem(
      await act(edge, "left", 1),
      "conflict",
      409,
      "Cannot step episode 'e1': agent 'left' already acted on turn 1 with another payload",
    );
    assert.equal((await get("/v1/episodes/e1/observations/left")).json.status, "acted");
    assert.deepEqual((await act(edge, "right", 1)).json, {
      ...{ status: "stored", turn: 1, episode_status: "running", reward: 10 },
    });
    assertProblem(await act(edge, "right", 3), "conflict", 409, /it is on turn 2$/);
    await act(edge, "right", 2);
    assert.equal((await act(edge, "left", 2)).json.episode_status, "finished");

    const { json } = await get("/v1/episodes/e1");
    assert.equal(json.status, "finished");
    assert.deepEqual(json.turns.map(({ rewards }: { rewards: unknown }) => rewards), [
      { left: 9, right: 10 },
      { left: 9, right: 10 },
    ]);
    assert.deepEqual(json.turns[0].agents.left.action, {
      ...{ text: "left on 1", prompt_tokens: null, sampling: null },
      ...policy,
    });
    const after = await get("/v1/episodes/e1/observations/left");
    assert.deepEqual([after.json.status, after.json.observation], ["finished", null]);
  });
});

Deno.test("POST actions refuses wrong actions with one sentence", async () => {
  await withEdge(async (edge) => {
    const { post, get } = edge;
    await post("/v1/episodes", relayRequest("e1"));
    assertProblem(await act(edge, "lefty", 1), "not_found", 404, /did you mean 'left'\?$/);
    assertProblem(
      await post("/v1/episodes/e2/actions/left", { turn: 1, text: "" }),
      "not_found",
      404,
      "Cannot post action of agent 'left' on turn 1: episode 'e2' does not exist",
    );
    const refused = async (more: object, detail: RegExp) =>
      assertProblem(await act(edge, "left", 1, more), "invalid_request", 400, detail);
    await refused({ turn: 0 }, /^Cannot read the body: 'turn' is 0, expected at least 1$/);
    await refused({ text: null }, /'text' is null, expected a string$/);
    await refused({ tokens: [1.5] }, /'tokens' is a list of 1, expected a list of token ids$/);
    await refused({ tokens: [1], logprobs: [1, 2] }, /2 logprobs were given for 1 tokens$/);
    await refused({ logprob: [1] }, /unknown field 'logprob', did you mean 'logprobs'\?$/);
    await refused({ tokens: Array(200_000).fill("a") }, /'tokens' is a list of 200000/);
    assertProblem(
      await get("/v1/episodes/e9"),
      "not_found",
      404,
      /^Cannot read .*episode 'e9': it does not exist$/,
    );
    assertProblem(await get("/v1/episodes/e1/observations/x"), "not_found", 404, /no such agent/);
  });
});

Deno.test("POST /v1/agents/:agent/actions takes many, and a bad one fails itself only", async () => {
  await withEdge(async ({ post, get, episodes }) => {
    await post("/v1/episodes", ["e1", "e2", "e3"].map((id) => relayRequest(id)));
    const { json } = await get("/v1/agents/left/observations?limit=2");
    assert.deepEqual(
      json.observations.map(({ episode_id }: { episode_id: string }) => episode_id),
      ["e1", "e2"],
    );
    const actions = ["e1", "e9", "e3"].map((episode_id) => ({ episode_id, turn: 1, text: "hi" }));
    const { status, json: { results } } = await post("/v1/agents/left/actions", actions);
    assert.equal(status, 200);
    assert.deepEqual(results.map((result: { status: string }) => result.status), [
      ...["stored", "error", "stored"],
    ]);
    assert.equal(results[1].error.code, "not_found");
    assert.equal(results[1].error.status, 404);
    const waiting = await episodes.pending("left", null, 10);
    assert.deepEqual(waiting.map(({ episode_id }) => episode_id), ["e2"]);
  });
});

Deno.test("GET /v1/agents/:agent/observations refuses a wrong query", async () => {
  await withEdge(async ({ get }) => {
    for (
      const [query, detail] of [
        ["limit=0", /'limit' is "0", expected at least 1$/],
        ["limit=many", /'limit' is "many", expected a whole number in digits$/],
        ["run=r1", /unknown field 'run'/],
      ] as const
    ) {
      assertProblem(
        await get(`/v1/agents/left/observations?${query}`),
        "invalid_request",
        400,
        detail,
      );
    }
  });
});
