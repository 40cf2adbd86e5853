/**
 * Actions arrive exactly once, whatever is retried, raced, reordered or late.
 */
import assert from "node:assert/strict";
import type { ActionResult } from "../../shared/store/episodes/types.ts";
import { relayPost, relaySpec, testOnEveryStore } from "../support/stores.ts";

const statuses = (results: ActionResult[]) => results.map(({ status }) => status);

/** The error of a result, as "code: message". */
function errorOf(result: ActionResult | undefined): string {
  assert.equal(result?.status, "error");
  return result.status === "error" ? `${result.error.code}: ${result.error.message}` : "";
}

testOnEveryStore("postActions steps once when the last agent acts", async ({ episodes }) => {
  await episodes.openEpisodes([relaySpec("e1")]);
  const left = relayPost("e1", 1, "left");
  const [first] = await episodes.postActions([left]);
  assert.deepEqual(first, { status: "stored", turn: 1, episode_status: "running" });
  const [second] = await episodes.postActions([relayPost("e1", 1, "right", { text: "abcd" })]);
  assert.deepEqual(second, { status: "stored", turn: 1, episode_status: "running", reward: 4 });
  const [again] = await episodes.postActions([left]);
  const reward = left.text.length;
  assert.deepEqual(again, { status: "repeated", turn: 1, episode_status: "running", reward });
  assert.equal((await episodes.episodes(["e1"]))[0]!.turn, 2);
});

testOnEveryStore("postActions answers a retry of every post alike", async ({ episodes }) => {
  await episodes.openEpisodes([relaySpec("e1")]);
  for (const turn of [1, 2]) {
    const posts = ["left", "right"].map((agent) => relayPost("e1", turn, agent));
    assert.deepEqual(statuses(await episodes.postActions(posts)), ["stored", "stored"]);
    const once = await episodes.postActions(posts);
    assert.deepEqual(statuses(once), ["repeated", "repeated"]);
    assert.deepEqual(await episodes.postActions(posts), once);
  }
  const log = await episodes.completions(null, 0, 10);
  assert.deepEqual(log.map(({ episode_id, status }) => [episode_id, status]), [["e1", "finished"]]);
});

testOnEveryStore("postActions refuses another payload under a key", async ({ episodes }) => {
  await episodes.openEpisodes([relaySpec("e1")]);
  await episodes.postActions([relayPost("e1", 1, "left")]);
  const changes = [{ text: "other" }, { logprobs: [-0.1, -1 / 3, -2e-9] }, { seed: 1 }];
  for (const change of changes) {
    const [refused] = await episodes.postActions([relayPost("e1", 1, "left", change)]);
    assert.equal(
      errorOf(refused),
      "conflict: Cannot step episode 'e1': agent 'left' already acted on turn 1 with another payload",
    );
  }
  const [transcript] = await episodes.transcripts(["e1"]);
  assert.equal(transcript!.turns[0]!.agents.left!.action!.text, "left on 1");
});

testOnEveryStore("postActions stores one of racing duplicates", async ({ anotherHost }) => {
  const hosts = await Promise.all([anotherHost(), anotherHost(), anotherHost()]);
  await hosts[0]!.episodes.openEpisodes([relaySpec("e1")]);
  const texts = ["one", "two", "three"];
  const results = (await Promise.all(hosts.map(({ episodes }, i) =>
    Promise.all([
      episodes.postActions([relayPost("e1", 1, "left", { text: texts[i]! })]),
      episodes.postActions([relayPost("e1", 1, "right")]),
    ])
  ))).flat(2);
  const count = (status: string) => statuses(results).filter((one) => one === status).length;
  assert.deepEqual([count("stored"), count("repeated"), count("error")], [2, 2, 2]);
  const [transcript] = await hosts[0]!.episodes.transcripts(["e1"]);
  const { text } = transcript!.turns[0]!.agents.left!.action!;
  assert.equal(statuses(results.filter((_, i) => i % 2 === 0))[texts.indexOf(text)], "stored");
  assert.equal(transcript!.turns[0]!.rewards!.left, text.length);
  assert.equal(transcript!.turn, 2);
});

testOnEveryStore("postActions takes turns in any agent order", async ({ episodes }) => {
  await episodes.openEpisodes([relaySpec("e1"), relaySpec("e2")]);
  const results = await episodes.postActions([
    relayPost("e2", 1, "right"),
    relayPost("e1", 1, "right"),
    relayPost("e2", 1, "left"),
    relayPost("e1", 1, "left"),
  ]);
  assert.deepEqual(statuses(results), ["stored", "stored", "stored", "stored"]);
  const found = await episodes.episodes(["e2", "e1"]);
  assert.deepEqual(found.map(({ id, turn }) => [id, turn]), [["e2", 2], ["e1", 2]]);
});

testOnEveryStore("postActions refuses early, late and unknown ones", async ({ episodes }) => {
  await episodes.openEpisodes([relaySpec("e1", { options: { turns: 1 } }), relaySpec("e2")]);
  const [early] = await episodes.postActions([relayPost("e2", 2, "left")]);
  assert.equal(
    errorOf(early),
    "conflict: Cannot post action of agent 'left' on turn 2 of episode 'e2': it is on turn 1",
  );
  await episodes.postActions(["left", "right"].map((agent) => relayPost("e1", 1, agent)));
  const late = await episodes.postActions([
    relayPost("e1", 2, "left"),
    relayPost("e1", 1, "leftt"),
    relayPost("e9", 1, "left"),
    relayPost("e1", 1, "left"),
  ]);
  assert.deepEqual(late.slice(0, 3).map(errorOf), [
    "conflict: Cannot post action of agent 'left' on turn 2: episode 'e1' is finished",
    "not_found: Cannot post action of agent 'leftt' on turn 1: episode 'e1' has no such agent, " +
    "did you mean 'left'?",
    "not_found: Cannot post action of agent 'left' on turn 1: episode 'e9' does not exist",
  ]);
  assert.equal(late[3]!.status, "repeated");
});

testOnEveryStore("postActions fails a bad action and not its neighbours", async ({ episodes }) => {
  await episodes.openEpisodes([relaySpec("e1")]);
  const results = await episodes.postActions([
    relayPost("e1", 1.5, "left"),
    relayPost("e1", 1, "left", { logprobs: [-1, NaN, -1] }),
    relayPost("e1", 1, "left", { logprobs: [-1] }),
    relayPost("e1", 1, "left", { tokens: [0.5], logprobs: null }),
    relayPost("e1\u0000", 1, "left"),
    relayPost("e1", 1, "left"),
    relayPost("e1", 1, "left"),
    relayPost("e1", 1, "left", { text: "third" }),
    relayPost("e1", 1, "right"),
  ]);
  assert.deepEqual(results.slice(0, 5).map(errorOf), [
    "invalid_request: Cannot post action of agent 'left' on episode 'e1': turn must be an " +
    "integer from 1, not 1.5",
    "invalid_request: Cannot post action of agent 'left' on episode 'e1': logprobs must be " +
    "finite numbers, not [-1,null,-1]",
    "invalid_request: Cannot post action of agent 'left' on episode 'e1': 1 logprobs were given " +
    "for 3 tokens",
    "invalid_request: Cannot post action of agent 'left' on episode 'e1': tokens must be " +
    "integers, not [0.5]",
    "invalid_request: Cannot post action: episode_id must be 1 to 255 printable characters, " +
    'not "e1\\u0000"',
  ]);
  assert.deepEqual(statuses(results.slice(5)), ["stored", "repeated", "error", "stored"]);
  assert.equal((await episodes.episodes(["e1"]))[0]!.turn, 2);
});

testOnEveryStore("postActions keeps every character and digit", async ({ episodes }) => {
  const text = 'nul \u0000 quote " back\\slash lone \ud800 astral 𝄞 newline \n';
  await episodes.openEpisodes([relaySpec("e1", { task: { word: text } })]);
  const logprobs = [-5e-324, -1 / 3, -1.7976931348623157e308];
  await episodes.postActions([relayPost("e1", 1, "left", { text, logprobs })]);
  const [transcript] = await episodes.transcripts(["e1"]);
  assert.deepEqual(transcript!.task, { word: text });
  const { observation, action } = transcript!.turns[0]!.agents.left!;
  assert.equal(observation.text, `${text}: secret of left on turn 1`);
  const post = relayPost("e1", 1, "left", { text, logprobs });
  const { episode_id: _, turn: __, agent: ___, ...payload } = post;
  assert.deepEqual(action, payload);
});
