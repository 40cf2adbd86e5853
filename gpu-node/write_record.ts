/**
 * The answers of recent updates by their write key, so that one that is sent again is answered and
 * not applied twice.
 */
import { createHash } from "node:crypto";
import { CollmError } from "../shared/errors.ts";
import type { UpdateRequest, UpdateResult } from "./verbs.ts";

/** How many answers are kept per policy. */
const ANSWERS_KEPT = 64;

/** By seq. */
export type WriteRecord = Map<number, { payload: string; result: UpdateResult }>;

/** Names an update's content. */
export const payloadOf = (request: UpdateRequest): string =>
  createHash("sha256").update(JSON.stringify(request)).digest("base64");

/** The answer that this write got before, if any. @throws CollmError conflict: another payload */
export function answered(
  record: WriteRecord,
  { policy, seq }: UpdateRequest,
  payload: string,
): UpdateResult | null {
  const known = record.get(seq);
  if (!known) return null;
  if (known.payload === payload) return known.result;
  throw new CollmError(
    "conflict",
    `Cannot update policy '${policy}': seq ${seq} was used for another payload`,
  );
}

/** Takes the answer of an update that was applied. */
export function remember(
  record: WriteRecord,
  seq: number,
  payload: string,
  result: UpdateResult,
): void {
  record.set(seq, { payload, result });
  const oldest = record.keys().next();
  if (record.size > ANSWERS_KEPT && !oldest.done) record.delete(oldest.value);
}
