/**
 * What a sandbox process is fed at its start: the engine's files and, once it has been made, a
 * snapshot of the interpreter after its slow first start. The snapshot is kept in a cache folder
 * under a name that covers all it depends on; without the folder it is made once per process.
 */
import { join } from "node:path";
import { pyodideFile } from "../../../../deps.ts";
import { HARNESS } from "./harness.ts";

/** Files by name, in the order in which they are sent. */
export type Image = readonly (readonly [name: string, bytes: Uint8Array<ArrayBuffer>])[];

const ENGINE = [
  "pyodide.mjs",
  "pyodide.asm.mjs",
  "pyodide.asm.wasm",
  "python_stdlib.zip",
  "pyodide-lock.json",
];
const DIGEST_BYTES = 32;
/** Days after which a snapshot of another version is removed from the cache. */
const KEEP_DAYS = 7;

/** The engine's files alone: a process fed with them starts slowly. */
export async function engineImage(): Promise<Image> {
  const files = await Promise.all(ENGINE.map(async (name) => {
    return [name, await Deno.readFile(pyodideFile(name))] as const;
  }));
  return [...files, ["harness.py", new TextEncoder().encode(HARNESS)]];
}

/**
 * The engine's files with a snapshot, from the cache or made now.
 * @param folder Cache folder; created when absent. One that cannot be written is done without.
 * @param make Starts a process on an image and returns its snapshot.
 */
export async function snapshotImage(
  folder: string,
  make: (image: Image) => Promise<Uint8Array<ArrayBuffer>>,
): Promise<Image> {
  const engine = await engineImage();
  const parts = await Promise.all(engine.map(([, bytes]) => digest(bytes)));
  const key = hex(await digest(joined(parts))).slice(0, 24);
  const path = join(folder, `python-${key}.snapshot`);
  let snapshot = await readCached(path);
  if (!snapshot) {
    snapshot = await make([...engine, ["make", new Uint8Array(0)]]);
    await writeCached(path, folder, snapshot);
  }
  return [...engine, ["snapshot", snapshot]];
}

/** A cached snapshot; `undefined` when there is none or it was damaged. */
async function readCached(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(path);
  } catch {
    return undefined;
  }
  const snapshot = bytes.slice(DIGEST_BYTES);
  const sum = await digest(snapshot);
  return sum.every((byte, i) => byte === bytes[i]) ? snapshot : undefined;
}

/** Written beside and renamed, so that nobody reads half a snapshot. */
async function writeCached(path: string, folder: string, snapshot: Uint8Array<ArrayBuffer>) {
  const draft = `${path}.${crypto.randomUUID()}`;
  try {
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeFile(draft, joined([await digest(snapshot), snapshot]));
    await Deno.rename(draft, path);
    await removeOld(folder);
  } catch {
    // A folder that cannot be written costs the next process a slow start, nothing else.
    await Deno.remove(draft).catch(() => {});
  }
}

/** Snapshots are large, and every version of the Python side makes its own. */
async function removeOld(folder: string): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (!/^python-[0-9a-f]+\.snapshot/.test(name)) continue;
    const { mtime } = await Deno.stat(join(folder, name));
    if (mtime && Date.now() - mtime.getTime() > KEEP_DAYS * 86_400_000) {
      await Deno.remove(join(folder, name));
    }
  }
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
