/**
 * Hub ids (`owner/name`) as local folders: the files that a policy needs, fetched once into the
 * cache of Transformers.js, in its layout and with its settings, so each finds what the other
 * fetched. (The library exports no function that fetches one file, and reads no safetensors.)
 * Always the main revision; leaves out resuming a broken download.
 */
import { existsSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { CollmError } from "../shared/errors.ts";
import { transformersLibrary } from "./frozen/library.ts";
import { onnxNames } from "./frozen/load.ts";
import { readOnnxFile } from "./frozen/onnx_file.ts";
import { INDEX, readIndex, WEIGHTS } from "./model/checkpoint.ts";
import { FAMILIES } from "./model/config.ts";
import { readJsonObject } from "./model/files.ts";
import {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  isAdapterFolder,
  readAdapterConfig,
} from "./model/lora.ts";
import type { DeviceName, LoadRequest } from "./verbs.ts";

/** Told of every part of a file that arrives; `total` is 0 where the host does not say. */
export type Progress = (file: string, loaded: number, total: number) => void;

const CONFIG = "config.json";
const OPTIONAL_FILES = [
  ...["generation_config.json", "tokenizer.json", "tokenizer_config.json"],
  ...["special_tokens_map.json", "chat_template.jinja"],
];

const isHubId = (source: string): boolean => /^\w[\w.-]*\/\w[\w.-]*$/.test(source);

/**
 * The request with folders for hub ids: its source, and the base that the source extends, be it
 * named by the request or by an adapter's configuration.
 */
export async function withFolders(
  request: LoadRequest,
  device: DeviceName,
  progress?: Progress,
): Promise<LoadRequest> {
  const source = await modelFolder(request, device, progress);
  const adapter = isAdapterFolder(source);
  const base = request.base ?? (adapter ? readAdapterConfig(source).base : null);
  if (base === null) return { ...request, source };
  const { policy } = request;
  return {
    ...request,
    source,
    base: await modelFolder({ policy, source: base }, device, progress),
  };
}

/**
 * The folder that a request's source stands for: itself where it exists or can be no hub id, else
 * the cached copy of the hub's model, fetched as far as it is not there: safetensors of a family
 * that learns, an adapter, else the ONNX files of the request's number format. A model that is
 * complete asks nothing of the hub. Throws CollmError naming the file and the host: `not_found`
 * when there is no such model, `unavailable` without a network.
 */
export async function modelFolder(
  request: Pick<LoadRequest, "policy" | "source" | "frozen" | "dtype">,
  device: DeviceName,
  progress?: Progress,
): Promise<string> {
  const { source } = request;
  return existsSync(source) || !isHubId(source)
    ? source
    : await hubModelFolder(request, device, progress);
}

/** The same for a source that is a hub id, whatever lies here under such a path. */
export async function hubModelFolder(
  request: Pick<LoadRequest, "policy" | "source" | "frozen" | "dtype">,
  device: DeviceName,
  progress?: Progress,
): Promise<string> {
  const { policy, source, frozen = false, dtype = "fp32" } = request;
  const hub = await openHub(source, progress);
  const { folder } = hub;
  const isModel = !isAdapterFolder(folder) && await hub.find(CONFIG);
  if (!isModel && !await hub.find(ADAPTER_CONFIG)) {
    throw hub.refuse(CONFIG, "there is no such model, and no such folder here");
  }
  const type = isModel && String(readJsonObject(join(folder, CONFIG)).model_type);
  const learns = !frozen && typeof type === "string" && Object.hasOwn(FAMILIES, type);
  const weights = isModel ? learns && await safetensors(hub) : [ADAPTER_WEIGHTS];
  if (weights) {
    await fetchAll(hub, weights);
    return folder;
  }
  const files = await onnxNames(policy, folder, dtype, device);
  await fetchAll(hub, files);
  for (const file of files) {
    const { external } = readOnnxFile(join(folder, file));
    for (const name of external) await hub.require(join(dirname(file), name));
  }
  return folder;
}

/**
 * The folder with the tokenizer of a source: itself where it exists or can be no hub id, else the
 * cached copy of the hub's files, without weights.
 */
export async function tokenizerFolder(source: string): Promise<string> {
  if (existsSync(source) || !isHubId(source)) return source;
  const hub = await openHub(source);
  await fetchOptional(hub);
  return hub.folder;
}

/** The optional files first: where the weights are, they have been asked for. */
async function fetchAll(hub: Hub, files: readonly string[]): Promise<void> {
  const missing = files.filter((file) => !existsSync(join(hub.folder, file)));
  if (missing.length > 0) await fetchOptional(hub);
  for (const file of missing) await hub.require(file);
}

/** Asks once for what a model may lack, and leaves a note of that: later loads need no network. */
async function fetchOptional(hub: Hub): Promise<void> {
  const note = join(hub.folder, ".optional-files-asked");
  if (existsSync(note)) return;
  const found: string[] = [];
  for (const file of OPTIONAL_FILES) if (await hub.find(file)) found.push(file);
  if (found.length > 0) await Deno.writeTextFile(note, "");
}

/** Names of the safetensors, one file or its shards; null when the model has none. */
async function safetensors({ folder, find, has }: Hub): Promise<string[] | null> {
  if (existsSync(join(folder, WEIGHTS))) return [WEIGHTS];
  if (await find(INDEX)) return [...new Set(readIndex(join(folder, INDEX)).values())];
  return await has(WEIGHTS) ? [WEIGHTS] : null;
}

/** The hub id of a folder in the cache, which means the same on every machine. */
export async function hubIdOf(folder: string): Promise<string | undefined> {
  const { env } = await transformersLibrary();
  const id = relative(resolve(env.cacheDir ?? "."), resolve(folder)).replaceAll("\\", "/");
  return isHubId(id) ? id : undefined;
}

interface Hub {
  folder: string;
  /** Whether the model has the file; fetches nothing. */
  has(file: string): Promise<boolean>;
  /** Fetches a file that may be absent; false then. */
  find(file: string): Promise<boolean>;
  require(file: string): Promise<void>;
  refuse(file: string, why: string): CollmError;
}

async function openHub(id: string, progress?: Progress): Promise<Hub> {
  const { env } = await transformersLibrary();
  const base = env.remoteHost.replace(/\/?$/, "/") +
    env.remotePathTemplate.replaceAll("{model}", id).replaceAll("{revision}", "main");
  const folder = join(env.cacheDir ?? ".", id);
  const refuse = (file: string, why: string, cause?: unknown, code?: "unavailable") =>
    new CollmError(
      code ?? "not_found",
      `Cannot fetch '${file}' of model '${id}' from ${env.remoteHost}: ${why}`,
      { cause },
    );

  /** Gives the answer to `take` unless the host has no such file: false then. */
  async function ask(
    file: string,
    method: "GET" | "HEAD",
    take: (response: Response) => Promise<void>,
  ): Promise<boolean> {
    if (!env.allowRemoteModels) throw refuse(file, "remote models are not allowed");
    try {
      const response = await env.fetch(base + file, { method, headers: headersFor(base) });
      if (response.ok) await take(response);
      else await response.body?.cancel();
      if (response.ok) return true;
      if (response.status === 404) return false;
      if ([401, 403].includes(response.status)) {
        throw refuse(file, "there is no such model, or it needs a token (HF_TOKEN)");
      }
      throw refuse(file, `it answers ${response.status}`, undefined, "unavailable");
    } catch (cause) {
      if (cause instanceof CollmError) throw cause;
      const why = cause instanceof Error ? cause.message : String(cause);
      throw refuse(file, why, cause, "unavailable");
    }
  }
  const find = async (file: string) => {
    const path = join(folder, file);
    return existsSync(path) ||
      await ask(file, "GET", (r) => store(r, path, (n, total) => progress?.(file, n, total)));
  };
  return {
    folder,
    refuse,
    find,
    has: (file) => ask(file, "HEAD", () => Promise.resolve()),
    async require(file) {
      if (!await find(file)) throw refuse(file, "there is no such file");
    },
  };
}

/** The token goes to the hub itself, as in Transformers.js, and to no mirror. */
function headersFor(address: string): Record<string, string> {
  const token = Deno.env.get("HF_TOKEN");
  const { protocol, hostname } = new URL(address);
  const own = protocol === "https:" && ["huggingface.co", "hf.co"].includes(hostname);
  return token && own ? { authorization: `Bearer ${token}` } : {};
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
