/**
 * Tables of a training run: the run, its agents, the versions of its policies, its metrics.
 * Leaves out weights: a version names a folder, the folder holds the checkpoint.
 */
import { integer, primaryKey, real, sqliteTable, text } from "../../../deps.ts";
import { json, type JsonObject, time } from "./columns.ts";

export const runs = sqliteTable("runs", {
  id: text().primaryKey(),
  environment: text().notNull(),
  options: json<JsonObject>().notNull(),
  /** The resolved configuration: enough to start the run again. */
  config: json<JsonObject>().notNull(),
  /** Hash of what the run was created with: the same again is answered, another is refused. */
  spec_hash: text().notNull(),
  created_at: time().notNull(),
});

export const agents = sqliteTable("agents", {
  run_id: text().notNull().references(() => runs.id),
  name: text().notNull(),
  /** 0-based playing order. */
  position: integer().notNull(),
  /** Handle of the policy that the agent acts with. */
  policy: text().notNull(),
}, (t) => [primaryKey({ columns: [t.run_id, t.name] })]);

export const policyVersions = sqliteTable("policy_versions", {
  run_id: text().notNull().references(() => runs.id),
  /** Handle of a policy or a critic. */
  policy: text().notNull(),
  /** Content address, as the GPU node reports it. */
  version: text().notNull(),
  /** Iteration of the run that published it; 0 is the base. */
  iteration: integer().notNull(),
  /** Checkpoint folder; `null` when the version was never exported. */
  folder: text(),
  created_at: time().notNull(),
}, (t) => [primaryKey({ columns: [t.run_id, t.policy, t.version] })]);

export const metrics = sqliteTable("metrics", {
  run_id: text().notNull().references(() => runs.id),
  /** Joint evaluations so far, or whatever counter the run's x axis is. */
  step: integer().notNull(),
  name: text().notNull(),
  value: real().notNull(),
  created_at: time().notNull(),
}, (t) => [primaryKey({ columns: [t.run_id, t.step, t.name] })]);
