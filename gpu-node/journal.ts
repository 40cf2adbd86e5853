/**
 * What it takes to bring a policy back after its worker died: how it was loaded, the updates since,
 * and the version after each; and the answers of recent updates. Leaves out doing it (lasting_node.ts).
 */
import type { LoadRequest, PolicyInfo, UpdateRequest, UpdateResult } from "./verbs.ts";
import { newWriteRecord, remember, type WriteRecord } from "./write_record.ts";

export interface Entry {
  /** Brings the policy to `version`; then come `updates`. */
  load: LoadRequest;
  version: string;
  updates: { request: UpdateRequest; version: string; numbers: number }[];
  answers: WriteRecord;
}

export const newEntry = (load: LoadRequest, { policy_version }: PolicyInfo): Entry => ({
  load,
  version: policy_version,
  updates: [],
  answers: newWriteRecord(),
});

/** Takes an update that was applied. */
export function record(
  { updates, answers }: Entry,
  request: UpdateRequest,
  payload: string,
  result: UpdateResult,
): void {
  updates.push({ request, version: result.policy_version, numbers: numbersOf(request) });
  remember(answers, request.seq, payload, result);
}

/** The policy's state after the first `count` updates is in `folder` now. */
export function startFrom(entry: Entry, folder: string, count: number): void {
  const { policy, base, lora, source, device, dtype } = entry.load;
  const under = base ?? (lora ? source : undefined);
  entry.version = entry.updates[count - 1]!.version;
  entry.load = {
    policy,
    source: folder,
    ...under !== undefined && { base: under },
    ...device && { device },
    ...dtype && { dtype },
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
