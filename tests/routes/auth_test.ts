/**
 * Who may do what: learner, agents, nobody; of one episode, one run, all runs.
 */
import assert from "node:assert/strict";
import { createRun } from "../../shared/store/runs.ts";
import { assertProblem, relayRequest, TOKEN, withEdge } from "./edge.ts";

const guarded = { token: TOKEN };

Deno.test("createApp with a token lets nobody in without it", async () => {
  await withEdge(async ({ get, post }) => {
    for (const path of ["/v1/environments", "/v1/episodes/e1", "/v1/runs", "/v1/nothing"]) {
      const answer = await get(path);
      assertProblem(
        answer,
        "unauthorized",
        401,
        "Cannot answer this request: its bearer token is missing",
      );
      assert.equal(answer.headers.get("www-authenticate"), "Bearer");
      for (const token of ["", "x", `${TOKEN}x`, TOKEN.slice(1), `${TOKEN}.${TOKEN}`]) {
        assertProblem(await get(path, token), "unauthorized", 401, /token is (wrong|missing)$/);
      }
    }
    assert.equal((await post("/v1/episodes", relayRequest("e1"))).status, 401);
    assert.equal((await get("/health")).status, 200);
    assert.equal((await get("/openapi.json")).status, 200);
    assert.equal((await get("/v1/environments", TOKEN)).status, 200);
  }, guarded);
});

Deno.test("POST /v1/episodes gives each agent a token for itself in that episode", async () => {
  await withEdge(async ({ get, post }) => {
    const opened = await post("/v1/episodes", relayRequest("e1"), TOKEN);
    await post("/v1/episodes", relayRequest("e2"), TOKEN);
    const { left, right } = opened.json.tokens;
    assert.notEqual(left, right);
    assert.equal((await get("/v1/episodes/e1/observations/left", left)).status, 200);
    const action = { turn: 1, text: "hi" };
    assert.equal((await post("/v1/episodes/e1/actions/left", action, left)).status, 200);

    assertProblem(
      await get("/v1/episodes/e1/observations/right", left),
      "forbidden",
      403,
      "Cannot act as agent 'right': this token is for agent 'left'",
    );
    assertProblem(
      await post("/v1/episodes/e1/actions/left", action, right),
      "forbidden",
      403,
      "Cannot act as agent 'left': this token is for agent 'right'",
    );
    assertProblem(
      await get("/v1/episodes/e2/observations/left", left),
      "forbidden",
      403,
      "Cannot open episode 'e2': this token is for episode 'e1'",
    );
    assertProblem(
      await post("/v1/agents/left/actions", [{ episode_id: "e2", ...action }], left),
      "forbidden",
      403,
      "Cannot open episode 'e2': this token is for episode 'e1'",
    );
    assertProblem(
      await get("/v1/agents/left/observations", left),
      "forbidden",
      403,
      "Cannot look through a run: this token is for episode 'e1'",
    );
    for (const path of ["/v1/episodes/e1", "/v1/environments", "/v1/runs", "/v1/runs/r/metrics"]) {
      assertProblem(await get(path, left), "forbidden", 403, /the token of agent 'left' opens its/);
    }
    for (const path of ["/v1/episodes", "/v1/tokens", "/v1/evaluations"]) {
      assert.equal((await post(path, {}, left)).status, 403);
    }
    assert.equal((await get("/v1/episodes/e1/observations/left", `${left}A`)).status, 401);
    const flipped = (left[0] === "e" ? "f" : "e") + left.slice(1);
    assert.equal((await get("/v1/episodes/e1/observations/left", flipped)).status, 401);
  }, guarded);
});

Deno.test("POST /v1/tokens makes a token for one run that opens no other", async () => {
  await withEdge(async ({ get, post, store }) => {
    for (const id of ["r1", "r2"]) {
      const agents = [{ name: "left", policy: "p" }];
      await createRun(store, { id, environment: "relay", options: {}, config: {}, agents });
      await post("/v1/episodes", relayRequest(`${id}-e`, { run_id: id }), TOKEN);
    }
    const issue = async (body: unknown) => (await post("/v1/tokens", body, TOKEN)).json.token;
    const token = await issue({ agent: "left", run_id: "r1" });
    const episodesOf = async (path: string, bearer: string) =>
      (await get(path, bearer)).json.observations
        .map(({ episode_id }: { episode_id: string }) => episode_id);
    assert.deepEqual(await episodesOf("/v1/agents/left/observations", token), ["r1-e"]);
    assert.deepEqual(await episodesOf("/v1/agents/left/observations?run_id=r1", token), ["r1-e"]);
    assertProblem(
      await get("/v1/agents/left/observations?run_id=r2", token),
      "forbidden",
      403,
      "Cannot look through run 'r2': this token is for run 'r1'",
    );
    assertProblem(
      await get("/v1/episodes/r2-e/observations/left", token),
      "forbidden",
      403,
      "Cannot open episode 'r2-e': this token is for run 'r1'",
    );
    const action = { turn: 1, text: "hi" };
    assertProblem(
      await post(
        "/v1/agents/left/actions",
        ["r1-e", "r2-e"].map((episode_id) => ({ episode_id, ...action })),
        token,
      ),
      "forbidden",
      403,
      /^Cannot open episode 'r2-e'/,
    );
    assert.equal((await get("/v1/agents/right/observations", token)).status, 403);
    assert.equal((await get("/v1/runs/r1", token)).json.id, "r1");
    assert.equal((await get("/v1/runs/r2", token)).status, 403);
    assert.equal((await post("/v1/episodes/r1-e/actions/left", action, token)).status, 200);

    const all = await issue({ agent: "right" });
    assert.deepEqual(await episodesOf("/v1/agents/right/observations", all), ["r1-e", "r2-e"]);
    assert.equal((await get("/v1/episodes/r2-e/observations/right", all)).status, 200);
    assert.equal((await get("/v1/episodes/r2-e/observations/left", all)).status, 403);
  }, guarded);
});
