/**
 * State machines of episodes and evaluations, as tables: state, event, next state. An event that
 * a state does not list is refused. Leaves out who causes an event.
 */
import { CollmError } from "../errors.ts";

/** Why an episode is played; only `train` episodes are learnt from. */
export const PURPOSES = ["train", "evaluate", "external"] as const;
export type Purpose = (typeof PURPOSES)[number];

/** `failed` never carries a reward; both ends enter the completion log once. */
export const EPISODE = {
  running: { act: "running", step: "running", finish: "finished", fail: "failed" },
  finished: {},
  failed: {},
} as const;
export type EpisodeStatus = keyof typeof EPISODE;
/** What the completion log can say. */
export type EndStatus = Exclude<EpisodeStatus, "running">;

export const EVALUATION = {
  queued: { start: "running", succeed: "succeeded", fail: "failed" },
  running: { start: "running", succeed: "succeeded", fail: "failed" },
  succeeded: {},
  failed: {},
} as const;
export type EvaluationStatus = keyof typeof EVALUATION;

type Machine = Record<string, Record<string, string>>;

/**
 * Refuses an event that `state` does not take.
 * @throws CollmError `conflict`: "Cannot <act>: <thing> is <state>"
 */
export function refuseUnless(
  machine: Machine,
  state: string,
  event: string,
  act: string,
  thing: string,
): void {
  if (!(event in machine[state]!)) {
    throw new CollmError("conflict", `Cannot ${act}: ${thing} is ${state}`);
  }
}
