/** Agents' views over OpenEnv: whose episode it is, and what an agent is told of it. */
import { assertProblem, withEdge } from "../routes/edge.ts";
import { createEnvironment } from "../../shared/environments/registry.ts";
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

Deno.test("every turn tells what the environment reported, the last one too", () =>
  withEdge(async ({ post }) => {
    const environment = createEnvironment("str_build", { turns: 2 });
    const { task } = environment.task({ word: "I" });
    let { state } = environment.reset(task, 1);
    const actions = { agent_1: "/setblock 0 0 0 stone", agent_2: "/setblock 90 0 0 air" };
    const game = { task: { word: "I" }, seed: 1, episode_id: "told", options: { turns: 2 } };
    await post(`${base}/reset`, game);
    for (const turn of [1, 2]) {
      const expected = environment.step(task, state, actions);
      const step = { episode_id: "told", action: { actions, turn } };
      const { json: whole } = await post(`${base}/step`, step);
      assert.equal(whole.done, turn === 2);
      assert.deepEqual(whole.observation.infos, expected.infos);
      assert.notDeepEqual(whole.observation.infos.agent_2, {});
      const own = { episode_id: "told", action: { text: actions.agent_2, turn } };
      const { json: alone } = await post(`${base}/agents/agent_2/step`, own);
      assert.deepEqual(alone.observation.info, expected.infos["agent_2"]);
      state = expected.state;
    }
  }));

Deno.test("an action that is no text is refused by its agent's name", () =>
  withEdge(async ({ post }) => {
    await post(`${base}/reset`, { task: { word: "I" }, seed: 1, episode_id: "odd" });
    for (
      const [actions, detail] of [
        [{ agent_1: 1, agent_2: "" }, "'actions.agent_1' is 1, expected a string"],
        [{ agent_1: "", agent_2: {} }, "'actions.agent_2' is an object, expected a string"],
        [["", ""], "'actions' is a list of 2, expected an object with a text per agent"],
        [undefined, "'actions' is missing, expected an object with a text per agent"],
      ] as const
    ) {
      const answer = await post(`${base}/step`, { episode_id: "odd", action: { actions } });
      assertProblem(answer, "invalid_request", 400, `Cannot read the action: ${detail}`);
    }
  }));
