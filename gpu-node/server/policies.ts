/**
 * The policies that a GPU server holds, each with its tokenizer. Leaves out what
 * the names of their sources stand for (sources.ts).
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CollmError, suggest } from "../../shared/errors.ts";
import { hashOf } from "../../shared/store/canonical.ts";
import { loadTokenizer, type Tokenizer } from "../model/tokenizer.ts";
import type {
  GpuNode,
  LoadRequest,
  PolicyInfo,
  UpdateRequest,
  UpdateResult,
  WaitOptions,
} from "../verbs.ts";
import { tokenizerTrust } from "./foreign_tokenizer.ts";
import { openSources, type SourceOptions, type Sources } from "./sources.ts";
import { openTexts, type Texts } from "./texts.ts";
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
  /**
   * Throws what a load failed with, with names where it tells folders: where they lie is not a
   * client's matter.
   */
  refuseByName(cause: unknown, request: LoadRequest): never;
  list(): Promise<PolicyInfo[]>;
  update(request: UpdateRequest, options?: WaitOptions): Promise<UpdateResult>;
  unload(policy: string, options?: WaitOptions): Promise<void>;
  /** Tokenizer of a policy's source, null when it has none; throws not_found. */
  tokenizer(policy: string): Tokenizer | null;
  /** Its texts to tokens; throws not_found, and invalid_request when its source has no tokenizer. */
  texts(policy: string): Pick<Texts, "encode" | "chat">;
  /** What tells whether tokens still mean what they do now; throws not_found. */
  reading(policy: string): Reading;
  /** As many tokens as these prompts leave room for, `most` at most and 1 at least. */
  room(policy: string, prompts: readonly number[][], most: number): number;
  /** Its version as last told by the device; throws not_found. */
  version(policy: string): string;
  names(): string[];
  /** Ends the threads of texts. The node is its owner's. */
  close(): void;
  /** Sources and bases of the policies, also of those that are being loaded. */
  sources(): Set<string>;
  readonly nameOfBase: Sources["nameOfBase"];
}

export interface ServedPoliciesOptions extends SourceOptions {
  node: GpuNode;
}

/** The tokenizer that a request was read with. */
export interface Reading {
  /** Whether the policy's tokenizer is another by now. */
  changed(): boolean;
  /** @throws CollmError conflict when it is */
  check(): void;
}

interface Entry {
  source: string;
  base: string | undefined;
  tokenizer: Tokenizer | null;
  texts: Texts | null;
  /** Hash of what tokens mean: its tokenizer's files. */
  meaning: string;
  version: string;
  /** Tokens of a prompt and its completion at most. */
  positions: number;
}

/** Files of a tokenizer that say what tokens are, and which of them end an answer. */
const MEANING = [
  ...["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"],
  ...["generation_config.json", "chat_template.jinja"],
];

export function servePolicies({ node, ...options }: ServedPoliciesOptions): ServedPolicies {
  const { checkpoints } = options;
  const { folderOf, baseOf, nameOfBase, withNames } = openSources(options);
  const entries = new Map<string, Entry>();
  /** Sources and bases of the loads under way: from before their files are looked at. */
  const loading = new Set<readonly (string | undefined)[]>();
  const trust = tokenizerTrust();

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

  async function load(request: LoadRequest, options: WaitOptions): Promise<PolicyInfo> {
    const claimed: (string | undefined)[] = [request.source, request.base];
    loading.add(claimed);
    try {
      return await loadClaimed(request, options, claimed);
    } finally {
      loading.delete(claimed);
    }
  }

  async function loadClaimed(
    request: LoadRequest,
    options: WaitOptions,
    claimed: (string | undefined)[],
  ): Promise<PolicyInfo> {
    const { source, policy } = request;
    const folder = await folderOf(request);
    const base = request.base === undefined
      ? await baseOf(request, folder)
      : await folderOf({ policy, source: request.base });
    if (base) claimed.push(checkpoints.idOf(base));
    const readable = [folder, base].find((f) => f && existsSync(join(f, "tokenizer.json")));
    const trusted = readable !== undefined &&
      await trust.admit(readable, checkpoints.idOf(readable));
    const tokenizer = readable === undefined ? null : await loadTokenizer(readable);
    const meaning = readable === undefined ? "" : meaningOf(readable);
    const info = await node.load({ ...request, source: folder, ...base && { base } }, options);
    entries.get(policy)?.texts?.retire();
    const texts = tokenizer && openTexts(policy, readable!, tokenizer, { trusted });
    const version = info.policy_version;
    entries.set(policy, {
      source,
      base: request.base ?? (base && checkpoints.idOf(base)),
      tokenizer,
      texts,
      meaning,
      version,
      positions: info.max_positions ?? Infinity,
    });
    return named(info);
  }

  function refuseByName(cause: unknown, request: LoadRequest): never {
    if (!(cause instanceof CollmError)) throw cause;
    const { code, message } = cause;
    throw new CollmError(code, withNames(message, request), { cause });
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
    entries.get(policy)?.texts?.close();
    entries.delete(policy);
  }

  return {
    node,
    nameOfBase,
    load: (request, options = {}) => within(load(request, options), options.signal),
    refuseByName,
    list: async () => (await node.list()).map(named),
    update: (request, options = {}) => within(update(request, options), options.signal),
    unload: (policy, options = {}) => within(unload(policy, options), options.signal),
    tokenizer: (policy) => entry(policy).tokenizer,
    texts(policy) {
      const { texts } = entry(policy);
      if (texts) return texts;
      const why = "its folder has no tokenizer";
      throw new CollmError("invalid_request", `Cannot take texts of policy '${policy}': ${why}`);
    },
    reading(policy) {
      const { meaning } = entry(policy);
      const changed = () => (entries.get(policy)?.meaning ?? meaning) !== meaning;
      return {
        changed,
        check() {
          if (!changed()) return;
          const why = "another with another tokenizer took its place while the request waited";
          throw new CollmError("conflict", `Cannot sample policy '${policy}': ${why}`);
        },
      };
    },
    room(policy, prompts, most) {
      const longest = prompts.reduce((length, prompt) => Math.max(length, prompt.length), 0);
      return Math.max(1, Math.min(most, entry(policy).positions - longest));
    },
    version: (policy) => entry(policy).version,
    names: () => [...entries.keys()],
    close() {
      for (const { texts } of entries.values()) texts?.close();
    },
    sources: () =>
      new Set([
        ...[...entries.values()].flatMap(({ source, base }) => [source, base]),
        ...[...loading].flat(),
      ].filter((name) => name !== undefined)),
  };
}

const meaningOf = (folder: string): string =>
  hashOf(
    MEANING.map((name) => join(folder, name)).map((file) =>
      existsSync(file) ? readFileSync(file, "utf8") : null
    ),
  );
