/**
 * Hub ids (`owner/name`) as local folders: the files that a policy needs, downloaded once into the
 * cache of Transformers.js, in its layout and with its settings (host, token), so each finds what
 * the other fetched. Always the main revision; leaves out resuming a broken download.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { CollmError } from "../shared/errors.ts";
import { transformersLibrary } from "./frozen/library.ts";
import { onnxNames } from "./frozen/load.ts";
import { readOnnxFile } from "./frozen/onnx_file.ts";
import { FAMILIES } from "./model/config.ts";
import { readJsonObject } from "./model/files.ts";
import type { DeviceName, LoadRequest } from "./verbs.ts";

/** Told of every part of a file that arrives; `total` is 0 where the host does not say. */
export type Progress = (file: string, loaded: number, total: number) => void;

const OPTIONAL_FILES = [
  ...["generation_config.json", "tokenizer.json", "tokenizer_config.json"],
  ...["special_tokens_map.json", "chat_template.jinja"],
];

const isHubId = (source: string): boolean => /^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(source);

/**
 * The folder that a request's source stands for: itself where it exists or can be no hub id, else
 * the cached copy of the hub's model, fetched as far as it is not there: safetensors of a family
 * that learns, else the ONNX files of the request's number format. Throws CollmError naming the
 * file and the host: `not_found` when there is no such model, `unavailable` without a network.
 */
export async function modelFolder(
  request: Pick<LoadRequest, "policy" | "source" | "frozen" | "dtype">,
  device: DeviceName,
  progress?: Progress,
): Promise<string> {
  const { policy, source, frozen = false, dtype = "fp32" } = request;
  if (existsSync(source) || !isHubId(source)) return source;
  const hub = await openHub(source, progress);
  await hub.require("config.json");
  for (const file of OPTIONAL_FILES) await hub.find(file);
  const { model_type } = readJsonObject(join(hub.folder, "config.json"));
  const learns = !frozen && Object.hasOwn(FAMILIES, String(model_type));
  if (learns && await findWeights(hub)) return hub.folder;
  for (const file of await onnxNames(policy, hub.folder, dtype, device)) {
    await hub.require(file);
    const { external } = readOnnxFile(join(hub.folder, file));
    for (const name of external) await hub.require(join(dirname(file), name));
  }
  return hub.folder;
}

/** Fetches safetensors, whole or in shards; false when the model has none. */
async function findWeights(hub: Hub): Promise<boolean> {
  if (await hub.find("model.safetensors")) return true;
  const index = "model.safetensors.index.json";
  if (!await hub.find(index)) return false;
  const { weight_map } = readJsonObject(join(hub.folder, index));
  for (const shard of new Set(Object.values(weight_map ?? {}))) await hub.require(String(shard));
  return true;
}

interface Hub {
  folder: string;
  /** Fetches a file that may be absent; false then. */
  find(file: string): Promise<boolean>;
  require(file: string): Promise<void>;
}

async function openHub(id: string, progress?: Progress): Promise<Hub> {
  const { env } = await transformersLibrary();
  const base = env.remoteHost.replace(/\/?$/, "/") +
    env.remotePathTemplate.replaceAll("{model}", id).replaceAll("{revision}", "main");
  const folder = join(env.cacheDir ?? ".", id);
  const token = Deno.env.get("HF_TOKEN");
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const refuse = (file: string, code: "not_found" | "unavailable", why: string, cause?: unknown) =>
    new CollmError(code, `Cannot fetch '${file}' of model '${id}' from ${env.remoteHost}: ${why}`, {
      cause,
    });

  /** null when it is there now, else the host's status that says it has none. */
  async function fetchFile(file: string): Promise<number | null> {
    const path = join(folder, file);
    if (existsSync(path)) return null;
    try {
      const response = await env.fetch(base + file, { headers });
      if (response.ok) await store(response, path, (n, total) => progress?.(file, n, total));
      else await response.body?.cancel();
      if (response.ok) return null;
      if ([401, 403, 404].includes(response.status)) return response.status;
      throw refuse(file, "unavailable", `it answers ${response.status}`);
    } catch (cause) {
      if (cause instanceof CollmError) throw cause;
      const why = cause instanceof Error ? cause.message : String(cause);
      throw refuse(file, "unavailable", why, cause);
    }
  }
  return {
    folder,
    find: async (file) => await fetchFile(file) === null,
    async require(file) {
      const status = await fetchFile(file);
      if (status === 404) throw refuse(file, "not_found", "there is no such file");
      if (status) throw refuse(file, "not_found", "no such model, or it needs a token (HF_TOKEN)");
    },
  };
}

/** Streams a response into `path`, which appears whole or not at all. */
async function store(
  response: Response,
  path: string,
  progress: (loaded: number, total: number) => void,
): Promise<void> {
  const total = Number(response.headers.get("content-length") ?? 0);
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    const file = await Deno.open(temporary, { write: true, createNew: true });
    let loaded = 0;
    const count = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(chunk, controller) {
        progress(loaded += chunk.length, total);
        controller.enqueue(chunk);
      },
    });
    await response.body?.pipeThrough(count).pipeTo(file.writable);
    await Deno.rename(temporary, path);
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {});
    throw cause;
  }
}
