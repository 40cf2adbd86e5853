/**
 * Environments that servers of OpenEnv's protocol play: a team on an edge of ours, a server of
 * another kind with one agent, sessions that are lost, servers that refuse.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { useEnvironment } from "../../shared/environments/load.ts";
import { createEnvironment } from "../../shared/environments/registry.ts";
import { createOpenEnv } from "../../shared/environments/remote_openenv.ts";
import { callJson } from "../../shared/wire/call.ts";
import { listen } from "../../shared/wire/listen.ts";
import { resolveConfig } from "../../train/config.ts";
import { run } from "../../train/run.ts";
import { RunFolder } from "../../train/run_folder.ts";
import { withEdge } from "../routes/edge.ts";

/** An edge of ours on a free port. */
async function served(
  body: (url: string) => Promise<void>,
  changes: Parameters<typeof withEdge>[1] = {},
): Promise<void> {
  await withEdge(async ({ app }) => {
    const { url, drain } = listen({ host: "127.0.0.1", port: 0, token: undefined }, app.fetch);
    try {
      await body(`${url}/openenv/str_build`);
    } finally {
      await drain();
    }
  }, changes);
}

const ACTIONS = { agent_1: "/setblock 0 0 0 stone", agent_2: "/setblock 0 4 0 obsidian" };
const OPTIONS = { turns: 2, reset: { options: { turns: 2, prompt_style: "compact" } } };

Deno.test("an environment over OpenEnv plays a team as the edge there does", async () => {
  await served(async (url) => {
    const id = await useEnvironment(url);
    const environment = createEnvironment(id, OPTIONS);
    assert.equal(environment.title, "StrBuild");
    assert.deepEqual(environment.agents, ["agent_1", "agent_2"]);
    const { task } = environment.item("eval", 0);
    const { state, observations } = await environment.reset(task, 1);
    assert.match(observations["agent_2"]!.text, /^t1 a2 /);
    const first = await environment.step(task, state, ACTIONS);
    assert.match(first.observations["agent_1"]!.text, /^t2 r\S+ a1 /);
    assert.deepEqual((await environment.score(task, ACTIONS)).rewards, first.rewards);
    const second = await environment.step(task, first.state, ACTIONS);
    assert.deepEqual(second.observations, {});
    assert.deepEqual([second.terminations["agent_1"], second.truncations["agent_1"]], [
      true,
      false,
    ]);

    // Another process has no session of this episode: it plays it again.
    const [metadata, schema] = await Promise.all(
      ["metadata", "schema"].map((path) => callJson("GET", `${url}/${path}`, undefined, {})),
    );
    const server = { id, url, token: undefined, schema };
    const other = createOpenEnv({
      ...server,
      metadata: metadata as { name: string; description: string },
    }, OPTIONS);
    const again = await other.step({ seed: 0 }, first.state as never, ACTIONS);
    assert.deepEqual(again, second);
    await assert.rejects(async () => await environment.step(task, second.state, ACTIONS), {
      code: "conflict",
    });
  });
});

Deno.test("train plays an environment over OpenEnv", async () => {
  const folder = await Deno.makeTempDir({ prefix: "collm-openenv-" });
  try {
    await served(async (source) => {
      const sets = [
        "rollout.episodes_per_batch=4",
        "rollout.max_tokens=4",
        "evaluation.episodes=2",
      ];
      const config = await resolveConfig({
        sets: [...sets, "budget.joint_evaluations=8", "evaluation.every=0", "checkpoint.every=0"],
        flags: {
          environment: {
            source,
            options: { turns: 1, reset: { options: { turns: 1, prompt_style: "compact" } } },
          },
        },
      });
      const quiet = { note: () => {}, update: () => {}, done: () => {} };
      const { result, roles } = await run(
        RunFolder.create(join(folder, "run"), config),
        { device: "cpu" },
        quiet,
      );
      assert.ok(result.joint_evaluations >= 8);
      await roles.close();
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** A server of another kind: one agent echoes; `capacity` sessions. */
function echoServer(capacity: number) {
  let active = 0;
  const text = { type: "object", properties: { message: { type: "string" } } };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/metadata") return Response.json({ name: "Echo", description: "Echoes" });
    if (pathname === "/schema") {
      const properties = { echoed: { type: "string" }, length: { type: "integer" } };
      return Response.json({
        action: { ...text, required: ["message"] },
        observation: { type: "object", properties, required: ["echoed"] },
        state: { type: "object" },
      });
    }
    const { socket, response } = Deno.upgradeWebSocket(request);
    let steps = 0;
    const send = (type: string, data: unknown) => socket.send(JSON.stringify({ type, data }));
    const full = active >= capacity;
    socket.onopen = () => active++;
    socket.onclose = () => active--;
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (full) {
        return send("error", { code: "CAPACITY_REACHED", message: "No session is free" });
      }
      if (message.type === "reset") steps = 0;
      else steps++;
      const echoed = steps === 0 ? `seed ${message.data.seed}` : message.data.message;
      const reward = steps === 0 ? null : echoed.length;
      send("observation", { observation: { echoed }, reward, done: echoed === "stop" });
    };
    return response;
  });
  return { url: `http://127.0.0.1:${server.addr.port}`, end: () => server.shutdown() };
}

Deno.test("an environment over OpenEnv has one agent whose text is the action's one field", async () => {
  const { url, end } = echoServer(1);
  const id = await useEnvironment(url);
  const environment = createEnvironment(id, { turns: 3 });
  assert.deepEqual([environment.title, [...environment.agents]], ["Echo", ["agent_1"]]);
  const { task } = environment.task({ seed: 5 });
  const { state, observations } = await environment.reset(task, 0);
  assert.deepEqual(observations["agent_1"], { turn: 1, text: "seed 5", messages: null });
  const step = await environment.step(task, state, { agent_1: "four" });
  assert.deepEqual(step.rewards, { agent_1: 4 });
  assert.deepEqual(step.observations["agent_1"], { turn: 2, text: "four", messages: null });
  // The one session there is goes to who begins; the first episode is played again in it.
  assert.deepEqual((await environment.reset(task, 0)).observations, observations);
  const last = await environment.step(task, step.state, { agent_1: "stop" });
  assert.deepEqual([last.terminations, last.observations], [{ agent_1: true }, {}]);
  const other = new WebSocket(`${url.replace("http", "ws")}/ws`);
  await new Promise((resolve) => other.onopen = resolve);
  await assert.rejects(async () => await environment.reset(task, 0), {
    code: "unavailable",
    message: `Cannot play at ${url}: "CAPACITY_REACHED" No session is free`,
  });
  other.close();
  await end();
  await assert.rejects(async () => await environment.reset(task, 0), { code: "unavailable" });
});

Deno.test("an environment over OpenEnv is cut off after its turns", async () => {
  const { url, end } = echoServer(4);
  const environment = createEnvironment(await useEnvironment(url), { turns: 1 });
  const { task } = environment.item("train", 0);
  const { state } = await environment.reset(task, 0);
  const step = await environment.step(task, state, { agent_1: "go on" });
  assert.deepEqual([step.terminations, step.truncations], [{ agent_1: false }, { agent_1: true }]);
  assert.throws(() => environment.task("nothing"), { code: "invalid_request" });
  await end();
});

Deno.test("episodes over OpenEnv go on with few sessions, and after their sessions are lost", async () => {
  await served(async (url) => {
    const environment = createEnvironment(await useEnvironment(url), OPTIONS);
    const { task } = environment.item("train", 1);
    const states = [];
    // More than the server has sessions: those begun first are given up.
    for (let i = 0; i < 5; i++) states.push((await environment.reset(task, 1)).state);
    const steps = [];
    for (const state of states) steps.push(await environment.step(task, state, ACTIONS));
    for (const { rewards, state } of steps) {
      assert.deepEqual([rewards, state], [steps[0]!.rewards, steps[0]!.state]);
    }
    const last = await environment.step(task, steps[0]!.state, ACTIONS);
    assert.equal(last.terminations["agent_1"], true);
    await assert.rejects(async () => await environment.step(task, last.state, ACTIONS), {
      code: "conflict",
    });
    await environment.score(task, ACTIONS);
  }, { openenv_sessions: 2 });
});
