/** The tiny pure functions against golden numbers, and the invariants that hold for any input. */
import assert from "node:assert/strict";
import { groupAdvantages, normalise, normaliseTurn } from "../../shared/algorithms/advantages.ts";
import { itemsPerBatch, rolloutCost } from "../../shared/algorithms/budget.ts";
import { jointCriticText } from "../../shared/algorithms/critic_text.ts";
import { stopsEarly } from "../../shared/algorithms/early_stop.ts";
import { explainedVariance, mean, populationStd } from "../../shared/algorithms/moments.ts";
import { referenceKl, shaped } from "../../shared/algorithms/reference_kl.ts";
import {
  crossReturns,
  discountedReturns,
  jointAction,
  treeReturns,
} from "../../shared/algorithms/returns.ts";
import { processReward } from "../../shared/algorithms/reward_processing.ts";
import { tdErrors, tdTargets } from "../../shared/algorithms/targets.ts";
import { valueLoss } from "../../shared/algorithms/value_loss.ts";
import { cases, close, section } from "./golden.ts";

Deno.test("groupAdvantages gives the golden advantages of every mode", () => {
  for (const { input, expected } of cases("group_advantages")) {
    close(groupAdvantages(input.returns, input.mode, input.normalise), expected);
  }
});

Deno.test("normaliseTurn gives the golden numbers and leaves a single sample raw", () => {
  for (const { input, expected } of cases("ac_advantage_normalisation")) {
    close(normaliseTurn(input), expected);
  }
});

Deno.test("normalise gives mean 0 and population variance 1 unless all are equal", () => {
  for (const values of [[3, -1], [0.1, 0.2, 7], [1e6, 1e6 + 1, -4, 2]]) {
    close(mean(normalise(values)), 0);
    close(populationStd(normalise(values)), 1);
  }
  assert.deepEqual(normalise([4, 4, 4]), [0, 0, 0]);
});

Deno.test("tdTargets and tdErrors give the golden targets and advantages", () => {
  for (const { input, expected } of cases("td_targets")) {
    const targets = tdTargets(input.rewards, input.old_values, input.discount);
    close(targets, expected.value_target);
    close(tdErrors(targets, input.old_values), expected.advantage);
    close(discountedReturns(input.rewards, input.discount), expected.discounted_return);
  }
});

Deno.test("tdErrors vanish for a critic that knows the true returns", () => {
  const rewards = [0.5, -2, 1.25, 3];
  const values = discountedReturns(rewards, 0.9);
  close(tdErrors(tdTargets(rewards, values, 0.9), values), [0, 0, 0, 0]);
});

Deno.test("valueLoss gives the golden losses, clipped and not", () => {
  for (const { input, expected } of cases("value_loss")) {
    const { target, value, old_value: oldValue, clip } = input;
    close(
      valueLoss(target, value, clip === null ? undefined : { oldValue, range: clip }),
      expected,
    );
  }
});

Deno.test("referenceKl and shaped give the golden penalties", () => {
  for (const { input, expected } of cases("reference_kl")) {
    const kl = referenceKl(input.policy_logp, input.ref_logp);
    close(kl, expected.kl);
    close(shaped(input.reward, kl, input.coef), expected.shaped_reward);
  }
  for (const { reward, returns, kl, coef, expected } of section("reference_kl").shaping_only) {
    const [rewards, kls] = [returns ?? [reward], [kl].flat()];
    close(rewards.map((r: number, i: number) => shaped(r, kls[i], coef)), [expected].flat());
  }
});

Deno.test("jointCriticText gives the golden texts of both critic types", () => {
  for (const { input, expected } of cases("central_critic_input")) {
    assert.equal(jointCriticText(input.prompts, input.completions ?? undefined), expected);
  }
});

Deno.test("treeReturns gives the golden returns of every node", () => {
  for (const { input, expected } of cases("return_tree", "trees")) {
    close(treeReturns(input.tree, input.discount), expected);
  }
});

Deno.test("crossReturns sums the returns of the joints that contain a completion", () => {
  for (const { input, expected } of cases("return_tree", "cross")) {
    close(crossReturns(input.joint_returns, input.generations, input.agents), expected);
  }
});

Deno.test("jointAction orders a cross product with the last agent fastest", () => {
  const order = cases("return_tree", "joint_order").filter(({ input }) => input.mode === "cross");
  assert.ok(order.length > 0);
  for (const { input: { generations, agents }, expected } of order) {
    const joints = Array.from(expected, (_, j) => jointAction(j, generations, agents));
    assert.deepEqual(joints, expected);
  }
});

Deno.test("rolloutCost counts joint evaluations as the golden file does", () => {
  for (const { input: { generations, turns, mode, agents }, expected } of cases("env_steps")) {
    const { joint_evaluations: env_steps, ...rest } = rolloutCost(
      { generations, turns },
      mode,
      agents,
    );
    assert.deepEqual({ env_steps, ...rest }, expected);
  }
  for (const { input, expected } of cases("env_steps", "actor_critic")) {
    const cost = rolloutCost({ generations: 1, turns: input.turns }, "single", 2);
    assert.equal(input.items * input.generations * cost.joint_evaluations, expected);
  }
});

Deno.test("itemsPerBatch spends the same joint evaluations on trees as on single paths", () => {
  assert.equal(itemsPerBatch(64, { generations: 1, turns: 4 }), 64);
  assert.equal(itemsPerBatch(64, { generations: 4, turns: 1 }), 16);
  assert.equal(itemsPerBatch(60, { generations: 2, turns: 2 }), 20);
  assert.equal(itemsPerBatch(1, { generations: 4, turns: 4 }), 1);
});

Deno.test("stopsEarly is strict and sees processed rewards", () => {
  for (const { input: { raw, shift, threshold }, expected } of cases("early_termination")) {
    assert.equal(stopsEarly([processReward(raw, { scale: 1, shift })], threshold), expected);
  }
  assert.equal(stopsEarly([1e9], null), false);
});

Deno.test("processReward scales first and shifts then", () => {
  for (const { input: { r, ...options }, expected } of cases("reward_processing")) {
    close(processReward(r, options), expected);
  }
});

Deno.test("explainedVariance is 1 for perfect predictions, 0 for the mean, null without spread", () => {
  close(explainedVariance([1, 2, 3], [1, 2, 3]), 1);
  close(explainedVariance([2, 2, 2], [1, 2, 3]), 0);
  close(explainedVariance([3, 2, 1], [1, 2, 3]), -3);
  assert.equal(explainedVariance([1, 2], [5, 5]), null);
});
