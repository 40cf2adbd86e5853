/**
 * Checks of requests against a policy's vocabulary and positions, each with the sentence that
 * refuses. What a request must hold for its verb alone is the kernel's matter.
 */
import { CollmError } from "../shared/errors.ts";
import { isTemperature, TEMPERATURES } from "../shared/temperature.ts";
import { positionsOf } from "./model/rope.ts";
import type { Policy } from "./policy.ts";
import { type AlternativesOptions, MOST_ALTERNATIVES, type SampleRequest } from "./verbs.ts";

export interface Limits {
  name: string;
  vocabSize: number;
  maxPositions: number;
}

/** A frozen policy is its own limits. */
export const limitsOf = (policy: Policy | Limits): Limits =>
  "spec" in policy
    ? {
      name: policy.name,
      vocabSize: policy.spec.config.vocabSize,
      maxPositions: positionsOf(policy.spec.config),
    }
    : policy;

const refuse = ({ name }: Limits, deed: string, why: string) =>
  new CollmError("invalid_request", `Cannot ${deed} policy '${name}': ${why}`);

export function checkLength(limits: Limits, deed: string, length: number): void {
  if (length <= limits.maxPositions) return;
  throw refuse(limits, deed, `${length} tokens exceed its ${limits.maxPositions} positions`);
}

export function checkTokens(limits: Limits, deed: string, tokens: readonly number[]): void {
  const bad = tokens.find((t) => !Number.isInteger(t) || t < 0 || t >= limits.vocabSize);
  if (bad === undefined) return;
  throw refuse(limits, deed, `token ${bad} is outside its vocabulary of ${limits.vocabSize}`);
}

/** `start`: first position that the verb is about, at least 1, and as the request `said` it. */
export function checkSequence(
  limits: Limits,
  deed: string,
  tokens: readonly number[],
  start: number,
  said = `prompt_length ${start}`,
): void {
  checkTokens(limits, deed, tokens);
  checkLength(limits, deed, tokens.length);
  if (Number.isInteger(start) && start >= 1 && start <= tokens.length) return;
  const why = tokens.length === 0
    ? "a sequence has no tokens"
    : `${said} is outside a sequence of ${tokens.length} tokens`;
  throw refuse(limits, deed, why);
}

/** Most numbers that one request may have listed. */
const MOST_LISTED = 2 ** 20;

/** `positions`: tokens in whose place others are listed. */
export function checkAlternatives(
  policy: string,
  { count, temperature }: AlternativesOptions,
  positions: number,
): void {
  const fail = (why: string) => {
    throw new CollmError(
      "invalid_request",
      `Cannot list alternatives of policy '${policy}': ${why}`,
    );
  };
  if (!Number.isInteger(count) || count < 1 || count > MOST_ALTERNATIVES) {
    fail(`count is ${count}, expected a whole number from 1 to ${MOST_ALTERNATIVES}`);
  }
  if (!isTemperature(temperature)) fail(`temperature is ${temperature}, expected ${TEMPERATURES}`);
  if (count * positions > MOST_LISTED) {
    fail(`${count} at ${positions} tokens exceed ${MOST_LISTED}`);
  }
}

export function checkPrompts(limits: Limits, request: SampleRequest): void {
  const fail = (why: string) => {
    throw refuse(limits, "sample", why);
  };
  const { prompts, seeds, max_tokens, temperature, top_p = 1, top_k = 0 } = request;
  if (prompts.length !== seeds.length) fail(`${prompts.length} prompts but ${seeds.length} seeds`);
  if (!Number.isInteger(max_tokens) || max_tokens < 1) fail(`max_tokens is ${max_tokens}`);
  if (!(top_p > 0 && top_p <= 1)) fail(`top_p is ${top_p}, expected a number in (0, 1]`);
  if (!Number.isInteger(top_k) || top_k < 0) fail(`top_k is ${top_k}, expected a whole number`);
  if (!isTemperature(temperature)) fail(`temperature is ${temperature}, expected ${TEMPERATURES}`);
  for (const prompt of prompts) {
    if (prompt.length === 0) fail("a prompt has no tokens");
    checkTokens(limits, "sample", prompt);
  }
}
