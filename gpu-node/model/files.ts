/**
 * Files of a model folder: whole or not at all. Reading turns each failure into one sentence;
 * writing goes to a temporary file that is synced and renamed, so that a crash or a full disk
 * leaves the old file as it was. Knows nothing of what the files hold.
 */
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { CollmError, type ErrorCode } from "../../shared/errors.ts";

/** What a system error code means to a caller; codes not listed are shown as they are. */
const CAUSES: Record<string, [ErrorCode, string]> = {
  ENOENT: ["not_found", "no such file or folder"],
  ENOTDIR: ["not_found", "a part of the path is not a folder"],
  EISDIR: ["invalid_request", "it is a folder"],
  EACCES: ["forbidden", "permission denied"],
  EPERM: ["forbidden", "permission denied"],
  EROFS: ["forbidden", "the file system is read-only"],
  ENOSPC: ["unavailable", "no space left on the device"],
  EDQUOT: ["unavailable", "the disk quota is used up"],
};

/** The sentence `Cannot <deed> '<path>': <cause>` for an error of the file system. */
export function fileError(deed: string, path: string, cause: unknown): CollmError {
  const code = (cause as { code?: string } | null)?.code ?? "";
  const [status, reason] = CAUSES[code] ??
    ["internal", cause instanceof Error ? cause.message : String(cause)];
  return new CollmError(status, `Cannot ${deed} '${path}': ${reason}`, { cause });
}

/** JSON object in the file at `path`; throws CollmError when it is missing or holds anything else. */
export function readJsonObject(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw fileError("read", path, cause);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch (cause) {
    throw new CollmError("invalid_request", `Cannot read '${path}': it is not valid JSON`, {
      cause,
    });
  }
  throw new CollmError("invalid_request", `Cannot read '${path}': it holds no JSON object`);
}

let temporaryFiles = 0;

/**
 * Writes `chunks` one after the other as the file `path`, replacing it in one step.
 * Throws CollmError and leaves no trace when the folder is missing or the disk is full.
 */
export function writeFileAtomic(path: string, chunks: Iterable<Uint8Array>): void {
  const temporary = join(dirname(path), `.${basename(path)}.${Deno.pid}.${++temporaryFiles}.tmp`);
  try {
    const file = openSync(temporary, "wx");
    try {
      for (const chunk of chunks) writeFully(file, chunk);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
    syncFolder(dirname(path));
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw cause instanceof CollmError ? cause : fileError("write", path, cause);
  }
}

/** `value` as the indented JSON of a file. */
export const jsonBytes = (value: unknown): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(JSON.stringify(value, null, 2) + "\n");

/** Writes `value` as indented JSON, replacing the file in one step. */
export const writeJsonAtomic = (path: string, value: unknown): void =>
  writeFileAtomic(path, [jsonBytes(value)]);

function writeFully(file: number, chunk: Uint8Array): void {
  for (let at = 0; at < chunk.length;) at += writeSync(file, chunk, at, chunk.length - at);
}

/** A rename survives a power cut only once its folder is synced; Windows cannot open folders. */
function syncFolder(folder: string): void {
  if (Deno.build.os === "windows") return;
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
