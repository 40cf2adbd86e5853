/** The oracles in reference_functions.ts against golden numbers. */
import assert from "node:assert/strict";
import { cases, close } from "./golden.ts";
import {
  adamw,
  expandRewards,
  policyLoss,
  samplingFilter,
  valueHead,
} from "./reference_functions.ts";

Deno.test("policyLoss gives the golden losses", () => {
  for (const { input, expected } of cases("policy_loss")) {
    close(policyLoss(input.token_logprobs, input.advantages), expected);
  }
});

Deno.test("adamw gives the golden weights of every step", () => {
  for (const { input: { w, grads, lr }, expected } of cases("adamw")) {
    close(adamw(w, grads, lr), expected);
  }
});

Deno.test("valueHead gives the golden value", () => {
  for (const { input, expected } of cases("value_head")) close(valueHead(input), expected);
});

Deno.test("samplingFilter gives the golden distributions", () => {
  for (const { input: { logits, ...options }, expected } of cases("sampling_filter")) {
    close(samplingFilter(logits, options), expected);
  }
});

Deno.test("expandRewards spreads reward vectors as the golden file does", () => {
  for (const { input: { rewards, generations, agents }, expected } of cases("reward_expansion")) {
    const expand = () => expandRewards(rewards, generations, agents);
    if (expected === "error") assert.throws(expand, RangeError);
    else close(expand(), expected);
  }
});
