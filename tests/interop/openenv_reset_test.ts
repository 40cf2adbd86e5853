/** Resets of OpenEnv's protocol that say nothing: an empty object, or no body at all. */
import assert from "node:assert/strict";
import { resolveAll, withEdge } from "../routes/edge.ts";

Deno.test("HTTP reset without anything plays an item of every environment", async () => {
  await withEdge(async ({ post }) => {
    const ids = ["str_build", "house_build", "bridge_build", "resource_gathering", "tldr", "mbpp"];
    for (const id of ids) {
      const { status, json } = await post(`/openenv/${id}/reset`, {});
      assert.equal(status, 200, JSON.stringify(json));
      const { agents } = resolveAll(id, {});
      assert.deepEqual(Object.keys(json.observation.observations), [...agents]);
    }
  });
});

Deno.test("HTTP reset takes no body for an empty one, but not from pages elsewhere", async () => {
  await withEdge(async ({ app, episodes }) => {
    const reset = (path: string, init: RequestInit = {}) =>
      app.request(`http://localhost:8000/openenv/${path}`, { method: "POST", ...init });
    for (
      const [path, headers] of [
        ["str_build/reset", {}],
        ["str_build/agents/agent_1/reset", {}],
        ["str_build/reset", { "content-type": "application/json" }],
        ["str_build/reset", { "content-type": "application/x-www-form-urlencoded" }],
        ["str_build/reset", { origin: "http://localhost:8000", host: "localhost:8000" }],
      ] as const
    ) {
      const answer = await reset(path, { headers });
      assert.equal(answer.status, 200, JSON.stringify(headers));
      const { observation, reward, done } = await answer.json();
      assert.deepEqual([observation.turn, reward, done], [1, null, false]);
      assert.equal((await episodes.episodes([observation.episode_id])).length, 1);
    }
    const foreign = await reset("str_build/reset", {
      headers: { origin: "http://elsewhere.example" },
    });
    assert.equal(foreign.status, 403);
    const json = { "content-type": "application/json" };
    for (const init of [{ body: "{}" }, { body: " ", headers: json }]) {
      assert.equal((await reset("str_build/reset", init)).status, 400, JSON.stringify(init));
    }
    assert.equal((await reset("str_build/step", { headers: json })).status, 400);
    assert.equal((await reset("none/reset")).status, 404);
  });
});
