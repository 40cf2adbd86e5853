/**
 * Checks what callers hand in, before anything is written, and hashes it: the hash tells a retry
 * from another request. Leaves out whether the episode takes it now (act.ts).
 */
import type { Environment } from "../../environments/environment.ts";
import { CollmError, suggest } from "../../errors.ts";
import { hashOf } from "../canonical.ts";
import { PURPOSES } from "../lifecycle.ts";
import type { ActionPost, EpisodeSpec } from "./types.ts";

/** Throws `invalid_request` unless `ok`. */
function must(ok: boolean, message: () => string): void {
  if (!ok) throw new CollmError("invalid_request", message());
}

const shown = (value: unknown) => JSON.stringify(value)?.slice(0, 60);

/** An id is 1 to 255 characters without control characters. */
export function checkId(act: string, name: string, id: unknown): void {
  // deno-lint-ignore no-control-regex -- the driver cuts strings at a NUL
  const ok = typeof id === "string" && /^[^\u0000-\u001f\u007f]{1,255}$/.test(id) &&
    id.isWellFormed();
  must(ok, () => `Cannot ${act}: ${name} must be 1 to 255 printable characters, not ${shown(id)}`);
}

/** @throws CollmError `invalid_request` naming the episode and the field */
export function checkSpec(spec: EpisodeSpec, environment: Environment): void {
  const act = `open episode '${spec.id}'`;
  checkId(`open episode`, "id", spec.id);
  checkId(act, "item_id", spec.item_id);
  must(
    Number.isSafeInteger(spec.seed),
    () => `Cannot ${act}: seed must be an integer, not ${shown(spec.seed)}`,
  );
  must(
    spec.turn_seeds === null ||
      (spec.turn_seeds.length === environment.turns && integers(spec.turn_seeds)),
    () =>
      `Cannot ${act}: turn_seeds must be ${environment.turns} integers, ` +
      `not ${shown(spec.turn_seeds)}`,
  );
  must(
    spec.stop_above === null || Number.isFinite(spec.stop_above),
    () => `Cannot ${act}: stop_above must be a finite number, not ${shown(spec.stop_above)}`,
  );
  must(
    PURPOSES.includes(spec.purpose),
    () => `Cannot ${act}: unknown purpose '${spec.purpose}', ${suggest(spec.purpose, PURPOSES)}`,
  );
  must(
    spec.deadline_at === null || Number.isSafeInteger(spec.deadline_at),
    () => `Cannot ${act}: deadline_at must be an integer, not ${shown(spec.deadline_at)}`,
  );
  for (const agent of Object.keys(spec.policy_versions ?? {})) {
    must(
      environment.agents.includes(agent),
      () =>
        `Cannot ${act}: policy_versions names unknown agent '${agent}', ` +
        suggest(agent, environment.agents),
    );
  }
}

/** Identity of what is played; the deadline may differ between a request and its retry. */
export function specHash({ deadline_at: _, ...spec }: EpisodeSpec): string {
  const { id, run_id, environment, options, item_id, task, purpose, policy_versions } = spec;
  const { seed, turn_seeds, stop_above } = spec;
  const played = [seed, turn_seeds, stop_above, purpose, policy_versions];
  return hashOf([id, run_id, environment, options, item_id, task, ...played]);
}

const integers = (values: unknown[]) => values.every((one) => Number.isSafeInteger(one));
const finite = (values: unknown[]) => values.every((one) => Number.isFinite(one));

/** @throws CollmError `invalid_request` naming the episode, the agent and the field */
export function checkAction(post: ActionPost): void {
  const act = `post action of agent '${post.agent}' on episode '${post.episode_id}'`;
  checkId(`post action`, "episode_id", post.episode_id);
  checkId(act, "agent", post.agent);
  must(
    Number.isSafeInteger(post.turn) && post.turn >= 1,
    () => `Cannot ${act}: turn must be an integer from 1, not ${shown(post.turn)}`,
  );
  must(
    typeof post.text === "string",
    () => `Cannot ${act}: text must be a string, not ${shown(post.text)}`,
  );
  const { prompt_tokens, tokens, logprobs, policy_version, seed } = post;
  must(
    prompt_tokens === null || (Array.isArray(prompt_tokens) && integers(prompt_tokens)),
    () => `Cannot ${act}: prompt_tokens must be integers, not ${shown(prompt_tokens)}`,
  );
  must(
    tokens === null || (Array.isArray(tokens) && integers(tokens)),
    () => `Cannot ${act}: tokens must be integers, not ${shown(tokens)}`,
  );
  must(
    logprobs === null || (Array.isArray(logprobs) && finite(logprobs)),
    () => `Cannot ${act}: logprobs must be finite numbers, not ${shown(logprobs)}`,
  );
  must(
    logprobs === null || logprobs.length === tokens?.length,
    () =>
      `Cannot ${act}: ${logprobs!.length} logprobs were given for ${tokens?.length ?? 0} tokens`,
  );
  must(
    seed === null || Number.isSafeInteger(seed),
    () => `Cannot ${act}: seed must be an integer, not ${shown(seed)}`,
  );
  if (policy_version !== null) checkId(act, "policy_version", policy_version);
}

/** Hash of the payload of an action: the same key with another hash is another action. */
export function actionHash(post: ActionPost): string {
  const { text, prompt_tokens, tokens, logprobs, policy_version, sampling, seed } = post;
  return hashOf([text, prompt_tokens, tokens, logprobs, policy_version, sampling, seed]);
}
