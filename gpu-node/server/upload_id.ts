/**
 * The id of an uploaded checkpoint: a hash of its files, so that the same folder travels once and
 * no other can stand for it. Computed by the client before and by the server after the upload.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";

/** `upload.` and 32 hex digits of SHA-256 over each file in name order: name, NUL, bytes. */
export async function uploadId(folder: string, names: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const name of [...names].sort()) {
    hash.update(`${name}\0`);
    for await (const chunk of createReadStream(join(folder, name))) hash.update(chunk);
  }
  return `upload.${hash.digest("hex").slice(0, 32)}`;
}
