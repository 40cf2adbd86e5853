/**
 * The updates that were applied, by their write key, so that one that is sent again is not applied
 * twice: a recent one is answered as before, an older one is refused.
 */
import { createHash } from "node:crypto";
import { CollmError } from "../shared/errors.ts";
import type { UpdateRequest, UpdateResult } from "./verbs.ts";

/** How many answers are kept per policy. */
const ANSWERS_KEPT = 64;

export interface WriteRecord {
  /** Recent answers by seq. */
  answers: Map<number, { payload: string; result: UpdateResult }>;
  /** Older seqs, whose answers are not kept. */
  older: Set<number>;
}

export const newWriteRecord = (): WriteRecord => ({ answers: new Map(), older: new Set() });

/** Names an update's content. */
export const payloadOf = (request: UpdateRequest): string =>
  createHash("sha256").update(JSON.stringify(request)).digest("base64");

/**
 * The answer that this write got before, if any.
 * @throws CollmError conflict: another payload, or applied so long ago that the answer is gone
 */
export function answered(
  record: WriteRecord,
  { policy, seq }: UpdateRequest,
  payload: string,
): UpdateResult | null {
  const known = record.answers.get(seq);
  if (known?.payload === payload) return known.result;
  if (!known && !record.older.has(seq)) return null;
  const why = known
    ? "was used for another payload"
    : `was used before, longer ago than the last ${ANSWERS_KEPT} answers, which are kept`;
  throw new CollmError("conflict", `Cannot update policy '${policy}': seq ${seq} ${why}`);
}

/** Takes the answer of an update that was applied. */
export function remember(
  record: WriteRecord,
  seq: number,
  payload: string,
  result: UpdateResult,
): void {
  const { answers, older } = record;
  answers.set(seq, { payload, result });
  const oldest = answers.keys().next();
  if (answers.size <= ANSWERS_KEPT || oldest.done) return;
  answers.delete(oldest.value);
  older.add(oldest.value);
}
