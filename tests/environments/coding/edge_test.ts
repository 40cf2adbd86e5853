/** Coding over HTTP and through the episode store, where a step takes its time. */
import assert from "node:assert/strict";
import { closeCodingSandbox } from "../../../shared/environments/coding/index.ts";
import { createEpisodes } from "../../../shared/store/episodes.ts";
import { withEdge } from "../../routes/edge.ts";
import { createRelay } from "../../support/relay.ts";
import { relayPost, relaySpec } from "../../support/stores.ts";

const TASK = {
  prompt: "def add(a, b):\n",
  test: "def check(candidate):\n    assert candidate(1, 2) == 3\n",
  entry_point: "add",
};
const actions = {
  agent_1: "def aux(a, b):\n    return a + b\n",
  agent_2: "def add(a, b):\n    r = aux(a, b)\n    return r + 0\n",
};

Deno.test("POST score and step of humaneval run the program and take inline tasks", async () => {
  await withEdge(async ({ post }) => {
    const path = "/v1/environments/humaneval";
    const score = await post(`${path}/score`, { task: TASK, actions });
    assert.equal(score.status, 200, JSON.stringify(score.json));
    assert.deepEqual(score.json.rewards, { agent_1: 4, agent_2: 4 });
    const options = { compat: "reference", time_limit_s: 5 };
    const reset = await post(`${path}/reset`, { task: TASK, seed: 1, options });
    const step = await post(`${path}/step`, { state: reset.json.state, actions });
    assert.equal(step.json.rewards.agent_2, 4);
    assert.match(step.json.observations.agent_1.text, /Tests passed: 1 of 1/);
  });
  await closeCodingSandbox();
});

Deno.test("postActions takes a slow step once, however many ask for it", async () => {
  await withEdge(async ({ store }) => {
    const relay = createRelay();
    let steps = 0;
    let release = () => {};
    const gate = new Promise<void>((resolve) => release = resolve);
    const slow = {
      ...relay,
      async step(...turn: Parameters<typeof relay.step>) {
        steps++;
        await gate;
        return relay.step(...turn);
      },
    };
    const episodes = await createEpisodes(store, () => slow);
    await episodes.openEpisodes([relaySpec("e1")]);
    await episodes.postActions([relayPost("e1", 1, "left")]);
    const last = relayPost("e1", 1, "right");
    const asked = [episodes.postActions([last]), episodes.postActions([last])];
    while (steps === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    asked.push(episodes.postActions([last]));
    await new Promise((resolve) => setTimeout(resolve, 50));
    release();
    const answers = await Promise.all(asked);
    assert.equal(steps, 1);
    assert.deepEqual(answers.map(([answer]) => answer!.status).sort(), [
      ...["repeated", "repeated", "stored"],
    ]);
    for (const [answer] of answers) {
      assert.ok(answer!.status !== "error" && answer!.reward === last.text.length);
    }
  });
});
