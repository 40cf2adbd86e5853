/**
 * The stream of an agent over a real socket: notices, tokens, other processes' writes, draining.
 */
import assert from "node:assert/strict";
import { loadWebSocketClient } from "../../deps.ts";
import type { EdgeDeps } from "../../routes/edge.ts";
import { listen } from "../../shared/wire/listen.ts";
import { relayPost, relaySpec, testOnEveryStore } from "../support/stores.ts";
import { until } from "../support/process.ts";
import { createApp } from "../../routes/app.ts";
import { assertProblem, relayRequest, resolveAll, type TestEdge, TOKEN, withEdge } from "./edge.ts";

interface Heard {
  notices: { type: string; agent: string; episodes: string[] }[];
  closed: { code: number; reason: string } | null;
  refused: number | null;
  ping(): Promise<void>;
  close(): void;
}

const { WebSocket } = await loadWebSocketClient();

/** Listens to a stream until it is closed. */
function hear(url: string, path: string, token?: string): Heard {
  const headers: Record<string, string> = token === undefined
    ? {}
    : { authorization: `Bearer ${token}` };
  const socket = new WebSocket(url.replace("http", "ws") + path, { headers });
  const heard: Heard = {
    ...{ notices: [], closed: null, refused: null },
    ping: () =>
      new Promise((resume) => {
        socket.once("pong", () => resume());
        socket.ping();
      }),
    close: () => socket.close(),
  };
  socket.on("message", (data) => heard.notices.push(JSON.parse(String(data))));
  socket.on("close", (code, reason) => heard.closed = { code, reason: reason.toString() });
  socket.on("error", () => {});
  socket.on("unexpected-response", (_request, response) => {
    heard.refused = response.statusCode ?? 0;
    socket.terminate();
  });
  return heard;
}

/** An edge on a free port. */
async function served(
  body: (edge: TestEdge & { url: string }) => Promise<void>,
  changes: Partial<EdgeDeps> = {},
): Promise<void> {
  await withEdge(async (edge) => {
    const options = { host: "127.0.0.1", port: 0, token: changes.token };
    const { url, drain, finished } = listen(options, edge.app.fetch);
    try {
      await body({ ...edge, url });
    } finally {
      await drain();
      await finished;
    }
  }, changes);
}

Deno.test("GET stream tells of what waits at first and of everything new", async () => {
  await served(async ({ url, post }) => {
    await post("/v1/episodes", relayRequest("e1"));
    const left = hear(url, "/v1/agents/left/stream");
    await until("first notice", () => left.notices.length === 1, 10);
    assert.deepEqual(left.notices[0], { type: "waiting", agent: "left", episodes: ["e1"] });
    await post("/v1/episodes", [relayRequest("e2"), relayRequest("e3")]);
    await until("second notice", () => left.notices.length === 2, 10);
    assert.deepEqual(left.notices[1]!.episodes, ["e2", "e3"]);

    const action = { turn: 1, text: "hi" };
    await post("/v1/episodes/e2/actions/left", action);
    await left.ping();
    assert.equal(left.notices.length, 2, "its own action is no news");
    await post("/v1/episodes/e2/actions/right", action);
    await until("next turn", () => left.notices.length === 3, 10);
    assert.deepEqual(left.notices[2]!.episodes, ["e2"]);
    left.close();
    await until("close", () => left.closed !== null, 10);
  });
});

Deno.test("GET stream checks the token before it opens", async () => {
  await served(async ({ url, post, get }) => {
    const path = "/v1/agents/left/stream";
    const tokenOf = async (body: object) => (await post("/v1/tokens", body, TOKEN)).json.token;
    const right = await tokenOf({ agent: "right" });
    const episode = await tokenOf({ agent: "left", episode_id: "e1" });
    const refusals = [[undefined, 401], ["wrong", 401], [right, 403], [episode, 403]] as const;
    for (const [token, status] of refusals) {
      const heard = hear(url, path, token);
      await until("refusal", () => heard.refused !== null, 10);
      assert.equal(heard.refused, status);
    }
    await post("/v1/episodes", relayRequest("e1"), TOKEN);
    const own = hear(url, path, await tokenOf({ agent: "left" }));
    await until("notice", () => own.notices.length === 1, 10);
    assertProblem(
      await get(path, TOKEN),
      "invalid_request",
      400,
      "Cannot open stream: the request is no WebSocket upgrade",
    );
  }, { token: TOKEN });
});

Deno.test("GET stream refuses an unknown query parameter", async () => {
  await served(async ({ url }) => {
    const heard = hear(url, "/v1/agents/left/stream?run=r1");
    await until("refusal", () => heard.refused !== null, 10);
    assert.equal(heard.refused, 400);
  });
});

Deno.test("GET stream is closed when the edge drains, which does not wait for it", async () => {
  let heard: Heard;
  await served(async ({ url, post }) => {
    await post("/v1/episodes", relayRequest("e1"));
    heard = hear(url, "/v1/agents/left/stream");
    await until("notice", () => heard.notices.length === 1, 10);
  });
  await until("close", () => heard.closed !== null, 10);
  assert.equal(heard!.closed?.code, 1001);
});

Deno.test("GET stream is closed when the store cannot be read", async () => {
  const lines: string[] = [];
  await withEdge(async ({ store, episodes }) => {
    const broken = { ...episodes, pending: () => Promise.reject(new Error("disk I/O error")) };
    const app = await createApp({
      ...{ store, episodes: broken, createEnvironment: resolveAll, environmentIds: () => [] },
      ...{ secret: "s", version: "0.0.1", evaluate: null, log: (line) => lines.push(line) },
    });
    const { url, drain } = listen({ host: "127.0.0.1", port: 0, token: undefined }, app.fetch);
    try {
      const heard = hear(url, "/v1/agents/left/stream");
      await until("close", () => heard.closed !== null, 10);
      assert.deepEqual(heard.closed, { code: 4000, reason: "the edge cannot read its store" });
      assert.deepEqual(lines, ["Stream of agent 'left' is closed: disk I/O error"]);
    } finally {
      await drain();
    }
  });
});

testOnEveryStore("GET stream tells of what other processes wrote", async (context) => {
  const { store, episodes } = context;
  const app = await createApp({
    ...{ store, episodes, createEnvironment: resolveAll, environmentIds: () => [] },
    ...{ secret: "s", version: "0.0.1", evaluate: null },
    poll_ms: 20,
  });
  const options = { host: "127.0.0.1", port: 0, token: undefined };
  const { url, drain, finished } = listen(options, app.fetch);
  try {
    const left = hear(url, "/v1/agents/left/stream");
    const other = await context.anotherHost();
    await other.episodes.openEpisodes([relaySpec("e1")]);
    await until("notice", () => left.notices.length === 1, 10);
    await other.episodes.postActions(["left", "right"].map((one) => relayPost("e1", 1, one)));
    await until("next turn", () => left.notices.length === 2, 10);
    assert.deepEqual(left.notices.map((notice) => notice.episodes), [["e1"], ["e1"]]);
  } finally {
    await drain();
    await finished;
  }
});
