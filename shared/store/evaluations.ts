/**
 * Hosted evaluations: create, move along, read. Every write may be repeated.
 * Leaves out playing them.
 */
import { and, asc, eq, inArray, sql } from "../../deps.ts";
import { CollmError } from "../errors.ts";
import { canonicalJson } from "./canonical.ts";
import type { Store } from "./connect.ts";
import { checkId } from "./episodes/check.ts";
import { EVALUATION, type EvaluationStatus } from "./lifecycle.ts";
import { evaluations } from "./schema.ts";
import type { JsonObject } from "./schema/columns.ts";
import { among, ask, insertWhere, transact } from "./sql.ts";

export type Evaluation = typeof evaluations.$inferSelect;

const UNFINISHED: EvaluationStatus[] = ["queued", "running"];

/** What an evaluation can become. */
export type EvaluationUpdate =
  /** Fraction done, 0 to 1. */
  | { status: "running"; progress: number }
  | { status: "succeeded"; result: JsonObject }
  | { status: "failed"; error: string };

/**
 * Queues an evaluation; the same request again finds it.
 * @throws CollmError `conflict` when the id is taken by another request
 */
export async function createEvaluation(
  store: Store,
  id: string,
  request: JsonObject,
): Promise<Evaluation> {
  checkId("create evaluation", "id", id);
  const now = Date.now();
  const row = { id, request, status: "queued" as const, created_at: now, updated_at: now };
  const [[found]] = await transact(
    store,
    insertWhere(evaluations, [{ ...row, progress: 0 }], sql`true`),
    [store.db.select().from(evaluations).where(eq(evaluations.id, id))],
  );
  if (canonicalJson(found!.request) !== canonicalJson(request)) {
    throw new CollmError(
      "conflict",
      `Cannot create evaluation '${id}': the id is taken by another request`,
    );
  }
  return found!;
}

/** An evaluation. @throws CollmError `not_found` */
export async function getEvaluation(store: Store, id: string): Promise<Evaluation> {
  const byId = store.db.select().from(evaluations).where(eq(evaluations.id, id));
  const [row] = await ask(store, byId);
  if (!row) throw new CollmError("not_found", `Cannot read evaluation '${id}': it does not exist`);
  return row;
}

/** Evaluations in these states, oldest first: what a process that starts has to take up. */
export async function listEvaluations(
  store: Store,
  statuses: readonly EvaluationStatus[],
): Promise<Evaluation[]> {
  const inStates = inArray(evaluations.status, [...statuses]);
  const listed = store.db.select().from(evaluations).where(inStates)
    .orderBy(asc(evaluations.created_at), asc(evaluations.id));
  return await ask(store, listed);
}

/**
 * Moves an evaluation along its state machine; progress never goes back.
 * @throws CollmError `not_found`, `conflict` when it has ended otherwise
 */
export async function updateEvaluation(
  store: Store,
  id: string,
  update: EvaluationUpdate,
): Promise<Evaluation> {
  const from = (Object.keys(EVALUATION) as EvaluationStatus[])
    .filter((state) => Object.values<string>(EVALUATION[state]).includes(update.status));
  const { status } = update;
  const progress = status === "running"
    ? sql`max(${evaluations.progress}, ${update.progress})`
    : status === "succeeded"
    ? 1
    : evaluations.progress;
  const [, [row]] = await transact(store, [], [
    store.db.update(evaluations).set({
      status,
      progress: sql`${progress}`,
      result: status === "succeeded" ? update.result : null,
      error: status === "failed" ? update.error : null,
      updated_at: Date.now(),
    }).where(and(eq(evaluations.id, id), inArray(evaluations.status, from))),
    store.db.select().from(evaluations).where(eq(evaluations.id, id)),
  ]);
  const act = `update evaluation '${id}' to ${status}`;
  if (!row) throw new CollmError("not_found", `Cannot ${act}: it does not exist`);
  const holds = row.status === status &&
    (status !== "succeeded" || canonicalJson(row.result) === canonicalJson(update.result)) &&
    (status !== "failed" || row.error === update.error);
  if (!holds) throw new CollmError("conflict", `Cannot ${act}: it is ${row.status}`);
  return row;
}

/**
 * Makes an evaluation that its process left the caller's, unless another was faster.
 * @param left as it was read; whoever touches it first has it
 */
export async function takeOverEvaluation(
  store: Store,
  left: Pick<Evaluation, "id" | "updated_at">,
): Promise<boolean> {
  // Later than what was read in any case: the same time twice would look like nobody's.
  const updated_at = Math.max(Date.now(), left.updated_at + 1);
  const taken = await ask(
    store,
    store.db.update(evaluations).set({ updated_at }).where(and(
      eq(evaluations.id, left.id),
      eq(evaluations.updated_at, left.updated_at),
      inArray(evaluations.status, UNFINISHED),
    )).returning({ id: evaluations.id }),
  );
  return taken.length > 0;
}

/** Shows that somebody is at these evaluations; those that have ended stay as they are. */
export async function touchEvaluations(store: Store, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await ask(
    store,
    store.db.update(evaluations).set({ updated_at: Date.now() })
      .where(and(among(evaluations.id, ids), inArray(evaluations.status, UNFINISHED))),
  );
}
