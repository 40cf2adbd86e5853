/**
 * `deno task agent` as processes against an edge process: a host that is killed and started again
 * goes on, an edge that goes away and comes back is found again, every episode counts once.
 */
import assert from "node:assert/strict";
import { openEdge } from "../../agents/edge_client.ts";
import { createEnvironment } from "../../shared/environments/registry.ts";
import { openStore } from "../../shared/store/connect.ts";
import { createEpisodes, type EpisodeSpec } from "../../shared/store/episodes.ts";
import { callJson } from "../../shared/wire/call.ts";
import { runConfig } from "../../train/config_schema.ts";
import { finish, until } from "../support/process.ts";
import { startProcess } from "../support/server_process.ts";
import { answerTo, scripted, serveNode } from "./scripted.ts";

const SCRIPT = "agents/main.ts";
const AGENTS = ["agent_1", "agent_2"];
const TURNS = 3;
const { max_tokens, temperature } = runConfig.parse({}).rollout;

const spec = (id: string, item: number): EpisodeSpec => {
  const options = { turns: TURNS, prompt_style: "compact" };
  const { id: item_id, task } = createEnvironment("str_build", options).item("eval", item);
  return {
    ...{ id, run_id: null, environment: "str_build", options, item_id, task, seed: item },
    ...{ turn_seeds: null, stop_above: null, purpose: "train", policy_versions: null },
    deadline_at: null,
  };
};

Deno.test("deno task agent goes on after kill -9 of a host and a restart of the edge", async () => {
  const folder = await Deno.makeTempDir({ prefix: "collm-hosts-" });
  const db = `file:${folder}/edge.db`;
  const { node } = await scripted();
  const gpu = serveNode(node);
  const env = { COLLM_TOKEN: "learner", COLLM_SECRET: "a secret that stays" };
  let edge = await startProcess("routes/main.ts", ["--port", "0", "--db", db], { env });
  const { url } = edge;
  const client = openEdge(url, { token: "learner" });
  const tokens = new Map<string, string>();
  for (const agent of AGENTS) {
    const answer = await callJson("POST", `${url}/v1/tokens`, { agent }, { token: "learner" });
    tokens.set(agent, (answer as { token: string }).token);
  }
  const start = (agent: string) =>
    startProcess(SCRIPT, [
      ...["--agent", agent, "--edge", url, "--gpu", gpu.url, "--token", tokens.get(agent)!],
      ...["--batch", "4"],
    ]);
  // deno-lint-ignore no-explicit-any -- any episode
  const read = (id: string): Promise<any> =>
    callJson("GET", `${url}/v1/episodes/${id}`, undefined, { token: "learner" });
  const finished = async (ids: string[]) => {
    await until(`the end of ${ids.length} episodes`, async () => {
      return (await Promise.all(ids.map(read))).every(({ status }) => status === "finished");
    }, 60);
  };
  const first = Array.from({ length: 12 }, (_, i) => `a${i}`);
  const second = Array.from({ length: 12 }, (_, i) => `b${i}`);
  let hosts = new Map<string, Awaited<ReturnType<typeof start>>>();
  try {
    await client.openEpisodes(first.map(spec));
    hosts = new Map(await Promise.all(AGENTS.map(async (a) => [a, await start(a)] as const)));

    // Killed in the middle of a batch: sampled, not posted.
    let sampled = 0;
    let killed: Promise<number> | undefined;
    node.before = ({ policy }) => {
      if (policy === "agent_1" && ++sampled === 4) killed = hosts.get(policy)!.end("SIGKILL");
      return new Promise((resume) => setTimeout(resume, 20));
    };
    await until("the kill", () => killed !== undefined, 60);
    await killed;
    hosts.set("agent_1", await start("agent_1"));
    await finished(first);

    assert.equal(await edge.end(), 0);
    const { port } = new URL(url);
    edge = await startProcess("routes/main.ts", ["--port", port, "--db", db], { env });
    await client.openEpisodes(second.map(spec));
    await finished(second);
    assert.ok(hosts.get("agent_2")!.stderr.some((line) => /^Stream of agent .* lost/.test(line)));
  } finally {
    const codes = await Promise.all([...hosts.values()].map((host) => host.end()));
    const code = await edge.end();
    await gpu.stop();
    assert.deepEqual([codes, code], [[0, 0], 0]);
  }

  const store = await openStore(db);
  try {
    const episodes = await createEpisodes(store, createEnvironment);
    const ids = [...first, ...second];
    const log = await episodes.completions(null, 0, 100);
    assert.deepEqual(log.map(({ episode_id }) => episode_id).sort(), ids.sort());
    for (const { id, turns } of await episodes.transcripts(ids)) {
      assert.equal(turns.length, TURNS, id);
      for (const { agents, rewards } of turns) {
        assert.deepEqual(Object.keys(rewards!), AGENTS);
        for (const agent of AGENTS) {
          const { text, prompt_tokens, seed, sampling } = agents[agent]!.action!;
          assert.equal(text, answerTo(prompt_tokens!, seed!));
          assert.deepEqual(sampling, { max_tokens, temperature });
        }
      }
    }
  } finally {
    await store.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("deno task agent refuses wrong flags with one sentence", async () => {
  const needed = ["--agent", "a", "--edge", "http://127.0.0.1:1", "--gpu", "http://127.0.0.1:1"];
  const refusals: [string[], RegExp][] = [
    [needed.slice(0, 4), /^error: required option '--gpu <url>' not specified$/],
    [
      [...needed, "--edge", "localhost:8000"],
      /^Error: Cannot use --edge 'localhost:8000': expected an address that begins with http:\/\/ or/,
    ],
    [
      [...needed, "--temperature", "hot"],
      /^Error: Cannot use --temperature 'hot': expected 0 \(greedy\) or a number from 0.001 to 1000$/,
    ],
    [
      [...needed, "--max-tokens", "1.5"],
      /^Error: Cannot use --max-tokens '1.5': expected a whole number from 1 to/,
    ],
    [[...needed, "--tokenizer", "no/such/folder"], /^Error: .*no\/such\/folder/],
  ];
  for (const [args, sentence] of refusals) {
    const { code, stderr } = await finish(SCRIPT, ...args);
    assert.equal(code, 1);
    assert.match(stderr.trim(), sentence);
    assert.equal(stderr.trim().split("\n").length, 1);
  }
});
