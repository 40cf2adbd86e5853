/**
 * Plays queued evaluations one after the other and records how they end: a bad checkpoint fails
 * its evaluation with one sentence. On a `file:` database, which this process alone owns, it
 * takes up what an earlier process left; on a server another edge may still be at it.
 */
import { CollmError } from "../shared/errors.ts";
import type { Store } from "../shared/store/connect.ts";
import { listEvaluations, updateEvaluation } from "../shared/store/evaluations.ts";
import { limit } from "../shared/store/limit.ts";
import { type EvaluationRequest, evaluationRequest } from "../shared/wire/evaluations.ts";
import type { EvaluationRunner } from "./edge.ts";

export interface EvaluationQueue {
  /** Queues an evaluation that is in the store; one that is queued already is left alone. */
  add(id: string, request: EvaluationRequest): void;
}

export function createQueue(
  store: Store,
  run: EvaluationRunner,
  log: (line: string) => void,
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

  if (!store.remote) {
    listEvaluations(store, ["queued", "running"]).then(
      (left) => left.forEach(({ id, request }) => add(id, evaluationRequest.parse(request))),
      (error: Error) => log(`Cannot take up evaluations: ${error.message}`),
    );
  }
  return { add };
}
