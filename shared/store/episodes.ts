/**
 * The episode protocol over a store: what the edge, the learner and agent hosts in one process
 * share. Any number of processes may work on one remote store; each call is safe to repeat.
 * Leaves out transport, tokens and the policies.
 */
import type { PerAgent } from "../environments/environment.ts";
import type { Store } from "./connect.ts";
import { postActions } from "./episodes/act.ts";
import { type ChangeListener, createChanges } from "./episodes/changes.ts";
import { failEpisode, failExpired } from "./episodes/fail.ts";
import { observationsOf, pendingOf } from "./episodes/observe.ts";
import { openEpisodes } from "./episodes/open.ts";
import { completionsOf, episodesOf, infosOf, transcriptsOf } from "./episodes/read.ts";
import type {
  ActionPost,
  ActionResult,
  AgentView,
  CompletionEntry,
  Episode,
  EpisodeLog,
  EpisodeSpec,
  ResolveEnvironment,
  Transcript,
} from "./episodes/types.ts";

export type * from "./episodes/types.ts";
export type { ChangeListener } from "./episodes/changes.ts";

export interface Episodes {
  /** Opens episodes; the same spec again finds the episode it opened. */
  openEpisodes(specs: readonly EpisodeSpec[]): Promise<Episode[]>;
  episodes(ids: readonly string[]): Promise<Episode[]>;
  /** What `agent` may see now. */
  observations(agent: string, episode_ids: readonly string[]): Promise<AgentView[]>;
  /** Episodes that wait for `agent`, oldest first; of all runs when `run_id` is `null`. */
  pending(agent: string, run_id: string | null, limit: number): Promise<AgentView[]>;
  /** Takes actions under (episode, turn, agent); steps the turns that they complete. */
  postActions(posts: readonly ActionPost[]): Promise<ActionResult[]>;
  failEpisode(id: string, cause: string): Promise<void>;
  /** Fails what is past its deadline; returns the ids. */
  failExpired(now?: number): Promise<string[]>;
  /** Ended episodes past a cursor, in the order they ended. */
  completions(
    run_id: string | null,
    after_cursor: number,
    limit: number,
  ): Promise<CompletionEntry[]>;
  transcripts(episode_ids: readonly string[]): Promise<Transcript[]>;
  /** What the environment reported with the step of a turn; `null` where it was not taken. */
  infos(id: string, turn: number): Promise<PerAgent<Record<string, unknown>> | null>;
  /** Changes made through this object, and through others once `pollChanges` sees them. */
  onChange(listener: ChangeListener): () => void;
  /** Looks once for what other processes changed; the caller chooses how often. */
  pollChanges(): Promise<void>;
}

/** The episode protocol over `store`; `now` gives milliseconds since 1970. */
export async function createEpisodes(
  store: Store,
  resolveEnvironment: ResolveEnvironment,
  { now = Date.now }: { now?: () => number } = {},
): Promise<Episodes> {
  const changes = await createChanges(store);
  const log: EpisodeLog = { store, resolve: resolveEnvironment, now, changed: changes.emit };
  return {
    openEpisodes: (specs) => openEpisodes(log, specs),
    episodes: (ids) => episodesOf(log, ids),
    observations: (agent, ids) => observationsOf(log, agent, ids),
    pending: (agent, run_id, limit) => pendingOf(log, agent, run_id, limit),
    postActions: (posts) => postActions(log, posts),
    failEpisode: (id, cause) => failEpisode(log, id, cause),
    failExpired: (at) => failExpired(log, at),
    completions: (run_id, after, limit) => completionsOf(log, run_id, after, limit),
    transcripts: (ids) => transcriptsOf(log, ids),
    infos: (id, turn) => infosOf(log, id, turn),
    onChange: changes.listen,
    pollChanges: changes.poll,
  };
}
