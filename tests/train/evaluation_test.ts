/** Evaluations: which episodes are played, and what their numbers are. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { useEnvironment } from "../../shared/environments/load.ts";
import { type Evaluation, numbersOf, type Played } from "../../train/evaluation.ts";
import { evaluateCheckpoint } from "../../train/evaluate.ts";
import { close } from "../environments/golden.ts";

/** An evaluation in which each item's episodes had these pass rates. */
function evaluation(rates: Record<string, number[]>): Evaluation {
  const played = Object.entries(rates).flatMap(([item_id, all]): Played[] =>
    all.map((pass_rate) => ({
      ...{ item_id, task: {}, return: 0, actions: [{ agent_1: "" }] },
      components: { pass_rate },
    }))
  );
  return { played, return: { mean: 0, ci95: null, n: played.length }, iou_mean: null, failed: 0 };
}

Deno.test("numbersOf gives pass@k over the items that have k episodes, every test passed", () => {
  const { pass_at_k } = numbersOf(evaluation({
    once: [1, 0.9, 0],
    always: [1, 1, 1],
    never: [0.5, 0],
  }));
  assert.deepEqual(pass_at_k, { 1: (1 / 3 + 1 + 0) / 3, 3: 1 });
  // Of 5 programs 2 are right: all of three drawn are wrong in 1 of 10 cases.
  const rates = numbersOf(evaluation({ a: [1, 0, 1, 0, 0] })).pass_at_k!;
  assert.deepEqual(Object.keys(rates), ["1", "3", "5"]);
  for (const [k, rate] of [["1", 0.4], ["3", 0.9], ["5", 1]] as const) close(rates[k]!, rate, k);
});

Deno.test("numbersOf has no pass@k where an environment runs no tests", () => {
  const found = evaluation({ a: [1] });
  found.played[0]!.components = { iou: 1 };
  assert.equal(numbersOf(found).pass_at_k, null);
});

Deno.test("evaluateCheckpoint plays each item as often as samples says, on seeds of their own", async () => {
  const small = { checkpoint: "models/collm-tiny", environment: "humaneval", episodes: 6 };
  const { pass_at_k, n } = await evaluateCheckpoint({ ...small, samples: 3 });
  assert.deepEqual([Object.keys(pass_at_k!), n], [["1", "3"], 6]);
  const greedy = await evaluateCheckpoint({ ...small, samples: 3, greedy: true });
  const { 1: once, 3: thrice } = greedy.pass_at_k!;
  // Greedy programs of one item are the same, so that more of them find nothing more.
  assert.equal(once, thrice);
  assert.ok(pass_at_k![3]! >= pass_at_k![1]!);
  const options = { turns: 2, prompt_style: "compact" };
  const two = await evaluateCheckpoint({ ...small, episodes: 2, options });
  assert.equal(two.n, 2);
});

Deno.test("evaluate says why, where every episode fails", async () => {
  const folder = await Deno.makeTempDir();
  const module = join(folder, "broken.ts");
  const define = new URL("../../shared/environments/define.ts", import.meta.url).href;
  const broken = `const { defineEnvironment } = await import('${define}');
export default defineEnvironment({
  id: "broken_${crypto.randomUUID().slice(0, 8)}", title: "Broken", description: "Breaks",
  agents: 2, turns: 1, rewardRange: [0, 1], items: { train: [{}], eval: [{}] },
  prompt: () => "x", step: () => NaN,
});`;
  await Deno.writeTextFile(module, broken);
  try {
    const environment = await useEnvironment(module);
    await assert.rejects(
      evaluateCheckpoint({ checkpoint: "models/collm-tiny", environment, episodes: 2 }),
      /^CollmError: Cannot evaluate: every episode failed, the first because: .*step gave reward NaN/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
