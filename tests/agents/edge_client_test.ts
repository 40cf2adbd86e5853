/**
 * The client of the edge: the episode protocol through HTTP is the one of the store.
 */
import assert from "node:assert/strict";
import { openEdge } from "../../agents/edge_client.ts";
import { createRun } from "../../shared/store/runs.ts";
import { listen } from "../../shared/wire/listen.ts";
import { type TestEdge, withEdge } from "../routes/edge.ts";
import { freePort } from "../support/sqld.ts";
import { relayPost, relaySpec } from "../support/stores.ts";

async function served(body: (edge: TestEdge & { url: string }) => Promise<void>): Promise<void> {
  await withEdge(async (edge) => {
    const { url, drain } = listen({ host: "127.0.0.1", port: 0, token: undefined }, edge.app.fetch);
    try {
      await body({ ...edge, url });
    } finally {
      await drain();
    }
  });
}

Deno.test("openEdge opens, observes and acts as the store itself does", async () => {
  await served(async ({ url, episodes }) => {
    const edge = openEdge(`${url}/`);
    const specs = Array.from({ length: 300 }, (_, i) => relaySpec(`e${i}`));
    const opened = await edge.openEpisodes(specs);
    assert.deepEqual(opened, await episodes.episodes(specs.map(({ id }) => id)));
    assert.deepEqual(await edge.openEpisodes(specs.slice(0, 2)), opened.slice(0, 2));
    const views = await edge.pending("left", null, 300);
    assert.deepEqual(views, await episodes.pending("left", null, 300));

    const posts = specs.map(({ id }) => relayPost(id, 1, "left"));
    const results = await edge.postActions([...posts, relayPost("none", 1, "left")]);
    assert.deepEqual(
      results.slice(0, 300),
      posts.map(() => (
        { status: "stored", turn: 1, episode_status: "running" }
      )),
    );
    const last = results[300]!;
    assert.equal(last.status === "error" && last.error.code, "not_found");
    const [again, other] = await edge.postActions([
      ...[posts[0]!, { ...posts[1]!, text: "another" }],
    ]);
    assert.equal(again!.status, "repeated");
    assert.equal(other!.status === "error" && other!.error.code, "conflict");
    const mixed = ["right", "left"].map((agent, at) => relayPost("e0", 1 + at, agent));
    assert.deepEqual((await edge.postActions(mixed)).map((one) => "reward" in one && one.reward), [
      ...[10, false],
    ]);
    const [transcript] = await episodes.transcripts(["e0"]);
    const { episode_id: _, turn: __, agent: ___, ...payload } = posts[0]!;
    assert.deepEqual(transcript!.turns[0]!.agents["left"]!.action, payload);
  });
});

Deno.test("openEdge throws the errors of the edge", async () => {
  await served(async ({ url, store }) => {
    const edge = openEdge(url);
    await createRun(store, {
      ...{ id: "r1", environment: "relay", options: {}, config: {}, agents: [] },
    });
    assert.equal((await edge.run("r1")).environment, "relay");
    await assert.rejects(edge.run("r 9/x"), {
      code: "not_found",
      message: "Cannot read run 'r 9/x': it does not exist",
    });
    await assert.rejects(edge.openEpisodes([relaySpec("e1", { run_id: "r9" })]), {
      code: "not_found",
      message: "Cannot open episode 'e1': run 'r9' does not exist",
    });
  });
});

Deno.test("openEdge gives up on an address without a server", async () => {
  const edge = openEdge(`http://127.0.0.1:${freePort()}`, { retries: 1 });
  await assert.rejects(edge.pending("left", null, 1), { code: "unavailable" });
});
