/**
 * What it takes to bring a policy back after its worker died: how it was loaded, the updates since,
 * and the version after each; and the answers of recent updates, so that a write that is sent again
 * is answered and not applied twice. Leaves out doing it (lasting_node.ts).
 */
import { createHash } from "node:crypto";
import { CollmError } from "../shared/errors.ts";
import type { LoadRequest, PolicyInfo, UpdateRequest, UpdateResult } from "./verbs.ts";

/** How many answered updates are remembered per policy. */
const ANSWERS_KEPT = 64;

export interface Entry {
  /** Brings the policy to `version`; then come `updates`. */
  load: LoadRequest;
  version: string;
  updates: { request: UpdateRequest; version: string; numbers: number }[];
  answers: Map<number, { payload: string; result: UpdateResult }>;
}

export const newEntry = (load: LoadRequest, { policy_version }: PolicyInfo): Entry => ({
  load,
  version: policy_version,
  updates: [],
  answers: new Map(),
});

/** Names an update's content. */
export const payloadOf = (request: UpdateRequest): string =>
  createHash("sha256").update(JSON.stringify(request)).digest("base64");

/** The answer that this write got before, if any. @throws CollmError conflict: another payload */
export function answered(
  { answers }: Entry,
  { policy, seq }: UpdateRequest,
  payload: string,
): UpdateResult | null {
  const known = answers.get(seq);
  if (!known) return null;
  if (known.payload === payload) return known.result;
  throw new CollmError(
    "conflict",
    `Cannot update policy '${policy}': seq ${seq} was used for another payload`,
  );
}

/** Takes an update that was applied. */
export function record(
  { updates, answers }: Entry,
  request: UpdateRequest,
  payload: string,
  result: UpdateResult,
): void {
  updates.push({ request, version: result.policy_version, numbers: numbersOf(request) });
  answers.set(request.seq, { payload, result });
  const oldest = answers.keys().next();
  if (answers.size > ANSWERS_KEPT && !oldest.done) answers.delete(oldest.value);
}

/** The policy's state after the first `count` updates is in `folder` now. */
export function startFrom(entry: Entry, folder: string, count: number): void {
  const { policy, base, lora, source, device } = entry.load;
  const under = base ?? (lora ? source : undefined);
  entry.version = entry.updates[count - 1]!.version;
  entry.load = {
    policy,
    source: folder,
    ...under !== undefined && { base: under },
    ...device && { device },
  };
  entry.updates.splice(0, count);
}

/** Numbers that an update's batch holds: its size in memory, eight bytes each. */
export const numbersOf = ({ batch }: UpdateRequest): number =>
  batch.reduce(
    (sum, s) =>
      sum + s.tokens.length + (s.advantages?.length ?? 0) + (s.old_logprobs?.length ?? 0) +
      (s.ref_logprobs?.length ?? 0),
    0,
  );
