/**
 * Checkpoint folders, whole or not at all: made beside their place and renamed, so that no reader
 * sees half of one, and never in the place of what is no checkpoint.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { CollmError } from "../../shared/errors.ts";
import { fileError } from "./files.ts";

/** What a model's folder has in it, as it is published or while it is written. */
const CHECKPOINT_FILE =
  /^[\w.-]*(config|tokenizer|vocab|special_tokens_map|added_tokens|training_state|index)\.json$|^(merges|vocab)\.txt$|^tokenizer\.model$|^chat_template\.jinja$|\.safetensors$|^onnx$|^(README|LICENSE)(\.md|\.txt)?$|^\.gitattributes$|\.tmp$/;

/**
 * Makes the folder `target` of what `fill` writes into the empty folder that it is given, and
 * removes the checkpoint that was there only once the new one is. Throws what `fill` throws, a
 * conflict where anything but a checkpoint would be lost, or the file system's cause.
 */
export async function writeFolder(
  target: string,
  fill: (fresh: string) => Promise<void>,
): Promise<void> {
  // Without a slash at its end: names beside it are made of it.
  const folder = resolve(target);
  const [fresh, old] = [`${folder}.writing`, `${folder}.old`];
  for (const name of [folder, fresh, old]) requireReplaceable(name);
  try {
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { recursive: true });
    await fill(fresh);
    rmSync(old, { recursive: true, force: true });
    if (existsSync(folder)) renameSync(folder, old);
    else mkdirSync(dirname(folder), { recursive: true });
    renameSync(fresh, folder);
    rmSync(old, { recursive: true, force: true });
  } catch (cause) {
    rmSync(fresh, { recursive: true, force: true });
    throw cause instanceof CollmError ? cause : fileError("write", folder, cause);
  }
}

/** Refuses a folder that holds anything but a checkpoint, so that writing one loses nothing else. */
export function requireReplaceable(folder: string): void {
  if (!existsSync(folder)) return;
  const other = statSync(folder).isDirectory()
    ? readdirSync(folder).find((name) => !CHECKPOINT_FILE.test(name))
    : basename(folder);
  if (other === undefined) return;
  throw new CollmError("conflict", `Cannot write '${folder}': it holds other files, '${other}'`);
}
