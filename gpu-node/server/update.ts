/**
 * What an update from outside must hold before the device sees it: the fields that its loss reads,
 * in the length of the response, and no field of another loss or of an option that is not given.
 */
import { CollmError } from "../../shared/errors.ts";
import type { LossName, UpdateRequest, UpdateSequence } from "../verbs.ts";

/** Throws invalid_request naming the first sequence that does not fit the loss. */
export function checkUpdate(request: UpdateRequest): void {
  const { policy, loss, batch } = request;
  const why = wrongOption(request) ?? batch.map((s, i) => {
    const wrong = wrongSequence(request, s);
    return wrong && `batch[${i}] ${wrong}`;
  }).find((wrong) => wrong !== null) ??
    (loss !== "value_mse" && batch.every((s) => s.tokens.length <= s.prompt_length)
      ? `no sequence has a token after its prompt for the loss ${loss}`
      : null);
  if (why === null) return;
  throw new CollmError("invalid_request", `Cannot update policy '${policy}': ${why}`);
}

/**
 * The losses that read a field. Log-probabilities, behaviour and reference, serve every loss over
 * tokens: their mismatch is reported, kl_coef may be given.
 */
const OVER_TOKENS: readonly LossName[] = ["policy_gradient", "ppo_clip", "cross_entropy"];
const READ_BY: readonly [keyof UpdateSequence, readonly LossName[]][] = [
  ["advantage", ["policy_gradient", "ppo_clip"]],
  ["advantages", ["policy_gradient", "ppo_clip"]],
  ["old_logprobs", OVER_TOKENS],
  ["ref_logprobs", OVER_TOKENS],
  ["target", ["value_mse"]],
  ["old_value", ["value_mse"]],
  ["read_at", ["value_mse"]],
  ["weight", ["cross_entropy"]],
];

/** Fields that are read where an option is given. */
const WITH = [["old_value", "clip"], ["ref_logprobs", "kl_coef"]] as const;

/** What is wrong with the options, or null. */
function wrongOption({ loss, clip, ratio, kl_coef }: UpdateRequest): string | null {
  if (ratio !== undefined && loss !== "ppo_clip") {
    return `ratio is '${ratio}' but the loss ${loss} has none`;
  }
  if (clip !== undefined && loss !== "ppo_clip" && loss !== "value_mse") {
    return `clip is ${clip} but the loss ${loss} clips nothing`;
  }
  if (kl_coef && loss === "value_mse") {
    return `kl_coef is ${kl_coef} but the loss value_mse has no tokens to compare`;
  }
  return null;
}

/** What is wrong with one sequence, or null. */
function wrongSequence(request: UpdateRequest, s: UpdateSequence): string | null {
  const { loss, clip, kl_coef } = request;
  const length = s.tokens.length - s.prompt_length;
  if (length < 0) {
    return `has a prompt of ${s.prompt_length} in ${s.tokens.length} tokens`;
  }
  if (typeof s.read_at === "number" && s.read_at >= s.tokens.length) {
    return `is read at ${s.read_at} but has ${s.tokens.length} tokens`;
  }
  for (const name of ["advantages", "old_logprobs", "ref_logprobs"] as const) {
    const given = s[name]?.length;
    if (given !== undefined && given !== length) {
      return `has ${given} ${name} for a response of ${length} tokens`;
    }
  }
  const acts = loss === "policy_gradient" || loss === "ppo_clip";
  if (acts && (s.advantage === undefined) === (s.advantages === undefined)) {
    return `needs either advantage or advantages for the loss ${loss}`;
  }
  if (loss === "ppo_clip" && !s.old_logprobs) return "needs old_logprobs for the loss ppo_clip";
  if (kl_coef && !s.ref_logprobs) return `needs ref_logprobs for kl_coef ${kl_coef}`;
  if (loss === "value_mse" && s.target === undefined) {
    return "needs a target for the loss value_mse";
  }
  if (loss === "value_mse" && clip !== undefined && s.old_value === undefined) {
    return `needs an old_value for clip ${clip}`;
  }
  const unread = READ_BY.find(([field, losses]) => s[field] !== undefined && !losses.includes(loss))
    ?.[0];
  if (unread) return `has ${unread}, which the loss ${loss} does not read`;
  const [idle, option] =
    WITH.find(([field, name]) => s[field] !== undefined && request[name] === undefined) ?? [];
  return idle ? `has ${idle}, which is read with ${option} only` : null;
}
