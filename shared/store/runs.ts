/**
 * Runs and what belongs to them: agents, policy versions, metrics. Every write has a key and may
 * be repeated. Leaves out weights and run folders: the learner has them.
 */
import { and, asc, type BatchItem, desc, eq, sql } from "../../deps.ts";
import { CollmError } from "../errors.ts";
import { hashOf } from "./canonical.ts";
import type { Store } from "./connect.ts";
import { checkId } from "./episodes/check.ts";
import { faultOf } from "./guarded.ts";
import { agents, metrics, policyVersions, runs } from "./schema.ts";
import type { JsonObject } from "./schema/columns.ts";
import { ask, chunks, insertWhere, transact } from "./sql.ts";

export interface RunSpec {
  id: string;
  environment: string;
  options: JsonObject;
  /** The resolved configuration: enough to start the run again. */
  config: JsonObject;
  /** In playing order; `policy` is the handle that the agent acts with. */
  agents: { name: string; policy: string }[];
}

export interface Run extends RunSpec {
  created_at: number;
}

/**
 * Creates a run; the same spec again finds it.
 * @throws CollmError `conflict` when the id is taken by another spec
 */
export async function createRun(store: Store, spec: RunSpec): Promise<Run> {
  checkId("create run", "id", spec.id);
  const { id, environment, options, config } = spec;
  const spec_hash = hashOf([id, environment, options, config, spec.agents]);
  const mine = sql`exists (select 1 from ${runs}
    where ${runs.id} = v.run_id and ${runs.spec_hash} = ${spec_hash})`;
  const [[row]] = await transact(store, [
    ...insertWhere(
      runs,
      [{ id, environment, options, config, spec_hash, created_at: Date.now() }],
      sql`true`,
    ),
    ...insertWhere(
      agents,
      spec.agents.map(({ name, policy }, position) => ({ run_id: id, name, position, policy })),
      mine,
    ),
  ], [store.db.select().from(runs).where(eq(runs.id, id))]);
  if (row!.spec_hash !== spec_hash) {
    throw new CollmError(
      "conflict",
      `Cannot create run '${id}': the id is taken by a run with another spec`,
    );
  }
  return { ...spec, created_at: row!.created_at };
}

/** A run. @throws CollmError `not_found` */
export async function getRun(store: Store, id: string): Promise<Run> {
  const { db } = store;
  const [[row], team] = await transact(store, [], [
    db.select().from(runs).where(eq(runs.id, id)),
    db.select({ name: agents.name, policy: agents.policy }).from(agents)
      .where(eq(agents.run_id, id)).orderBy(asc(agents.position)),
  ]);
  if (!row) throw new CollmError("not_found", `Cannot read run '${id}': it does not exist`);
  const { spec_hash: _, ...rest } = row;
  return { ...rest, agents: team };
}

/** Newest runs first, without their agents. */
export async function listRuns(store: Store, limit: number): Promise<Omit<Run, "agents">[]> {
  const newest = store.db.select().from(runs).orderBy(desc(runs.created_at), desc(runs.id));
  const rows = await ask(store, newest.limit(limit));
  return rows.map(({ spec_hash: _, ...run }) => run);
}

export interface PolicyVersion {
  run_id: string;
  policy: string;
  /** Content address, as the GPU node reports it. */
  version: string;
  iteration: number;
  folder: string | null;
}

/**
 * Records a version. The first record of a version stays (equal weights have one address), but a
 * folder may be added later. @throws CollmError `not_found` when there is no such run
 */
export async function recordPolicyVersion(store: Store, version: PolicyVersion): Promise<void> {
  await ofRun(
    store,
    "record policy version",
    version.run_id,
    store.db.insert(policyVersions).values({ ...version, created_at: Date.now() })
      .onConflictDoUpdate({
        target: [policyVersions.run_id, policyVersions.policy, policyVersions.version],
        set: { folder: sql`coalesce(${policyVersions.folder}, excluded.folder)` },
      }),
  );
}

/** Versions of a run in the order of their iterations. */
export async function listPolicyVersions(
  store: Store,
  run_id: string,
): Promise<(PolicyVersion & { created_at: number })[]> {
  const listed = store.db.select().from(policyVersions).where(eq(policyVersions.run_id, run_id))
    .orderBy(asc(policyVersions.iteration), asc(policyVersions.policy));
  return await ask(store, listed);
}

export interface Metric {
  step: number;
  name: string;
  value: number;
}

/**
 * Appends metrics under the key (run, step, name); what has been recorded stays.
 * @throws CollmError `invalid_request` (a value that is not finite), `not_found` (run)
 */
export async function appendMetrics(
  store: Store,
  run_id: string,
  entries: readonly Metric[],
): Promise<void> {
  for (const { step, name, value } of entries) {
    if (!Number.isFinite(value)) {
      throw new CollmError(
        "invalid_request",
        `Cannot append metric '${name}' of run '${run_id}' at step ${step}: value is ${value}`,
      );
    }
  }
  const created_at = Date.now();
  for (const batch of chunks(entries, 1000)) {
    const rows = batch.map(({ step, name, value }) => ({ run_id, step, name, value, created_at }));
    const insert = store.db.insert(metrics).values(rows).onConflictDoNothing();
    await ofRun(store, "append metrics", run_id, insert);
  }
}

/** Metrics of a run by step, then name; of one name when it is given. */
export async function readMetrics(
  store: Store,
  run_id: string,
  name?: string,
): Promise<Metric[]> {
  const inRun = eq(metrics.run_id, run_id);
  const listed = store.db.select({ step: metrics.step, name: metrics.name, value: metrics.value })
    .from(metrics).where(name === undefined ? inRun : and(inRun, eq(metrics.name, name)))
    .orderBy(asc(metrics.step), asc(metrics.name));
  return await ask(store, listed);
}

/** Says which run is missing, which the database's error does not. */
async function ofRun(
  store: Store,
  act: string,
  run_id: string,
  write: BatchItem<"sqlite">,
): Promise<void> {
  try {
    await ask(store, write);
  } catch (error) {
    if (!/FOREIGN KEY/.test(faultOf(error).message)) throw error;
    throw new CollmError("not_found", `Cannot ${act}: run '${run_id}' does not exist`, {
      cause: error,
    });
  }
}
