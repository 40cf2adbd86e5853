/** Agents' views over OpenEnv: whose episode it is, and what an agent is told of it. */
import { assertProblem, withEdge } from "../routes/edge.ts";
import assert from "node:assert/strict";

const base = "/openenv/str_build";

Deno.test("agents of an episode are those of its own options, and are not told its item", () =>
  withEdge(async ({ get, post }) => {
    const alone = { task: { word: "I" }, seed: 1, episode_id: "alone", options: { agents: 1 } };
    assert.equal((await post(`${base}/agents/agent_1/reset`, alone)).status, 200);
    const agents = `${base}/agents/agent_2`;
    for (
      const answer of [
        await post(`${agents}/reset`, alone),
        await post(`${agents}/reset`, { episode_id: "alone" }),
        await get(`${agents}/state?episode_id=alone`),
        await post(`${base}/agents/scribe/reset`, {}),
      ]
    ) {
      const detail = /^Cannot play as agent '\w+' of 'str_build', (did|known)/;
      assertProblem(answer, "not_found", 404, detail);
    }
    const { json: told } = await get(`${base}/agents/agent_1/state?episode_id=alone`);
    assert.deepEqual([told.step_count, told.item_id, told.seed], [0, undefined, undefined]);
    const { json: whole } = await get(`${base}/state?episode_id=alone`);
    assert.equal(whole.seed, 1);
  }));

Deno.test("a joint step that one agent's own action contradicts is not taken for the others either", () =>
  withEdge(async ({ get, post }) => {
    const episode_id = "halves";
    const own = `${base}/agents/agent_1`;
    await post(`${own}/reset`, { task: { word: "I" }, seed: 1, episode_id });
    const first = { episode_id, action: { text: "x" }, timeout_s: 0.1 };
    assertProblem(await post(`${own}/step`, first), "deadline", 504, /have not acted on turn 1/);
    const joint = (agent_1: string) =>
      post(`${base}/step`, { episode_id, action: { actions: { agent_1, agent_2: "z" } } });
    assertProblem(
      await joint("y"),
      "conflict",
      409,
      "Cannot step episode 'halves': agent 'agent_1' already acted on turn 1 with another payload",
    );
    const { json: told } = await get(`${base}/state?episode_id=halves`);
    assert.deepEqual([told.step_count, told.status], [0, "running"]);
    const { json: played } = await joint("x");
    assert.equal(played.observation.turn, 2);
  }));
