/**
 * Metrics of a run in the store, where the edge serves them. Steps are joint evaluations; the key
 * (run, step, name) makes a repetition after a crash harmless. Leaves out metrics.jsonl.
 */
import type { Store } from "../shared/store/connect.ts";
import { appendMetrics } from "../shared/store/runs.ts";

/** Records the finite numbers of a row under their names; what is none has no place on a curve. */
export async function recordMetrics(
  store: Store,
  run: string,
  step: number,
  row: object,
  prefix = "",
): Promise<void> {
  await appendMetrics(
    store,
    run,
    Object.entries(row).flatMap(([name, value]) =>
      Number.isFinite(value) ? [{ step, name: prefix + name, value: value as number }] : []
    ),
  );
}
