/**
 * What goes into the episode log and what comes out of it. Names are those of the wire.
 * Leaves out parsing: the edge has the schemas of its messages.
 */
import type { Environment, Observation, PerAgent } from "../../environments/environment.ts";
import type { CollmError } from "../../errors.ts";
import type { Store } from "../connect.ts";
import type { EndStatus, EpisodeStatus, Purpose } from "../lifecycle.ts";
import type { JsonObject } from "../schema/columns.ts";

export interface EpisodeSpec {
  /** Chosen by the caller: opening the same id again is a retry. */
  id: string;
  run_id: string | null;
  environment: string;
  options: JsonObject;
  item_id: string;
  /** Task as JSON, as the environment's `reset` takes it. */
  task: unknown;
  seed: number;
  /** Seed of each turn; `null`: derived from `seed`. Branches of a tree that share a turn share it. */
  turn_seeds: number[] | null;
  /** Ends the episode after a turn whose mean reward is above this; `null`: never. */
  stop_above: number | null;
  purpose: Purpose;
  /** Version that each agent should act with; `null` where the caller does not say. */
  policy_versions: PerAgent<string> | null;
  /** Milliseconds since 1970 after which `failExpired` ends it; not part of its identity. */
  deadline_at: number | null;
}

export interface Episode extends EpisodeSpec {
  /** Agent names in playing order. */
  agents: string[];
  status: EpisodeStatus;
  /** 1-based turn that waits for actions; the last one played once the episode has ended. */
  turn: number;
  cause: string | null;
}

/** What one agent may see now. */
export interface AgentView {
  episode_id: string;
  agent: string;
  /** `waiting` for this agent's action, `acted` and waiting for the others', or ended. */
  status: "waiting" | "acted" | EndStatus;
  turn: number;
  /** Its own observation of this turn; `null` once the episode has ended. */
  observation: Observation | null;
  /** What this agent samples with on this turn: hash(episode or turn seed, turn, agent). */
  seed: number;
  cause: string | null;
}

export interface Action {
  text: string;
  /** Token ids that the policy continued. */
  prompt_tokens: number[] | null;
  /** Token ids that `text` was derived from. */
  tokens: number[] | null;
  /** Natural-log probability of each token under the distribution it was drawn from. */
  logprobs: number[] | null;
  policy_version: string | null;
  sampling: JsonObject | null;
  seed: number | null;
}

export interface ActionPost extends Action {
  episode_id: string;
  turn: number;
  agent: string;
}

export type ActionResult =
  | {
    status: "stored" | "repeated";
    turn: number;
    episode_status: EpisodeStatus;
    /** This agent's reward of the turn, once its step has run. */
    reward?: number;
  }
  | { status: "error"; error: CollmError };

export interface CompletionEntry {
  cursor: number;
  episode_id: string;
  run_id: string | null;
  purpose: Purpose;
  status: EndStatus;
  cause: string | null;
}

export interface TranscriptTurn {
  turn: number;
  agents: PerAgent<{
    observation: Observation;
    info: JsonObject | null;
    action: Action | null;
  }>;
  /** `null` on a turn that was not stepped. */
  rewards: PerAgent<number> | null;
  components: Record<string, number> | null;
}

export interface Transcript extends Episode {
  turns: TranscriptTurn[];
}

/** An environment by id and options. @throws CollmError when this process does not have it */
export type ResolveEnvironment = (id: string, options: JsonObject) => Environment;

/** What every part of the episode log works with. */
export interface EpisodeLog {
  store: Store;
  resolve: ResolveEnvironment;
  /** Milliseconds since 1970. */
  now(): number;
  /** Tells listeners that something about these episodes changed. */
  changed(episode_ids: string[]): void;
}
