/**
 * The policies that a GPU server holds: which sources a name may stand for, each policy's
 * tokenizer. A name is looked up among the server's models and checkpoints and is never a path.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { CollmError, suggest } from "../../shared/errors.ts";
import { HUB_ID } from "../../shared/wire/gpu.ts";
import { hubIdOf } from "../hub.ts";
import { isAdapterFolder, readAdapterConfig } from "../model/lora.ts";
import { type ChatMessage, loadTokenizer, type Tokenizer } from "../model/tokenizer.ts";
import type {
  GpuNode,
  LoadRequest,
  PolicyInfo,
  UpdateRequest,
  UpdateResult,
  WaitOptions,
} from "../verbs.ts";
import type { Checkpoints } from "./checkpoints.ts";
import { type Chat, openChat } from "./chat.ts";
import { within } from "./wait.ts";

/**
 * What is served: the verbs, with sources as names. Work that has begun when its signal comes goes
 * on, and what became of it is known here.
 */
export interface ServedPolicies {
  readonly node: GpuNode;
  /**
   * `source` and `base` are a model's name, a checkpoint's id or (where that is allowed) a hub id;
   * a policy of this name is replaced.
   */
  load(request: LoadRequest, options?: WaitOptions): Promise<PolicyInfo>;
  /** Throws the error with names where it tells folders: where they lie is not a client's matter. */
  refuseByName(cause: unknown): never;
  list(): Promise<PolicyInfo[]>;
  update(request: UpdateRequest, options?: WaitOptions): Promise<UpdateResult>;
  unload(policy: string, options?: WaitOptions): Promise<void>;
  /** Tokenizer of a policy's source, null when it has none; throws not_found. */
  tokenizer(policy: string): Tokenizer | null;
  /** Tokens of a conversation by its chat template, which runs elsewhere and for a bounded time. */
  chat(
    policy: string,
    messages: readonly ChatMessage[],
    options?: WaitOptions,
  ): Promise<number[]>;
  /** Its version as last told by the device; throws not_found. */
  version(policy: string): string;
  names(): string[];
  /** Ends the threads of chat templates. The node is its owner's. */
  close(): void;
  /** Sources and bases of the policies. */
  sources(): Set<string>;
}

export interface ServedPoliciesOptions {
  node: GpuNode;
  /** Folder of each model by its name. */
  models: ReadonlyMap<string, string>;
  checkpoints: Checkpoints;
  /** Folder of a model on a hub, brought there when needed; absent, hub ids are refused. */
  fromHub?: (request: LoadRequest) => Promise<string>;
}

interface Entry {
  source: string;
  base: string | undefined;
  tokenizer: Tokenizer | null;
  chat: Chat | null;
  version: string;
}

export function servePolicies(
  { node, models, checkpoints, fromHub }: ServedPoliciesOptions,
): ServedPolicies {
  const entries = new Map<string, Entry>();

  const entry = (policy: string): Entry => {
    const found = entries.get(policy);
    if (found) return found;
    const hint = entries.size ? suggest(policy, [...entries.keys()]) : "none is loaded";
    throw new CollmError("not_found", `Cannot find policy '${policy}': ${hint}`);
  };
  const named = (info: PolicyInfo): PolicyInfo => ({
    ...info,
    source: entries.get(info.policy)?.source ?? info.policy,
  });

  /** Folder that a name stands for. */
  async function folderOf(request: LoadRequest): Promise<string> {
    const { policy, source } = request;
    const model = models.get(source);
    if (model !== undefined) return model;
    const folder = checkpoints.folder(source);
    if (folder !== null) {
      await checkpoints.verify(source);
      return folder;
    }
    const fail = (why: string) => {
      throw new CollmError("not_found", `Cannot load policy '${policy}': ${why}`);
    };
    if (!HUB_ID.test(source)) {
      const names = [...models.keys()];
      const hint = names.length ? suggest(source, names) : "the server has no models";
      fail(`no model or checkpoint '${source}', ${hint}`);
    }
    if (!fromHub) fail(`'${source}' is on a hub, which needs a server started with --allow-hub`);
    return await fromHub!(request);
  }

  /**
   * What an adapter extends when the request does not say: what its folder names, if that is one
   * of this server's models, what they extend, a checkpoint, or a hub's model where those are
   * allowed. Any other path of its author's is not looked at. Models of the command line may extend
   * anything.
   */
  async function baseOf({ policy, source }: LoadRequest, folder: string) {
    const base = models.has(source) ? null : namedBase(folder);
    if (base === null) return undefined;
    const own = [...models.values()];
    for (const path of [...own, ...own.map(namedBase), ...checkpoints.folders()]) {
      if (path === null) continue;
      if (resolve(path) === resolve(base) || await hubIdOf(path) === base) return path;
    }
    if (fromHub && HUB_ID.test(base)) return await folderOf({ policy, source: base });
    throw new CollmError(
      "invalid_request",
      `Cannot load policy '${policy}': its adapter extends '${base.slice(0, 100)}', which is no ` +
        "model of this server, name one as base",
    );
  }

  async function load(request: LoadRequest, options: WaitOptions): Promise<PolicyInfo> {
    const { source, policy } = request;
    const folder = await folderOf(request);
    const base = request.base === undefined
      ? await baseOf(request, folder)
      : await folderOf({ policy, source: request.base });
    const readable = [folder, base].find((f) => f && existsSync(join(f, "tokenizer.json")));
    const tokenizer = readable === undefined ? null : await loadTokenizer(readable);
    const info = await node.load({ ...request, source: folder, ...base && { base } }, options);
    entries.get(policy)?.chat?.close();
    const chat = readable === undefined ? null : openChat(policy, readable);
    const version = info.policy_version;
    entries.set(policy, {
      source,
      base: request.base ?? (base && checkpoints.idOf(base)),
      tokenizer,
      chat,
      version,
    });
    return named(info);
  }

  function refuseByName(cause: unknown): never {
    if (!(cause instanceof CollmError)) throw cause;
    const { code, message } = cause;
    throw new CollmError(code, withNames(message, models, checkpoints.root), { cause });
  }

  async function update(request: UpdateRequest, options: WaitOptions): Promise<UpdateResult> {
    const result = await node.update(request, options);
    const known = entries.get(request.policy);
    if (known) known.version = result.policy_version;
    return result;
  }

  async function unload(policy: string, options: WaitOptions): Promise<void> {
    entry(policy);
    await node.unload(policy, options);
    entries.get(policy)?.chat?.close();
    entries.delete(policy);
  }

  return {
    node,
    load: (request, options = {}) => within(load(request, options), options.signal),
    refuseByName,
    list: async () => (await node.list()).map(named),
    update: (request, options = {}) => within(update(request, options), options.signal),
    unload: (policy, options = {}) => within(unload(policy, options), options.signal),
    tokenizer: (policy) => entry(policy).tokenizer,
    async chat(policy, messages, options) {
      const { chat } = entry(policy);
      if (chat) return await chat.apply(messages, options);
      const why = "its folder has no tokenizer";
      throw new CollmError("invalid_request", `Cannot chat with policy '${policy}': ${why}`);
    },
    version: (policy) => entry(policy).version,
    names: () => [...entries.keys()],
    close() {
      for (const { chat } of entries.values()) chat?.close();
    },
    sources: () =>
      new Set([...entries.values()].flatMap(({ source, base }) => base ? [source, base] : source)),
  };
}

/** A sentence with the names of models and checkpoints in the place of their folders. */
function withNames(text: string, models: ReadonlyMap<string, string>, root: string): string {
  let said = text.replaceAll(`${resolve(root)}/`, "").replaceAll(`'${root}/`, "'");
  for (const [name, folder] of models) {
    said = said.replaceAll(resolve(folder), name);
    // A relative path may be any word: only where it is quoted as one.
    for (const end of ["'", "/"]) said = said.replaceAll(`'${folder}${end}`, `'${name}${end}`);
  }
  return said;
}

/** What the adapter in a folder extends; null where it holds none. */
const namedBase = (folder: string): string | null =>
  isAdapterFolder(folder) ? readAdapterConfig(folder).base : null;
