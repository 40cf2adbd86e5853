/**
 * Plays queued evaluations one after the other and records how they end: a bad checkpoint fails
 * its evaluation with one sentence. It also takes up what others left. A `file:` database is this
 * process's alone: all that is in it when it starts. On a server another edge may still be at it,
 * so an edge keeps what it holds fresh, and takes over only what nobody has touched for a lease.
 */
import { CollmError } from "../shared/errors.ts";
import type { Store } from "../shared/store/connect.ts";
import {
  listEvaluations,
  takeOverEvaluation,
  touchEvaluations,
  updateEvaluation,
} from "../shared/store/evaluations.ts";
import { limit } from "../shared/store/limit.ts";
import { type EvaluationRequest, evaluationRequest } from "../shared/wire/evaluations.ts";
import type { EvaluationRunner } from "./edge.ts";

/** Milliseconds that an evaluation stays with an edge that is silent; beats per lease. */
const LEASE_MS = 60_000;
const BEATS = 4;

export interface EvaluationQueue {
  /** Queues an evaluation that is in the store; one that is queued already is left alone. */
  add(id: string, request: EvaluationRequest): void;
  /** Takes up no more; what is queued is still played. */
  close(): void;
}

export function createQueue(
  store: Store,
  run: EvaluationRunner,
  log: (line: string) => void,
  { lease_ms = LEASE_MS }: { lease_ms?: number } = {},
): EvaluationQueue {
  const line = limit(1);
  const queued = new Set<string>();

  async function play(id: string, request: EvaluationRequest): Promise<void> {
    // Progress is written in order, and the end after all of it.
    let written = updateEvaluation(store, id, { status: "running", progress: 0 }) as Promise<
      unknown
    >;
    const onProgress = (progress: number) => {
      written = written.then(() => updateEvaluation(store, id, { status: "running", progress }));
      written.catch(() => {});
    };
    try {
      await written;
      const result = await run(request, onProgress);
      await written;
      await updateEvaluation(store, id, { status: "succeeded", result });
    } catch (thrown) {
      const error = thrown instanceof CollmError
        ? thrown.message
        : `Cannot evaluate checkpoint '${request.checkpoint}': ${(thrown as Error).message}`;
      log(`Evaluation ${id} failed: ${error}`);
      await updateEvaluation(store, id, { status: "failed", error });
    }
  }

  const add = (id: string, request: EvaluationRequest) => {
    if (queued.has(id)) return;
    queued.add(id);
    line(() => play(id, request))
      .catch((error: Error) => log(`Cannot record evaluation ${id}: ${error.message}`))
      .finally(() => queued.delete(id));
  };

  /** Takes up what has not been touched since `lease` milliseconds ago. */
  async function takeUp(lease: number): Promise<void> {
    const before = Date.now() - lease;
    for (const left of await listEvaluations(store, ["queued", "running"])) {
      if (queued.has(left.id) || left.updated_at > before) continue;
      // Of several edges that see it, one gets it.
      if (!await takeOverEvaluation(store, left)) continue;
      if (left.status === "running") log(`Evaluation ${left.id} begins again: its edge is gone`);
      add(left.id, evaluationRequest.parse(left.request));
    }
  }

  const beat = async () => {
    await touchEvaluations(store, [...queued]);
    await takeUp(lease_ms);
  };
  const attempt = (work: Promise<void>) =>
    work.catch((error: Error) => log(`Cannot take up evaluations: ${error.message}`));

  attempt(takeUp(store.remote ? lease_ms : 0));
  if (!store.remote) return { add, close: () => {} };
  const timer = setInterval(() => attempt(beat()), lease_ms / BEATS);
  // A process that has nothing else to do may end.
  Deno.unrefTimer(timer);
  return { add, close: () => clearInterval(timer) };
}
