/**
 * Tables of the episode log. All but `episodes` (status, turn) are append-only, so a retried or
 * racing write is ignored by its key. Leaves out guards: they are in the statements.
 */
import { index, integer, primaryKey, real, sql, sqliteTable, text } from "../../../deps.ts";
import type { ChatMessage, PerAgent } from "../../environments/environment.ts";
import type { EndStatus, EpisodeStatus, Purpose } from "../lifecycle.ts";
import { json, type JsonObject, time } from "./columns.ts";
import { runs } from "./runs.ts";

export const episodes = sqliteTable("episodes", {
  id: text().primaryKey(),
  run_id: text().references(() => runs.id),
  environment: text().notNull(),
  options: json<JsonObject>().notNull(),
  item_id: text().notNull(),
  task: json<unknown>(),
  seed: integer().notNull(),
  /** Seed of each turn; branches of a tree that share a turn share its seed. */
  turn_seeds: json<number[]>(),
  /** The episode ends after a turn whose mean reward is above this. */
  stop_above: real(),
  purpose: text().$type<Purpose>().notNull(),
  policy_versions: json<PerAgent<string>>(),
  /** Agent names in playing order. */
  agents: json<string[]>().notNull(),
  deadline_at: time(),
  /** Hash of the whole spec: the same id with another spec is a conflict. */
  spec_hash: text().notNull(),
  status: text().$type<EpisodeStatus>().notNull(),
  /** 1-based turn that waits for actions; the last one played once the episode has ended. */
  turn: integer().notNull(),
  /** Why it failed; `null` in every other state. */
  cause: json<string>(),
  created_at: time().notNull(),
}, (t) => [index("episodes_running").on(t.run_id).where(sql`status = 'running'`)]);

const ofEpisode = () => text().notNull().references(() => episodes.id);

export const observations = sqliteTable("observations", {
  episode_id: ofEpisode(),
  turn: integer().notNull(),
  agent: text().notNull(),
  text: json<string>().notNull(),
  messages: json<ChatMessage[]>(),
  info: json<JsonObject>(),
}, (t) => [primaryKey({ columns: [t.episode_id, t.turn, t.agent] })]);

export const actions = sqliteTable("actions", {
  episode_id: ofEpisode(),
  turn: integer().notNull(),
  agent: text().notNull(),
  text: json<string>().notNull(),
  /** Token ids that the policy continued; `null` when the agent is not a policy of ours. */
  prompt_tokens: json<number[]>(),
  /** Token ids that `text` was derived from; `null` when the agent is not a policy of ours. */
  tokens: json<number[]>(),
  /** Natural-log probability of each token under the distribution it was drawn from. */
  logprobs: json<number[]>(),
  policy_version: text(),
  sampling: json<JsonObject>(),
  seed: integer(),
  /** Hash of the posted payload: tells a retry from another action. */
  payload_hash: text().notNull(),
  created_at: time().notNull(),
}, (t) => [primaryKey({ columns: [t.episode_id, t.turn, t.agent] })]);

/** Turn 0 is the reset: a state without rewards. */
export const steps = sqliteTable("steps", {
  episode_id: ofEpisode(),
  turn: integer().notNull(),
  /** State after the step. */
  state: json<unknown>(),
  rewards: json<PerAgent<number>>(),
  components: json<Record<string, number>>(),
  terminations: json<PerAgent<boolean>>(),
  truncations: json<PerAgent<boolean>>(),
  infos: json<PerAgent<JsonObject>>(),
  created_at: time().notNull(),
}, (t) => [primaryKey({ columns: [t.episode_id, t.turn] })]);

/** Ended episodes in the order they ended; readers keep the last cursor they saw. */
export const completions = sqliteTable("completions", {
  cursor: integer().primaryKey({ autoIncrement: true }),
  episode_id: ofEpisode().unique(),
  run_id: text(),
  purpose: text().$type<Purpose>().notNull(),
  /** Last turn of the episode. */
  turn: integer().notNull(),
  status: text().$type<EndStatus>().notNull(),
  cause: json<string>(),
  created_at: time().notNull(),
}, (t) => [index("completions_run").on(t.run_id, t.cursor)]);
