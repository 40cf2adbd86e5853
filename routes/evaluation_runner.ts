/**
 * Plays hosted evaluations with the very function of `deno task evaluate`: in a Worker of this
 * process, or on a GPU node. It reads checkpoints from a disk, so an edge that has none has no
 * runner. Leaves out queueing (evaluation_queue.ts).
 */
import { isAbsolute, join, normalize } from "node:path";
import { openHttpNode } from "../gpu-node/client/http.ts";
import { CollmError } from "../shared/errors.ts";
import { isLoopback } from "../shared/wire/listen.ts";
import type { EvaluationRunner } from "./edge.ts";

export interface RunnerOptions {
  host: string;
  gpu?: string;
  /** Folder that checkpoints are under; default: any on loopback, `runs` elsewhere. */
  checkpoints?: string;
}

/** A runner, or `null` where this process may not read a disk or load the native library. */
export function createRunner(
  { host, gpu, checkpoints }: RunnerOptions,
): EvaluationRunner | null {
  const may = (name: "read" | "write" | "ffi") =>
    Deno.permissions.querySync({ name }).state === "granted";
  if (!may("read") || !may("write") || !may("ffi")) return null;
  const root = checkpoints ?? (isLoopback(host) ? undefined : "runs");
  const token = Deno.env.get("COLLM_TOKEN") || undefined;
  return async (request, onProgress) => {
    const checkpoint = folderOf(request.checkpoint, root);
    // Loaded when first needed: it brings the native library along.
    const { evaluateCheckpoint } = await import("../train/evaluate.ts");
    const result = await evaluateCheckpoint(
      { ...request, checkpoint },
      (done) => onProgress(done / request.episodes),
      gpu === undefined ? undefined : () => openHttpNode(gpu, { token }),
    );
    return { ...result, checkpoint: request.checkpoint };
  };
}

/** Folder of a checkpoint. @throws CollmError `forbidden` for one outside of `root` */
export function folderOf(checkpoint: string, root: string | undefined): string {
  if (root === undefined) return checkpoint;
  const path = normalize(checkpoint);
  if (!isAbsolute(path) && !/^\.\.([/\\]|$)/.test(path)) return join(root, path);
  throw new CollmError(
    "forbidden",
    `Cannot evaluate checkpoint '${checkpoint}': it is outside of the folder of checkpoints`,
  );
}
