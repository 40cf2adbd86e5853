/** CoLLM-CC and CoLLM-DC on batches small enough to work out by hand. */
import assert from "node:assert/strict";
import { type Algorithm, criticNames } from "../../shared/algorithms/algorithm.ts";
import { normalise } from "../../shared/algorithms/advantages.ts";
import { algorithmOptions, createAlgorithm } from "../../shared/algorithms/registry.ts";
import { CollmError } from "../../shared/errors.ts";
import { batchOf, episode, turn } from "./batches.ts";
import { close } from "./golden.ts";

const algorithm = (options: Record<string, unknown>): Algorithm =>
  createAlgorithm(algorithmOptions.parse(options));
const raw = { gamma: 0.9, advantage_normalization: false };

/** Two episodes, the first of two turns, the second ended after one. */
const batch = batchOf(2, [
  episode(0, 0, [turn(1, 1), turn(2, 2)]),
  episode(1, 0, [turn(3, -1)]),
]);

const advantages = (plan: ReturnType<Algorithm["plan"]>, agent: string) =>
  plan.policies.find((update) => update.agent === agent)!.sequences.map((s) => s.advantage);

Deno.test("collm_cc reads one joint state per turn that holds every agent's prompt", () => {
  const states = algorithm({ id: "collm_cc" }).states(batch);
  assert.deepEqual(states[1], {
    critic: "joint",
    text: "[Agent 0] prompt 2 of a\n\n[Agent 1] prompt 2 of b",
  });
  assert.equal(states.length, 3);
  assert.ok(states.every(({ text }) => !text.includes("response")));
});

Deno.test("collm_cc gives every agent the same TD error and steps its critic once", () => {
  const plan = algorithm({ id: "collm_cc", ...raw }).plan(batch, [0.5, 0.5, 0.25]);
  close(advantages(plan, "a"), [0.95, 1.5, -1.25]);
  assert.deepEqual(advantages(plan, "b"), advantages(plan, "a"));
  close(plan.critics, [{
    critic: "joint",
    examples: [{ state: 0, target: 1.45 }, { state: 1, target: 2 }, { state: 2, target: -1 }],
  }]);
});

Deno.test("collm_cc hands out prompt and response tokens with the prompt's length", () => {
  const plan = algorithm({ id: "collm_cc", ...raw }).plan(batch, [0, 0, 0]);
  assert.deepEqual(plan.policies.map(({ agent }) => agent), ["a", "b"]);
  const { tokens, prompt_length } = plan.policies[1]!.sequences[2]!;
  assert.deepEqual({ tokens, prompt_length }, { tokens: [3, 1, 103, 8], prompt_length: 2 });
});

Deno.test("collm_cc normalises over the samples of one turn and leaves a lone one raw", () => {
  const options = { id: "collm_cc", gamma: 0.9 };
  const plan = algorithm(options).plan(batch, [0.5, 0.5, 0.25]);
  const [first, third] = normalise([0.95, -1.25]);
  close(advantages(plan, "a"), [first, 1.5, third]);
});

Deno.test("collm_cc learns the agents' mean target where rewards differ", () => {
  const own = batchOf(1, [episode(0, 0, [turn(1, [1, 3])])]);
  const plan = algorithm({ id: "collm_cc", ...raw }).plan(own, [0.5]);
  close([advantages(plan, "a"), advantages(plan, "b")], [[0.5], [2.5]]);
  close(plan.critics[0]!.examples, [{ state: 0, target: 2 }]);
});

Deno.test("collm_cc repeats the critic's update only where it is asked to", () => {
  const plan = algorithm({ id: "collm_cc", critic_updates_per_batch: 3 }).plan(batch, [0, 0, 0]);
  assert.equal(plan.critics.length, 3);
});

Deno.test("collm_dc lets each critic read its own agent's prompt and nothing else", () => {
  const states = algorithm({ id: "collm_dc" }).states(batch);
  assert.equal(states.length, 6);
  for (const { critic, text } of states) {
    assert.match(text, /^prompt \d of [ab]$/);
    assert.ok(text.endsWith(`of ${critic}`));
  }
});

Deno.test("collm_dc bootstraps every agent from its own critic", () => {
  // States in order: e0 a t1 t2, e0 b t1 t2, e1 a, e1 b.
  const plan = algorithm({ id: "collm_dc", ...raw }).plan(batch, [0.5, 0.5, 1, -1, 0.25, 0]);
  close(advantages(plan, "a"), [0.95, 1.5, -1.25]);
  close(advantages(plan, "b"), [1 + 0.9 * -1 - 1, 3, -1]);
  close(plan.critics, [
    {
      critic: "a",
      examples: [{ state: 0, target: 1.45 }, { state: 1, target: 2 }, { state: 4, target: -1 }],
    },
    {
      critic: "b",
      examples: [{ state: 2, target: 0.1 }, { state: 3, target: 2 }, { state: 5, target: -1 }],
    },
  ]);
});

Deno.test("critic_type q lets critics read completions too", () => {
  const joint = algorithm({ id: "collm_cc", critic_type: "q" }).states(batch)[0]!.text;
  assert.ok(joint.includes("[Joint Action]") && joint.endsWith("response 1 of b"));
  const own = algorithm({ id: "collm_dc", critic_type: "q" }).states(batch)[0]!.text;
  assert.equal(own, "prompt 1 of aresponse 1 of a");
});

Deno.test("plan processes rewards and takes the KL penalty from them before bootstrapping", () => {
  const penalised = batchOf(1, [episode(0, 0, [turn(1, 2.5, [0.4, 0.8])])]);
  const options = { ...raw, reward_scale: 0.5, reward_shift: -1, reference_kl_coef: 0.25 };
  const plan = algorithm({ id: "collm_cc", ...options }).plan(penalised, [0]);
  close([advantages(plan, "a"), advantages(plan, "b")], [[0.15], [0.05]]);
  assert.equal(plan.statistics.return_mean, 2.5);
});

Deno.test("plan refuses a KL penalty without reference logprobs", () => {
  assert.throws(
    () => algorithm({ id: "collm_dc", reference_kl_coef: 0.1 }).plan(batch, Array(6).fill(0)),
    (error: Error) => error instanceof CollmError && /no reference logprobs/.test(error.message),
  );
});

Deno.test("plan refuses missing values, values that are no numbers and empty batches", () => {
  const cc = algorithm({ id: "collm_cc" });
  assert.throws(() => cc.plan(batch, [0, 0]), /2 values for 3 states/);
  assert.throws(() => cc.plan(batch, [0, NaN, 0]), /critic 'joint' gave the value NaN for state 1/);
  assert.throws(() => cc.plan(batchOf(2, []), []), /no episode was completed/);
});

Deno.test("plan leaves an empty completion out of the policy's update", () => {
  const silent = turn(1, 1);
  silent.acts[0]!.response = [];
  const plan = algorithm({ id: "collm_cc", ...raw }).plan(
    batchOf(1, [episode(0, 0, [silent]), episode(1, 0, [turn(2, 0)])]),
    [0, 0],
  );
  assert.deepEqual(plan.policies.map(({ sequences }) => sequences.length), [1, 2]);
});

Deno.test("plan reports raw returns, rewards per turn, entropy and the critic's fit", () => {
  const { statistics } = algorithm({ id: "collm_cc", ...raw }).plan(batch, [0.5, 0.5, 0.25]);
  close(statistics, {
    return_mean: 1,
    "turn_1/reward_mean": 0,
    "turn_2/reward_mean": 2,
    response_tokens: 2,
    entropy: 0.75,
    advantage_std: Math.sqrt((0.95 ** 2 + 1.5 ** 2 + 1.25 ** 2) / 3 - 0.4 ** 2),
    value_mean: 1.25 / 3,
    value_target_mean: 2.45 / 3,
    value_loss: (0.95 ** 2 + 1.5 ** 2 + 1.25 ** 2) / 3,
    explained_variance: statistics.explained_variance!,
  });
  assert.ok(statistics.explained_variance! < 1);
});

Deno.test("criticNames are one joint critic, one per agent, or none", () => {
  const names = (id: string) => criticNames(algorithm({ id }), ["a", "b"]);
  assert.deepEqual(["collm_cc", "collm_dc", "magrpo"].map(names), [["joint"], ["a", "b"], []]);
});
