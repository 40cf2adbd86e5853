/**
 * Agent hosts in this process against an edge on a socket: acting, failing, going on.
 */
import assert from "node:assert/strict";
import { openEdge } from "../../agents/edge_client.ts";
import { type HostOptions, runHost } from "../../agents/host.ts";
import { openStream } from "../../agents/stream.ts";
import { CollmError } from "../../shared/errors.ts";
import { createRun } from "../../shared/store/runs.ts";
import { listen } from "../../shared/wire/listen.ts";
import { type TestEdge, TOKEN, withEdge } from "../routes/edge.ts";
import { until } from "../support/process.ts";
import { relaySpec } from "../support/stores.ts";
import { answerTo, scripted, type ScriptedNode } from "./scripted.ts";

interface Context extends TestEdge {
  url: string;
  node: ScriptedNode;
  lines: string[];
  /** Starts hosts of both agents; their promises reject when they give up. */
  host(changes?: Partial<HostOptions>): Promise<void>[];
  /** Bodies of the posts of actions by left. */
  posted: string[];
  /** What happens to the next posts of actions by left; then all is well. */
  misbehave(...how: (number | "lose answer")[]): void;
  /** Until so many episodes have ended. */
  ended(count: number): Promise<void>;
}

/** An edge on a socket, and hosts that are stopped at the end. */
async function withHosts(body: (context: Context) => Promise<void>, token?: string) {
  const { tokenizer, node } = await scripted();
  const ending = new AbortController();
  const { signal } = ending;
  const lines: string[] = [];
  const log = (line: string) => void lines.push(line);
  const running: Promise<unknown>[] = [];
  await withEdge(async (edge) => {
    const posted: string[] = [];
    let plan: (number | "lose answer")[] = [];
    const served = listen({ host: "127.0.0.1", port: 0, token }, async (request, info) => {
      const left = request.url.endsWith("/left/actions");
      if (left) {
        const { url, method } = request;
        const headers = new Headers(request.headers);
        const body = await request.text();
        posted.push(body);
        request = new Request(url, { method, headers, body });
      }
      const how = left ? plan.shift() : undefined;
      if (typeof how === "number") return new Response("no", { status: how });
      const answer = await edge.app.fetch(request, info);
      return how === "lose answer" ? new Response("lost", { status: 502 }) : answer;
    });
    const misbehave: Context["misbehave"] = (...how) => void (plan = how);
    const host: Context["host"] = (changes = {}) =>
      ["left", "right"].map((agent) => {
        const { run_id = null } = changes;
        const stream = openStream({ edge: served.url, agent, run_id, token, signal, log });
        const acting = runHost({
          edge: openEdge(served.url, { token }),
          ...{ node, tokenizer, stream, agent, run_id, signal, log, batch: 8 },
          sampling: { temperature: 0.5, max_tokens: 9 },
          ...changes,
        });
        running.push(acting.catch(() => {}), stream.closed);
        return acting;
      });
    const ended = async (count: number) => {
      await until(`${count} ended episodes`, async () => {
        return (await edge.episodes.completions(null, 0, 100)).length === count;
      }, 20);
    };
    try {
      await body({ ...edge, url: served.url, node, lines, host, posted, misbehave, ended });
    } finally {
      ending.abort();
      await Promise.all(running);
      await served.drain();
    }
  }, token === undefined ? {} : { token });
}

const ids = Array.from({ length: 20 }, (_, i) => `e${i}`);

Deno.test("runHost acts on what waits and on what comes, with all a learner needs", async () => {
  await withHosts(async ({ episodes, host, ended, node }) => {
    await episodes.openEpisodes(ids.slice(0, 12).map((id) => relaySpec(id)));
    host();
    await ended(12);
    await episodes.openEpisodes(ids.slice(12).map((id) => relaySpec(id)));
    await ended(20);
    for (const { id, turns } of await episodes.transcripts(ids)) {
      for (const { agents } of turns) {
        for (const [agent, { action }] of Object.entries(agents)) {
          const { prompt_tokens, seed, sampling, policy_version, tokens, logprobs } = action!;
          assert.equal(action!.text, answerTo(prompt_tokens!, seed!), `${id} ${agent}`);
          assert.deepEqual(sampling, { max_tokens: 9, temperature: 0.5 });
          assert.equal(policy_version, "v1");
          assert.deepEqual(logprobs, tokens!.map((_, i) => -1 / (i + 3)));
        }
      }
    }
    assert.ok(node.requests.every(({ prompts }) => prompts.length <= 8));
    assert.deepEqual(
      new Set(node.requests.map(({ policy }) => policy)),
      new Set(["left", "right"]),
    );
  });
});

Deno.test("runHost of a run takes policy and sampling from it, and leaves other runs", async () => {
  await withHosts(async ({ store, episodes, host, ended, node }) => {
    const agents = ["left", "right"].map((name) => ({ name, policy: `${name}-7` }));
    const config = { rollout: { temperature: 0.25, max_tokens: 5 } };
    const run = { environment: "relay", options: {}, agents };
    await createRun(store, { id: "r1", config, ...run });
    await createRun(store, { id: "r2", config: {}, ...run });
    await episodes.openEpisodes([
      ...[relaySpec("other", { run_id: "r2" }), relaySpec("mine", { run_id: "r1" })],
    ]);
    host({ run_id: "r1" });
    await ended(1);
    const [entry] = await episodes.completions(null, 0, 10);
    assert.equal(entry!.episode_id, "mine");
    for (const { temperature, max_tokens, policy } of node.requests) {
      assert.deepEqual([temperature, max_tokens], [0.25, 5]);
      assert.match(policy, /^(left|right)-7$/);
    }
  });
});

Deno.test("runHost goes on when the GPU node comes back, and says once what it lacks", async () => {
  await withHosts(async ({ episodes, host, ended, node, lines }) => {
    const gone = () => new CollmError("unavailable", "Cannot reach http://gpu: refused");
    node.failures = [gone(), gone(), gone()];
    await episodes.openEpisodes([relaySpec("e1")]);
    host();
    await ended(1);
    const said = lines.filter((line) => line === gone().message).length;
    assert.ok(said === 1 || said === 2, "once per host that saw it");
    assert.ok(lines.some((line) => /^Agent '(left|right)' goes on$/.test(line)));
  });
});

Deno.test("runHost puts aside what cannot be sampled, and nothing else", async () => {
  await withHosts(async ({ episodes, host, ended, node, lines }) => {
    const long = "w".repeat(50);
    node.before = ({ prompts }) => {
      if (prompts.every(({ length }) => length < 50)) return Promise.resolve();
      throw new CollmError("invalid_request", "Cannot sample: prompt is too long");
    };
    await episodes.openEpisodes([
      relaySpec("long", { task: { word: long } }),
      ...ids.map((id) => relaySpec(id)),
    ]);
    host();
    await ended(20);
    assert.equal((await episodes.episodes(["long"]))[0]!.status, "running");
    assert.deepEqual(
      lines.sort(),
      ["left", "right"].map((agent) =>
        `Agent '${agent}' puts episode 'long' aside: Cannot sample: prompt is too long`
      ),
    );
  });
});

Deno.test("runHost posts exactly once when answers are lost", async () => {
  await withHosts(async ({ episodes, host, ended, misbehave, lines, posted }) => {
    await episodes.openEpisodes(ids.map((id) => relaySpec(id)));
    misbehave("lose answer", 503, "lose answer");
    host();
    await ended(20);
    assert.equal((await episodes.completions(null, 0, 100)).length, 20);
    assert.deepEqual(lines, []);
    assert.equal(new Set(posted).size, posted.length - 3, "the same payload, once more per loss");
    for (const { turns } of await episodes.transcripts(ids)) {
      const { left, right } = turns[1]!.agents;
      assert.equal(left!.action!.text, answerTo(left!.action!.prompt_tokens!, left!.action!.seed!));
      assert.ok(right!.action!.text.startsWith("say "));
    }
  });
});

Deno.test("runHost gives up when the edge does not take its token", async () => {
  await withHosts(async ({ host, post, url, episodes }) => {
    const wrong = host({ edge: openEdge(url, { token: "wrong" }) });
    for (const one of wrong) await assert.rejects(one, { code: "unauthorized" });
    await episodes.openEpisodes([relaySpec("e1")]);
    const { json } = await post("/v1/tokens", { agent: "left" }, TOKEN);
    const [left, right] = host({ edge: openEdge(url, { token: json.token }) });
    await assert.rejects(right!, {
      code: "forbidden",
      message: "Cannot act as agent 'right': this token is for agent 'left'",
    });
    await until("the action of left", async () => {
      return (await episodes.observations("left", ["e1"]))[0]!.status === "acted";
    }, 20);
    assert.equal(await Promise.race([left!.then(() => "ended"), Promise.resolve("on")]), "on");
  }, TOKEN);
});
