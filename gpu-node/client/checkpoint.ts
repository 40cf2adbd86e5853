/**
 * Checkpoint folders between this machine and a GPU server, file by file. An upload is named by
 * the hash of its content, so the same folder travels once; a download appears whole or not at all.
 */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { CollmError } from "../../shared/errors.ts";
import { callJson, type CallOptions, callServer } from "../../shared/wire/call.ts";
import { checkpointInfo, HUB_ID } from "../../shared/wire/gpu.ts";
import { parse } from "../../shared/wire/parse.ts";
import { fromAnswer } from "../../shared/wire/problem.ts";
import { fileError, readJsonObject, writeJsonAtomic } from "../model/files.ts";
import { writeFolder } from "../model/folder.ts";
import { ADAPTER_CONFIG, isAdapterFolder, readAdapterConfig } from "../model/lora.ts";
import { type CheckpointInfo, UPLOADED_FILE } from "../server/checkpoints.ts";
import { uploadId } from "../server/upload_id.ts";
import { OPTIMIZER_FILE, STATE_FILE } from "../training_state.ts";

/**
 * A source with a slash is a folder of this machine, unless there is none and it has the form of a
 * hub id; a bare name is the server's.
 */
export const isFolder = (source: string): boolean =>
  /[\\/]/.test(source) && (existsSync(source) || !HUB_ID.test(source));

/** The folder of this machine that the adapter in a folder of it extends, if it names one. */
export function folderUnder(source: string): string | undefined {
  if (!isFolder(source) || !isAdapterFolder(source)) return undefined;
  const { base } = readAdapterConfig(source);
  return base !== null && isFolder(base) && existsSync(base) ? base : undefined;
}

/** Brings a checkpoint folder to the server; returns the id it has there. */
export async function uploadCheckpoint(
  base: string,
  folder: string,
  options: CallOptions,
): Promise<string> {
  const names = filesOf(folder);
  const id = await uploadId(folder, names);
  const present = await namesThere(base, id, options);
  for (const name of names) {
    if (present.has(name)) continue;
    const url = `${base}/v1/checkpoints/${id}/files/${name}`;
    const put = async () => ({
      method: "PUT",
      body: (await Deno.open(join(folder, name))).readable,
    });
    await callServer(url, put, options, (response) => accepted(response, url));
  }
  return id;
}

/**
 * Fetches a checkpoint into `folder`, instead of one there; without `state` not the optimizer's. An adapter
 * on a base that was brought from here names the folder that it came from, and so loads here too.
 */
export async function downloadCheckpoint(
  base: string,
  { id, files }: CheckpointInfo,
  folder: string,
  { state, brought, ...options }: CallOptions & {
    state: boolean;
    brought: ReadonlyMap<string, string>;
  },
): Promise<void> {
  await writeFolder(folder, async (fresh) => {
    for (const { name, bytes } of files) {
      if (!state && (name === OPTIMIZER_FILE || name === STATE_FILE)) continue;
      const path = inside(fresh, name);
      mkdirSync(dirname(path), { recursive: true });
      const url = `${base}/v1/checkpoints/${id}/files/${name}`;
      await callServer(url, () => ({ method: "GET" }), options, async (response) => {
        if (!response.ok) return accepted(response, url);
        const got = await writeStream(path, response.body!);
        if (got === bytes) return;
        throw new CollmError("unavailable", `Cannot fetch ${url}: ${got} of ${bytes} bytes came`);
      });
    }
    if (isAdapterFolder(fresh)) nameBase(fresh, brought);
  });
}

/** Puts a folder's path into an adapter's file where that names what it is on the server. */
function nameBase(folder: string, brought: ReadonlyMap<string, string>): void {
  const path = join(folder, ADAPTER_CONFIG);
  const config = readJsonObject(path);
  const base = brought.get(String(config.base_model_name_or_path));
  if (base) writeJsonAtomic(path, { ...config, base_model_name_or_path: base });
}

/**
 * Files of `folder` that make it loadable, in name order. ONNX files only where there are no
 * weights beside them: those of our own exports say the same twice.
 */
function filesOf(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder, { recursive: true, encoding: "utf8" })
      .map((name) => name.split(sep).join("/")).filter((name) => UPLOADED_FILE.test(name)).sort();
  } catch (cause) {
    throw fileError("read checkpoint", folder, cause);
  }
  const weights = names.some((name) => /^(adapter_)?model.*\.safetensors$/.test(name));
  if (weights) names = names.filter((name) => !name.startsWith("onnx/"));
  if (names.includes("config.json") || names.includes("adapter_config.json")) return names;
  throw new CollmError("not_found", `Cannot read checkpoint '${folder}': it holds no config.json`);
}

/** Names of the files that the server has of this upload. */
async function namesThere(base: string, id: string, options: CallOptions): Promise<Set<string>> {
  const url = `${base}/v1/checkpoints/${id}`;
  try {
    const answer = await callJson("GET", url, undefined, options);
    const { files } = parse(checkpointInfo, answer, `the answer of ${url}`, "unavailable");
    return new Set(files.map((file) => file.name));
  } catch (error) {
    if (error instanceof CollmError && error.code === "not_found") return new Set();
    throw error;
  }
}

/** A server's file name must not lead out of the folder. */
function inside(folder: string, name: string): string {
  if (/^\w[\w.-]*(\/\w[\w.-]*)*$/.test(name)) return join(folder, name);
  throw new CollmError("unavailable", `Cannot fetch a checkpoint: '${name}' is no plain file name`);
}

async function accepted(response: Response, url: string): Promise<void> {
  const text = await response.text();
  if (!response.ok) throw fromAnswer(response.status, text, `Cannot call ${url}`);
}

/** Writes a stream to a file and counts its bytes; a full disk is not a failed connection. */
async function writeStream(path: string, body: ReadableStream<Uint8Array>): Promise<number> {
  const onDisk = async <T>(deed: () => Promise<T>): Promise<T> => {
    try {
      return await deed();
    } catch (cause) {
      throw fileError("write", path, cause);
    }
  };
  using file = await onDisk(() => Deno.open(path, { write: true, create: true, truncate: true }));
  let bytes = 0;
  for await (const chunk of body) {
    for (let at = 0; at < chunk.length;) {
      at += await onDisk(() => file.write(chunk.subarray(at)));
    }
    bytes += chunk.length;
  }
  return bytes;
}
