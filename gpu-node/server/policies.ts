/**
 * The policies that a GPU server holds: which sources a name may stand for, each policy's
 * tokenizer. A name is looked up among the server's models and checkpoints and is never a path.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CollmError, suggest } from "../../shared/errors.ts";
import type { Checkpoints } from "./checkpoints.ts";
import { loadTokenizer, type Tokenizer } from "../model/tokenizer.ts";
import type { GpuNode, LoadRequest, PolicyInfo } from "../verbs.ts";

/** What is served: the verbs, with sources as names. */
export interface ServedPolicies {
  readonly node: GpuNode;
  /** `source` is a model's name or a checkpoint's id; a policy of this name is replaced. */
  load(request: LoadRequest): Promise<PolicyInfo>;
  list(): Promise<PolicyInfo[]>;
  unload(policy: string): Promise<void>;
  /** Tokenizer of a policy's source, null when it has none; throws not_found. */
  tokenizer(policy: string): Tokenizer | null;
  names(): string[];
  sources(): Set<string>;
}

export interface ServedPoliciesOptions {
  node: GpuNode;
  /** Folder of each model by its name. */
  models: ReadonlyMap<string, string>;
  checkpoints: Checkpoints;
}

interface Entry {
  source: string;
  tokenizer: Tokenizer | null;
}

export function servePolicies({ node, models, checkpoints }: ServedPoliciesOptions) {
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

  const served: ServedPolicies = {
    node,
    async load(request) {
      const { source, policy } = request;
      const folder = models.get(source) ?? checkpoints.folder(source);
      if (folder === null) {
        const names = [...models.keys()];
        const hint = names.length ? suggest(source, names) : "the server has no models";
        throw new CollmError(
          "not_found",
          `Cannot load policy '${policy}': no model or checkpoint '${source}', ${hint}`,
        );
      }
      const tokenizer = existsSync(join(folder, "tokenizer.json"))
        ? await loadTokenizer(folder)
        : null;
      const info = await node.load({ ...request, source: folder });
      entries.set(policy, { source, tokenizer });
      return named(info);
    },
    list: async () => (await node.list()).map(named),
    async unload(policy) {
      entry(policy);
      await node.unload(policy);
      entries.delete(policy);
    },
    tokenizer: (policy) => entry(policy).tokenizer,
    names: () => [...entries.keys()],
    sources: () => new Set([...entries.values()].map((e) => e.source)),
  };
  return served;
}
