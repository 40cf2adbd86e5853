/**
 * Several hosts, killed processes and lost answers: every episode is complete and counted once.
 */
import assert from "node:assert/strict";
import { openStore } from "../../shared/store/connect.ts";
import { createEpisodes, type Episodes } from "../../shared/store/episodes.ts";
import { startFlakyProxy } from "../support/flaky_proxy.ts";
import { resolveRelay } from "../support/relay.ts";
import {
  relayPost,
  relaySpec,
  testOnEveryStore,
  testOnServer,
  testOnSqld,
} from "../support/stores.ts";

const agents = ["left", "right"];

/** Plays one agent until nothing is running any more; returns how many of its posts were stored. */
async function host(episodes: Episodes, agent: string, total: number): Promise<number> {
  let stored = 0;
  while ((await episodes.completions(null, 0, total)).length < total) {
    const views = await episodes.pending(agent, null, 16);
    const posts = views.map(({ episode_id, turn }) => relayPost(episode_id, turn, agent));
    for (const result of await episodes.postActions(posts)) {
      if (result.status === "stored") stored++;
    }
  }
  return stored;
}

testOnEveryStore("postActions serves two hosts per agent at once", async ({ anotherHost }) => {
  const hosts = await Promise.all([0, 1, 2, 3].map(async () => (await anotherHost()).episodes));
  const ids = Array.from({ length: 60 }, (_, i) => `e${i}`);
  await Promise.all(hosts.map((one) => one.openEpisodes(ids.map((id) => relaySpec(id)))));
  const stored = await Promise.all(hosts.map((one, i) => host(one, agents[i % 2]!, ids.length)));
  assert.equal(stored.reduce((a, b) => a + b), ids.length * 2 * 2);
  const log = await hosts[0]!.completions(null, 0, 1000);
  assert.deepEqual(log.map(({ episode_id }) => episode_id).sort(), [...ids].sort());
  for (const { turns } of await hosts[0]!.transcripts(ids)) {
    assert.deepEqual(
      turns.map(({ rewards }) => rewards),
      [1, 2].map(() => ({ left: 9, right: 10 })),
    );
  }
});

testOnSqld("postActions is done once when answers are lost", async ({ server, episodes }) => {
  const proxy = startFlakyProxy(server!.url);
  const store = await openStore(proxy.url);
  try {
    const flaky = await createEpisodes(store, resolveRelay);
    proxy.misbehave("lose answer", 429);
    await flaky.openEpisodes([relaySpec("e1", { options: { turns: 1 } })]);
    proxy.misbehave("lose answer", 503, "lose answer");
    const posts = agents.map((agent) => relayPost("e1", 1, agent));
    const results = await flaky.postActions(posts);
    const [left, right] = [{ reward: 9 }, { reward: 10 }]
      .map((reward) => ({ status: "repeated", turn: 1, episode_status: "finished", ...reward }));
    assert.deepEqual(results, [left, right]);
    assert.equal((await episodes.completions(null, 0, 10)).length, 1);
    const before = proxy.requests;
    proxy.misbehave(401);
    await assert.rejects(flaky.episodes(["e1"]), {
      code: "unauthorized",
      message: `Cannot use database '${proxy.url}': the server refused the token`,
    });
    assert.equal(proxy.requests, before + 1);
  } finally {
    await store.close();
    await proxy.stop();
  }
});

/** Starts a writer and collects its acknowledgements, one line each. */
function startWriter(url: string, prefix: string) {
  const script = new URL("../support/store_writer.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, url, prefix],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines: string[] = [];
  const reading = (async () => {
    let text = "";
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      const parts = (text + chunk).split("\n");
      text = parts.pop()!;
      lines.push(...parts);
    }
  })();
  return {
    lines,
    async until(count: number) {
      while (lines.length < count) await new Promise((resume) => setTimeout(resume, 5));
    },
    async kill() {
      child.kill("SIGKILL");
      await child.status;
      await reading;
    },
  };
}

/** Everything acknowledged is there, and an episode with both actions has ended, once. */
async function checkAcknowledged(episodes: Episodes, lines: string[]): Promise<void> {
  assert.ok(lines.length > 0);
  const acted = Map.groupBy(lines, (line) => line.split(" ")[0]!);
  const ids = [...acted.keys()];
  for (const { id, turns } of await episodes.transcripts(ids)) {
    for (const line of acted.get(id)!) {
      const agent = line.split(" ")[1]!;
      assert.equal(turns[0]!.agents[agent]!.action?.text, `${agent} on 1`, line);
    }
  }
  const log = await episodes.completions(null, 0, 1e6);
  const ended = log.map(({ episode_id }) => episode_id);
  assert.equal(new Set(ended).size, ended.length);
  for (const id of ids) assert.ok(acted.get(id)!.length < 2 || ended.includes(id), id);
}

Deno.test("openStore finds everything acknowledged before kill -9 (file)", async () => {
  const folder = await Deno.makeTempDir({ prefix: "collm-kill-" });
  const url = `file:${folder}/store.db`;
  const lines: string[] = [];
  try {
    for (const [round, count] of [40, 150, 301].entries()) {
      const writer = startWriter(url, `round${round}-`);
      await writer.until(count);
      await writer.kill();
      lines.push(...writer.lines);
      const store = await openStore(url);
      await checkAcknowledged(await createEpisodes(store, resolveRelay), lines);
      await store.close();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("openStore says that a running process owns the file", async () => {
  const folder = await Deno.makeTempDir({ prefix: "collm-owner-" });
  const url = `file:${folder}/store.db`;
  const writer = startWriter(url, "e");
  try {
    await writer.until(1);
    await assert.rejects(openStore(url), {
      code: "unavailable",
      message: `Cannot open database '${url}': another process owns it`,
    });
    const before = writer.lines.length;
    await writer.until(before + 20);
  } finally {
    await writer.kill();
    await Deno.remove(folder, { recursive: true });
  }
});

testOnSqld(
  "postActions goes on when server and writer are killed",
  async ({ server, episodes }) => {
    const writers = [startWriter(server!.url, "a"), startWriter(server!.url, "b")];
    for (const count of [30, 120]) {
      await Promise.all(writers.map((writer) => writer.until(count)));
      await server!.restart();
    }
    await writers[0]!.until(200);
    for (const writer of writers) await writer.kill();
    await checkAcknowledged(episodes, writers.flatMap(({ lines }) => lines));
  },
);

testOnServer("openStore needs network and environment access alone", async ({ url }) => {
  const script = new URL("../support/edge_permissions.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--no-prompt", "--allow-net", "--allow-env", script, url],
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  const log = JSON.parse(new TextDecoder().decode(stdout));
  assert.deepEqual(log, [{
    ...{ cursor: 1, episode_id: "e1", run_id: null, purpose: "train" },
    ...{ status: "finished", cause: null },
  }]);
});
