/**
 * Writes a policy as a folder that is at once a Hugging Face folder and, with `onnx/`, a
 * Transformers.js folder. Everything is written beside the target and renamed at the end, so a
 * reader never sees half a checkpoint.
 */
import type { Policy } from "./policy.ts";
import { writeCheckpoint } from "./model/export.ts";

export function savePolicy(
  policy: Policy,
  folder: string,
  options: { state?: boolean },
): Promise<void> {
  return writeCheckpoint(policy, folder, options);
}
