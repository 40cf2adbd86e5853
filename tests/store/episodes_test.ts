/**
 * Episodes are opened once, seen by each agent alone, ended once, and read back whole.
 */
import assert from "node:assert/strict";
import { createRun } from "../../shared/store/runs.ts";
import { createEpisodes, type Episodes } from "../../shared/store/episodes.ts";
import type { Store } from "../../shared/store/connect.ts";
import { resolveRelay } from "../support/relay.ts";
import { seedOf } from "../../shared/random.ts";
import { relayPost, relaySpec, testOnEveryStore } from "../support/stores.ts";

const agents = ["left", "right"];

const runSpec = (id: string) => ({
  ...{ id, environment: "relay", options: {}, config: { seed: 1 } },
  agents: agents.map((name) => ({ name, policy: `policy-${name}` })),
});

async function play(episodes: Episodes, ids: string[], turns: number[]): Promise<void> {
  for (const turn of turns) {
    await episodes.postActions(ids.flatMap((id) => agents.map((one) => relayPost(id, turn, one))));
  }
}

/** A store whose process "dies" before its n-th batch from now. */
function dying(store: Store, batches: number): Store {
  const db = new Proxy(store.db, {
    get(target, key) {
      if (key !== "batch") return Reflect.get(target, key);
      return (items: never) => {
        if (batches-- === 0) throw new Error("the process died");
        return target.batch(items);
      };
    },
  });
  return { ...store, db };
}

testOnEveryStore("openEpisodes finds what the same spec opened", async ({ episodes, store }) => {
  await createRun(store, runSpec("r1"));
  const spec = relaySpec("e1", { run_id: "r1", policy_versions: { left: "v1" } });
  const [opened] = await episodes.openEpisodes([spec]);
  assert.deepEqual(opened, { ...spec, agents, status: "running", turn: 1, cause: null });
  await play(episodes, ["e1"], [1]);
  const again = await episodes.openEpisodes([{ ...spec, deadline_at: 5 }, spec, relaySpec("e2")]);
  assert.deepEqual(again.map(({ id, turn }) => [id, turn]), [["e1", 2], ["e1", 2], ["e2", 1]]);
  assert.equal(again[0]!.deadline_at, null);
  assert.equal((await episodes.observations("left", ["e1"]))[0]!.observation!.turn, 2);
});

testOnEveryStore("openEpisodes refuses an id that another spec has", async ({ episodes }) => {
  await episodes.openEpisodes([relaySpec("e1")]);
  const other = relaySpec("e1", { options: { agents: ["left", "third"] } });
  const refused = {
    code: "conflict",
    message: "Cannot open episode 'e1': the id is taken by an episode with another spec",
  };
  await assert.rejects(episodes.openEpisodes([other]), refused);
  await assert.rejects(episodes.openEpisodes([relaySpec("e2"), relaySpec("e2", { seed: 8 })]), {
    code: "conflict",
  });
  const [transcript] = await episodes.transcripts(["e1"]);
  assert.deepEqual(Object.keys(transcript!.turns[0]!.agents), agents);
  await play(episodes, ["e1"], [1, 2]);
  assert.equal((await episodes.episodes(["e1"]))[0]!.status, "finished");
});

testOnEveryStore("openEpisodes names what is wrong with a spec", async ({ episodes }) => {
  const refusals = [
    [{ run_id: "r9" }, "Cannot open episode 'e1': run 'r9' does not exist"],
    [{ seed: 0.5 }, "Cannot open episode 'e1': seed must be an integer, not 0.5"],
    [
      { purpose: "trian" },
      "Cannot open episode 'e1': unknown purpose 'trian', did you mean 'train'?",
    ],
    [
      { policy_versions: { lef: "v1" } },
      "Cannot open episode 'e1': policy_versions names unknown " +
      "agent 'lef', did you mean 'left'?",
    ],
    [{ environment: "chess" }, "Cannot find environment 'chess': known: relay"],
    [{ id: "" }, 'Cannot open episode: id must be 1 to 255 printable characters, not ""'],
  ] as const;
  for (const [change, message] of refusals) {
    const spec = relaySpec("e1", change as Partial<ReturnType<typeof relaySpec>>);
    await assert.rejects(episodes.openEpisodes([spec]), { message });
  }
  await assert.rejects(episodes.episodes(["e1"]), { code: "not_found" });
});

testOnEveryStore("observations shows an agent its own and nothing else", async ({ episodes }) => {
  await episodes.openEpisodes([relaySpec("e1", { options: { turns: 1 } })]);
  const [left] = await episodes.observations("left", ["e1"]);
  assert.deepEqual(left, {
    ...{ episode_id: "e1", agent: "left", status: "waiting", turn: 1, cause: null },
    seed: seedOf(7, 1, "left"),
    observation: { turn: 1, text: "w1: secret of left on turn 1", messages: null },
  });
  await episodes.postActions([relayPost("e1", 1, "right", { text: "what right said" })]);
  const both = [...await episodes.observations("left", ["e1"])];
  both.push(...await episodes.pending("left", null, 10));
  assert.deepEqual(both, [left, left]);
  assert.doesNotMatch(JSON.stringify(both), /right/);
  assert.equal((await episodes.observations("right", ["e1"]))[0]!.status, "acted");
  await episodes.postActions([relayPost("e1", 1, "left")]);
  const [ended] = await episodes.observations("left", ["e1"]);
  assert.deepEqual([ended!.status, ended!.observation], ["finished", null]);
  await assert.rejects(episodes.observations("lfet", ["e1"]), {
    code: "not_found",
    message:
      "Cannot observe episode 'e1' as agent 'lfet': it has no such agent, did you mean 'left'?",
  });
  await assert.rejects(episodes.observations("left", ["e1", "e9"]), {
    message: "Cannot observe episode 'e9' as agent 'left': it does not exist",
  });
});

testOnEveryStore("pending lists what waits for an agent, oldest first", async (context) => {
  const { episodes, store } = context;
  await createRun(store, runSpec("r1"));
  const ids = Array.from({ length: 5 }, (_, i) => `e${9 - i}`);
  await episodes.openEpisodes(ids.map((id, i) => relaySpec(id, { run_id: i < 3 ? "r1" : null })));
  await episodes.postActions([relayPost("e8", 1, "left")]);
  const pending = async (agent: string, run: string | null, limit: number) =>
    (await episodes.pending(agent, run, limit)).map(({ episode_id }) => episode_id);
  assert.deepEqual(await pending("left", null, 10), ["e9", "e7", "e6", "e5"]);
  assert.deepEqual(await pending("left", "r1", 10), ["e9", "e7"]);
  assert.deepEqual(await pending("right", "r1", 2), ["e9", "e8"]);
  assert.deepEqual(await pending("nobody", null, 10), []);
});

for (const look of ["post", "observations", "pending", "failExpired"] as const) {
  const name = `${look} completes a step that a dead process left undone`;
  testOnEveryStore(name, async ({ episodes, store }) => {
    await episodes.openEpisodes([relaySpec("e1", { options: { turns: 1 }, deadline_at: 1000 })]);
    await episodes.postActions([relayPost("e1", 1, "left")]);
    // The host of the last action stores it (its second batch) and dies before the step.
    const host = await createEpisodes(dying(store, 2), resolveRelay);
    const last = relayPost("e1", 1, "right");
    await assert.rejects(host.postActions([last]), { message: "the process died" });
    assert.deepEqual(await episodes.completions(null, 0, 10), []);
    if (look === "post") {
      const [result] = await episodes.postActions([last]);
      const reward = last.text.length;
      const episode_status = "finished";
      assert.deepEqual(result, { status: "repeated", turn: 1, episode_status, reward });
    } else if (look === "observations") {
      assert.equal((await episodes.observations("left", ["e1"]))[0]!.status, "finished");
    } else if (look === "pending") {
      assert.deepEqual(await episodes.pending("left", null, 10), []);
    } else {
      assert.deepEqual(await episodes.failExpired(2000), []);
    }
    const log = await episodes.completions(null, 0, 10);
    assert.deepEqual(log.map(({ episode_id, status }) => [episode_id, status]), [
      ["e1", "finished"],
    ]);
    const [transcript] = await episodes.transcripts(["e1"]);
    assert.deepEqual(transcript!.turns[0]!.rewards, { left: 9, right: 10 });
  });
}

testOnEveryStore(
  "postActions leaves a step to a host that has the environment",
  async (context) => {
    const { episodes, store } = context;
    await episodes.openEpisodes([relaySpec("e1")]);
    const poor = await createEpisodes(store, () => resolveRelay("chess", {}));
    const results = await poor.postActions(agents.map((agent) => relayPost("e1", 1, agent)));
    assert.deepEqual(
      results.map((one) => one.status === "error" ? one.error.code : one.status),
      ["not_found", "not_found"],
    );
    assert.equal((await poor.observations("left", ["e1"]))[0]!.status, "acted");
    assert.equal((await episodes.observations("left", ["e1"]))[0]!.turn, 2);
  },
);

testOnEveryStore("failEpisode ends once, with a cause and no reward", async ({ episodes }) => {
  await episodes.openEpisodes([relaySpec("e1"), relaySpec("e2", { options: { turns: 1 } })]);
  await episodes.postActions([relayPost("e1", 1, "left")]);
  await episodes.failEpisode("e1", "host lost");
  await episodes.failEpisode("e1", "host lost");
  const again = { code: "conflict", message: "Cannot fail it: episode 'e1' is failed" };
  await assert.rejects(episodes.failEpisode("e1", "another cause"), again);
  await play(episodes, ["e2"], [1]);
  await assert.rejects(episodes.failEpisode("e2", "late"), {
    message: "Cannot fail it: episode 'e2' is finished",
  });
  await assert.rejects(episodes.failEpisode("e9", "x"), { code: "not_found" });
  await assert.rejects(episodes.failEpisode("e2", ""), { code: "invalid_request" });
  const [acted] = await episodes.postActions([relayPost("e1", 1, "right")]);
  assert.equal(
    acted!.status === "error" && acted!.error.message,
    "Cannot post action of agent 'right' on turn 1: episode 'e1' is failed",
  );
  const [view] = await episodes.observations("right", ["e1"]);
  assert.deepEqual([view!.status, view!.cause, view!.observation], ["failed", "host lost", null]);
  const [transcript] = await episodes.transcripts(["e1"]);
  assert.equal(transcript!.turns[0]!.rewards, null);
  const log = await episodes.completions(null, 0, 10);
  assert.deepEqual(log.map(({ episode_id, status, cause }) => [episode_id, status, cause]), [
    ["e1", "failed", "host lost"],
    ["e2", "finished", null],
  ]);
});

testOnEveryStore(
  "failExpired fails what is late and names who is missing",
  async ({ episodes }) => {
    await episodes.openEpisodes([
      relaySpec("e1", { deadline_at: 1000 }),
      relaySpec("e2", { deadline_at: 3000 }),
      relaySpec("e3"),
    ]);
    await episodes.postActions([relayPost("e1", 1, "left")]);
    assert.deepEqual(await episodes.failExpired(999), []);
    assert.deepEqual(await episodes.failExpired(2000), ["e1"]);
    assert.deepEqual(await episodes.failExpired(2000), []);
    assert.deepEqual((await episodes.completions(null, 0, 10)).map(({ cause }) => cause), [
      "Deadline passed on turn 1 without an action of agent 'right'",
    ]);
  },
);

testOnEveryStore("postActions ends an episode as failed when its step breaks", async (context) => {
  const { episodes } = context;
  const options = { breaks_on: "break", odd_on: "odd" };
  await episodes.openEpisodes([relaySpec("e1", { options }), relaySpec("e2", { options })]);
  const results = await episodes.postActions([
    relayPost("e1", 1, "left", { text: "break" }),
    relayPost("e1", 1, "right"),
    relayPost("e2", 1, "left", { text: "odd" }),
    relayPost("e2", 1, "right"),
  ]);
  for (const result of results) {
    assert.deepEqual(result, { status: "stored", turn: 1, episode_status: "failed" });
  }
  assert.deepEqual((await episodes.completions(null, 0, 10)).map(({ cause }) => cause), [
    "Cannot step environment 'relay' on turn 1: the rope tore",
    "Cannot step environment 'relay' on turn 1: the reward of agent 'left' is NaN",
  ]);
});

testOnEveryStore("completions goes on past a cursor, by run", async ({ episodes, store }) => {
  await createRun(store, runSpec("r1"));
  await episodes.openEpisodes(["a", "b", "c", "d"].map((id) =>
    relaySpec(id, {
      ...{ options: { turns: 1 }, run_id: id === "c" ? null : "r1" },
      purpose: id === "d" ? "evaluate" : "train",
    })
  ));
  for (const id of ["b", "c", "a", "d"]) await play(episodes, [id], [1]);
  const [first] = await episodes.completions("r1", 0, 1);
  assert.equal(first!.episode_id, "b");
  const rest = await episodes.completions("r1", first!.cursor, 10);
  assert.deepEqual(rest.map(({ episode_id, purpose }) => [episode_id, purpose]), [
    ["a", "train"],
    ["d", "evaluate"],
  ]);
  assert.deepEqual(await episodes.completions("r1", rest.at(-1)!.cursor, 10), []);
  assert.equal((await episodes.completions(null, 0, 10)).length, 4);
});

testOnEveryStore("transcripts gives turns, agents, rewards and components", async (context) => {
  const { episodes } = context;
  const spec = relaySpec("e1", { policy_versions: { left: "v1", right: "v1" } });
  await episodes.openEpisodes([spec]);
  await play(episodes, ["e1"], [1, 2]);
  const [transcript] = await episodes.transcripts(["e1"]);
  const turn = (turn: number) => ({
    turn,
    agents: Object.fromEntries(agents.map((agent) => {
      const { episode_id: _, turn: __, agent: ___, ...action } = relayPost("e1", turn, agent);
      const text = `w1: secret of ${agent} on turn ${turn}`;
      const info = turn === 1 ? { seed: 7, agent } : {};
      return [agent, { observation: { turn, text, messages: null }, info, action }];
    })),
    rewards: { left: 9, right: 10 },
    components: { longest: 10 },
  });
  const turns = [turn(1), turn(2)];
  assert.deepEqual(transcript, {
    ...spec,
    agents,
    status: "finished",
    turn: 2,
    cause: null,
    turns,
  });
  await assert.rejects(episodes.transcripts(["e9"]), { code: "not_found" });
});

testOnEveryStore("onChange tells of own changes, pollChanges of others'", async (context) => {
  const { episodes } = context;
  const other = (await context.anotherHost()).episodes;
  const seen: string[][] = [[], []];
  const stop = episodes.onChange((ids) => seen[0]!.push(...ids));
  other.onChange((ids) => seen[1]!.push(...ids));
  await episodes.openEpisodes([relaySpec("e1"), relaySpec("e2")]);
  await play(episodes, ["e2"], [1]);
  await episodes.failEpisode("e1", "lost");
  assert.deepEqual(seen, [["e1", "e2", "e2", "e1"], []]);
  await other.pollChanges();
  assert.deepEqual(seen[1]!.sort(), ["e1", "e2"]);
  await other.pollChanges();
  assert.equal(seen[1]!.length, 2);
  stop();
  await play(episodes, ["e2"], [2]);
  assert.equal(seen[0]!.length, 4);
  await other.pollChanges();
  assert.deepEqual(seen[1]!.slice(2), ["e2"]);
});

testOnEveryStore("openEpisodes and postActions take 1000 episodes at once", async (context) => {
  const { episodes } = context;
  const ids = Array.from({ length: 1000 }, (_, i) => `e${i}`);
  const opened = await episodes.openEpisodes(
    ids.map((id) => relaySpec(id, { options: { turns: 1 } })),
  );
  assert.deepEqual(opened.map(({ id }) => id), ids);
  assert.equal((await episodes.pending("left", null, 2000)).length, 1000);
  const results = await episodes.postActions(
    agents.flatMap((agent) => ids.map((id) => relayPost(id, 1, agent))),
  );
  assert.ok(results.every(({ status }) => status === "stored"));
  const log = await episodes.completions(null, 0, 2000);
  assert.equal(new Set(log.map(({ episode_id }) => episode_id)).size, 1000);
  const transcripts = await episodes.transcripts(ids);
  assert.ok(transcripts.every(({ turns }) => turns[0]!.rewards!.left === 9));
});

testOnEveryStore("observations gives turn seeds where a spec has them", async ({ episodes }) => {
  await episodes.openEpisodes([relaySpec("e1", { turn_seeds: [11, 12] })]);
  const [view] = await episodes.observations("left", ["e1"]);
  assert.equal(view!.seed, seedOf(11, 1, "left"));
});

testOnEveryStore(
  "postActions ends an episode after a turn above stop_above",
  async ({ episodes }) => {
    await episodes.openEpisodes([
      relaySpec("low", { stop_above: -100 }),
      relaySpec("high", { stop_above: 100 }),
    ]);
    for (const id of ["low", "high"]) {
      await episodes.postActions([relayPost(id, 1, "left"), relayPost(id, 1, "right")]);
    }
    const [low, high] = await episodes.episodes(["low", "high"]);
    assert.equal(low!.status, "finished");
    assert.equal(high!.status, "running");
  },
);
