/**
 * Who takes part in a run: the GPU node with the team's policies and critics, the episode store,
 * the environment, the tokenizer. In one process tree by default (a Worker, a `file:` database,
 * hosts that act in turn); with URLs the same roles are elsewhere and hosts act by themselves.
 */
import { act } from "../agents/act.ts";
import { openHttpNode } from "../gpu-node/client/http.ts";
import { loadTokenizer, type Tokenizer } from "../gpu-node/model/tokenizer.ts";
import type { GpuNode, LoadRequest } from "../gpu-node/verbs.ts";
import { openWorkerNode, type WorkerPlace } from "../gpu-node/worker_client.ts";
import { type Algorithm, criticNames } from "../shared/algorithms/algorithm.ts";
import { createAlgorithm } from "../shared/algorithms/registry.ts";
import type { Environment } from "../shared/environments/environment.ts";
import { useEnvironment } from "../shared/environments/load.ts";
import { createEnvironment } from "../shared/environments/registry.ts";
import { seedOf } from "../shared/random.ts";
import { openStore, type Store } from "../shared/store/connect.ts";
import { hashOf } from "../shared/store/canonical.ts";
import { createEpisodes, type Episodes } from "../shared/store/episodes.ts";
import { NAME } from "../shared/wire/gpu.ts";
import type { RunConfig } from "./config.ts";
import { useDataOf } from "./data.ts";
import { referenceName } from "./reference.ts";

/** Addresses of roles that run elsewhere. */
export interface Remote {
  edge: string;
  gpu: string;
  db: string;
  token?: string | undefined;
}

/** The roles' addresses, or the place of a GPU node in this process. */
export type Where = Remote | WorkerPlace;

export interface Roles {
  config: RunConfig;
  environment: Environment;
  algorithm: Algorithm;
  node: GpuNode;
  store: Store;
  episodes: Episodes;
  tokenizer: Tokenizer;
  /** Hosts elsewhere act by themselves; here the learner's process acts for them. */
  remote: boolean;
  /** What the GPU node calls a model of this run; checkpoints and metrics use its name. */
  handle(name: string): string;
  close(): Promise<void>;
}

/** Name of a critic's model; a policy's is its agent's name. */
export const criticName = (critic: string): string => `critic-${critic}`;

/** Names of all models of a run, policies first. */
export function modelNames({ environment, algorithm }: Pick<Roles, "environment" | "algorithm">) {
  return {
    policies: [...environment.agents],
    critics: criticNames(algorithm, environment.agents).map(criticName),
  };
}

/** Longest run name that leaves room for the model's. */
const RUN_IN_HANDLE = 60;

/**
 * Handles of a run on a GPU node that other runs share: `run.model`. A run name that a handle
 * cannot hold is replaced by its hash.
 */
export function sharedHandles(run: string): Roles["handle"] {
  const usable = NAME.test(run) && run.length <= RUN_IN_HANDLE;
  const prefix = usable ? run : `run-${hashOf(run).slice(0, 16)}`;
  return (name) => `${prefix}.${name}`;
}

export async function openRoles(
  config: RunConfig,
  run: string,
  database: string,
  where: Where = {},
): Promise<Roles> {
  const remote = "edge" in where ? where : undefined;
  const { source, options } = config.environment;
  if (source !== null) await useEnvironment(source, options);
  await useDataOf(options);
  const environment = createEnvironment(config.environment.id, config.environment.options);
  const algorithm = createAlgorithm(config.algorithm);
  const tokenizer = await loadTokenizer(config.policy.source);
  const dbToken = Deno.env.get("COLLM_DB_TOKEN");
  const store = await openStore(remote?.db ?? database, dbToken ? { auth_token: dbToken } : {});
  const node = "edge" in where
    ? openHttpNode(where.gpu, where.token === undefined ? {} : { token: where.token })
    : openWorkerNode(where);
  return {
    config,
    environment,
    algorithm,
    node,
    store,
    episodes: await createEpisodes(store, createEnvironment),
    tokenizer,
    remote: remote !== undefined,
    handle: remote ? sharedHandles(run) : (name) => name,
    async close() {
      await node.close();
      await store.close();
    },
  };
}

/** Loads every model of the run, from `folders` by name or else from the configured sources. */
export async function loadModels(
  roles: Roles,
  folders: (name: string) => string | undefined,
): Promise<void> {
  const { config, node, handle } = roles;
  const { policies, critics } = modelNames(roles);
  const load = (
    name: string,
    { source, lora }: { source: string; lora: RunConfig["policy"]["lora"] },
    more: Partial<LoadRequest> = {},
  ) => {
    const saved = folders(name);
    return node.load({
      policy: handle(name),
      source: saved ?? source,
      ...saved === undefined && lora.rank > 0 &&
        { lora: { ...lora, alpha: lora.alpha ?? 2 * lora.rank, seed: seedOf(config.seed, name) } },
      ...more,
    });
  };
  for (const name of policies) await load(name, config.policy);
  if (config.algorithm.reference_kl_coef > 0) {
    for (const name of policies) {
      await node.load({
        policy: handle(referenceName(name)),
        source: config.policy.source,
        // A fresh adapter computes what its base does, and shares the base with those that learn.
        ...config.policy.lora.rank > 0 && { lora: { rank: 1, alpha: 1 } },
      });
    }
  }
  for (const name of critics) {
    const { source, lora } = config.critic;
    await load(name, { source: source ?? config.policy.source, lora }, {
      value_head: { seed: seedOf(config.seed, name) },
    });
  }
}

/**
 * Unloads what only training needs; the policies stay, for whoever wants to play with them. What
 * fails to unload is the node's matter: the run has ended well.
 */
export async function unloadHelpers(roles: Roles): Promise<void> {
  const { policies, critics } = modelNames(roles);
  const references = roles.config.algorithm.reference_kl_coef > 0
    ? policies.map(referenceName)
    : [];
  for (const name of [...critics, ...references]) {
    await roles.node.unload(roles.handle(name)).catch(() => {});
  }
}

/** What playing needs. */
export type Player = Pick<Roles, "environment" | "episodes" | "node" | "tokenizer">;

/** One act of every agent on its pending turn of these episodes, in playing order. */
export async function actForAll(
  roles: Player,
  episodes: readonly string[],
  sampling: { max_tokens: number; temperature: number },
  policyOf: (agent: string) => string = (agent) => agent,
): Promise<number> {
  let tokens = 0;
  for (const agent of roles.environment.agents) {
    const views = await roles.episodes.observations(agent, episodes);
    const counting = {
      sample: async (request: Parameters<GpuNode["sample"]>[0]) => {
        const result = await roles.node.sample(request);
        for (const c of result.completions) tokens += c.tokens.length;
        return result;
      },
    };
    const results = await act(roles.episodes, counting, roles.tokenizer, {
      agent,
      policy: policyOf(agent),
      ...sampling,
    }, views);
    for (const result of results) if (result.status === "error") throw result.error;
  }
  return tokens;
}
