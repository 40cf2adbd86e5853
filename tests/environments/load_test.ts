/**
 * Environments from elsewhere, as `--env` names them: a module, another edge; teams of 1, 3 and 16
 * that train on them and play over HTTP.
 */
import assert from "node:assert/strict";
import { join, resolve } from "node:path";
import addUp from "../../docs/add_up.ts";
import { environmentSource, isSource, useEnvironment } from "../../shared/environments/load.ts";
import { RemoteEnvironment } from "../../shared/environments/remote.ts";
import { createEnvironment, environmentIds } from "../../shared/environments/registry.ts";
import { callJson } from "../../shared/wire/call.ts";
import { resolveConfig } from "../../train/config.ts";
import { run } from "../../train/run.ts";
import { RunFolder } from "../../train/run_folder.ts";
import { finish } from "../support/process.ts";
import { type ServerProcess, startProcess } from "../support/server_process.ts";

const EXAMPLE = "docs/add_up.ts";
const TINY = [
  ...["rollout.episodes_per_batch=4", "rollout.max_tokens=4", "budget.joint_evaluations=8"],
  ...["evaluation.episodes=2", "evaluation.every=0", "checkpoint.every=0"],
];

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "collm-load-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** An edge that serves the example. */
async function withEdge(body: (edge: ServerProcess) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    const edge = await startProcess("routes/main.ts", [
      ...["--port", "0", "--db", `file:${folder}/edge.db`, "--env", EXAMPLE],
    ]);
    try {
      await body(edge);
    } finally {
      await edge.end();
    }
  });
}

/** Trains for two small batches; the agents that have learnt. */
async function train(source: string, sets: string[]): Promise<string[]> {
  let agents: string[] = [];
  await inFolder(async (folder) => {
    const flags = { environment: { source: environmentSource(source) } };
    const config = await resolveConfig({ sets: [...TINY, ...sets], flags });
    const runFolder = RunFolder.create(join(folder, "run"), config);
    const { result, roles } = await run(runFolder, { device: "cpu" }, {
      ...{ note: () => {}, update: () => {}, done: () => {} },
    });
    assert.ok(result.joint_evaluations >= 8);
    agents = [...roles.environment.agents];
    await roles.close();
  });
  return agents;
}

Deno.test("isSource tells modules and addresses from ids", () => {
  const sources = ["./a.ts", "../b.js", "a.ts", "dir/env.mts", "http://h:1/v1/environments/x"];
  for (const source of sources) assert.ok(isSource(source), source);
  for (const id of ["str_build", "tldr", "ts"]) assert.ok(!isSource(id), id);
  assert.equal(environmentSource("a.ts"), resolve("a.ts"));
});

Deno.test("useEnvironment refuses what is no environment", async () => {
  const refused = (source: string, message: RegExp) =>
    assert.rejects(useEnvironment(resolve(source)), { code: "invalid_request", message });
  await refused("docs/none.ts", /^Cannot load environment '.*none.ts': /);
  await refused("shared/random.ts", /its default export is not what defineEnvironment gives$/);
  await assert.rejects(useEnvironment("http://127.0.0.1:1/x"), {
    code: "unavailable",
    message: /^Cannot reach http:\/\/127\.0\.0\.1:1\/x\/(metadata|schema): /,
  });
});

Deno.test("train plays both turns of a module's environment with 1, 3 and 16 agents", async () => {
  for (const agents of [1, 3, 16]) {
    const names = Array.from({ length: agents }, (_, i) => `agent_${i + 1}`);
    const sets = [`environment.options.agents=${agents}`, "environment.options.turns=2"];
    // Long answers, as an untrained policy gives them: prompts must not grow with them.
    assert.deepEqual(await train(EXAMPLE, [...sets, "rollout.max_tokens=24"]), names);
  }
  assert.ok(environmentIds().includes("add_up"));
});

Deno.test("the edge plays a module's environment with 1, 3 and 16 agents, in a token and in the store", async () => {
  await withEdge(async ({ url }) => {
    for (const agents of [1, 3, 16]) {
      // deno-lint-ignore no-explicit-any -- any answer
      const post = (path: string, body: unknown): Promise<any> =>
        callJson("POST", url + path, body, {});
      const game = { task: "add_up_eval_2", options: { agents } };
      const { state, agents: names } = await post("/v1/environments/add_up/reset", game);
      assert.equal(names.length, agents);
      const each = (text: string) => Object.fromEntries(names.map((name: string) => [name, text]));
      const step = await post("/v1/environments/add_up/step", { state, actions: each("1") });
      const reward = 1 - (37 - agents) / 37;
      assert.deepEqual(
        step.rewards,
        each("1") && Object.fromEntries(
          names.map((name: string) => [name, reward]),
        ),
      );
      const { id } = await post("/v1/episodes", { environment: "add_up", ...game });
      for (const turn of [1, 2]) {
        for (const name of names) {
          await post(`/v1/episodes/${id}/actions/${name}`, { turn, text: "1" });
        }
      }
      const { status, turns } = await callJson(
        "GET",
        `${url}/v1/episodes/${id}`,
        undefined,
        {},
      ) as {
        status: string;
        turns: { rewards: Record<string, number> }[];
      };
      assert.equal(status, "finished");
      assert.deepEqual(turns.map(({ rewards }) => rewards["agent_1"]), [reward, reward]);
    }
  });
});

Deno.test("an environment of another edge plays as it does there, and trains", async () => {
  await withEdge(async ({ url }) => {
    const source = `${url}/v1/environments/add_up`;
    const id = await useEnvironment(source, { agents: 3 });
    assert.match(id, /^add_up-127\.0\.0\.1-\d+$/);
    const [remote, local] = [createEnvironment(id, { agents: 3 }), addUp.create({ agents: 3 })];
    assert.deepEqual(remote.options, local.options);
    assert.deepEqual(remote.splits(), local.splits());
    const mine = local.item("eval", 3);
    const theirs = remote.item("eval", 3);
    assert.deepEqual(remote.task(theirs.id), theirs);
    for (const task of [theirs.task, remote.task("add_up_eval_3").task]) {
      const [there, here] = [await remote.reset(task, 1), await local.reset(mine.task, 1)];
      assert.deepEqual(there.observations, here.observations);
      const actions = { agent_1: "20", agent_2: "20", agent_3: "8" };
      const after = await remote.step(task, there.state, actions);
      const { state: _, ...expected } = await local.step(mine.task, here.state, actions);
      assert.deepEqual({ ...after, state: undefined }, { ...expected, state: undefined });
      assert.deepEqual(await remote.score(task, actions), await local.score(mine.task, actions));
    }
    await assert.rejects(async () => await remote.reset(remote.item("eval", 9).task, 1), {
      code: "not_found",
    });
    assert.throws(() => createEnvironment(id, { agents: 5 }), {
      code: "invalid_request",
      message: `Cannot create environment '${id}' with options {"agents":5}: this process plays ` +
        "it with the options that it was started with",
    });
    await assert.rejects(useEnvironment(source, { agents: 17 }), { code: "invalid_request" });
    assert.deepEqual(await train(source, ["environment.options.turns=1"]), ["agent_1", "agent_2"]);
  });
});

Deno.test("an environment of another edge is refused where an answer leaves out an agent", async () => {
  const agents = ["agent_1", "agent_2"];
  const each = <T>(value: T, names = agents) =>
    Object.fromEntries(names.map((agent) => [agent, value]));
  const seen = { turn: 1, text: "go", messages: null };
  const whole = {
    ...{ observations: {}, infos: {}, components: {}, state: "s", agents },
    ...{ rewards: each(1), terminations: each(true), truncations: each(false) },
  };
  let answer: Record<string, unknown> = {};
  const info = {
    ...{ id: "half", title: "Half", description: "", agents, turns: 1, reward_range: [0, 1] },
    ...{ options: {}, splits: [], draws: false },
  };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    ({ method }) => Response.json(method === "GET" ? info : answer),
  );
  try {
    const url = `http://127.0.0.1:${server.addr.port}/v1/environments/half`;
    const remote = new RemoteEnvironment(url, "half", {});
    await remote.describe({});
    const environment = remote.create({});
    const task = { task: "half_eval_0" };
    const verbs = {
      reset: () => environment.reset(task, 0),
      step: () => environment.step(task, "s", each("")),
      score: () => environment.score!(task, each("")),
    };
    const refused = async (verb: keyof typeof verbs, part: string, parts: object, what: string) => {
      answer = { ...whole, observations: verb === "reset" ? each(seen) : {} };
      await verbs[verb]();
      answer = { ...answer, [part]: parts };
      await assert.rejects(async () => await verbs[verb](), {
        code: "unavailable",
        message: `Cannot use the answer of ${url}: it has no ${what} of agent 'agent_2'`,
      });
    };
    await refused("reset", "observations", each(seen, ["agent_1"]), "observation");
    await refused("step", "rewards", each(1, ["agent_1"]), "reward");
    await refused("step", "terminations", each(true, ["agent_1"]), "termination");
    await refused("step", "truncations", each(true, ["agent_1"]), "truncation");
    await refused("step", "observations", each(seen, ["agent_1"]), "observation");
    await refused("score", "rewards", each(1, ["agent_1"]), "reward");
  } finally {
    await server.shutdown();
  }
});

Deno.test("evaluate plays a module's environment", async () => {
  const { code, stdout, stderr } = await finish("train/evaluate.ts", ...[
    ...["--checkpoint", "models/collm-tiny", "--env", `./${EXAMPLE}`, "--episodes", "4", "--json"],
  ]);
  assert.equal(code, 0, stderr);
  const { environment, failed } = JSON.parse(stdout.trim());
  assert.deepEqual([environment, failed], ["add_up", 0]);
});
