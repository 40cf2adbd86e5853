/**
 * Registers one test per kind of store: a `file:` database and a real libSQL server.
 * Leaves out what the test does; says plainly where there is no server binary.
 */
import { createEpisodes, type Episodes } from "../../shared/store/episodes.ts";
import type { ActionPost, EpisodeSpec } from "../../shared/store/episodes/types.ts";
import { openStore, type Store } from "../../shared/store/connect.ts";
import { resolveRelay } from "./relay.ts";
import { type Sqld, sqldBinary, startSqld } from "./sqld.ts";

export interface StoreContext {
  store: Store;
  episodes: Episodes;
  /** The server behind `store`; `null` for a file. */
  server: Sqld | null;
  /** Another host: its own connection on a server, the same connection on a file. */
  anotherHost(): Promise<{ store: Store; episodes: Episodes }>;
}

type Body = (context: StoreContext) => Promise<void>;

/** One test on `file:` and one on sqld, each with a fresh database. */
export function testOnEveryStore(name: string, body: Body): void {
  Deno.test(`${name} (file)`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "collm-store-" });
    try {
      await withStore(`file:${folder}/store.db`, null, body);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
  testOnSqld(`${name} (sqld)`, body);
}

/** A test on sqld alone, with a store that is open. */
export function testOnSqld(name: string, body: Body): void {
  testOnServer(name, (server) => withStore(server.url, server, body));
}

/** A test on an empty sqld. */
export function testOnServer(name: string, body: (server: Sqld) => Promise<void>): void {
  const ignore = sqldBinary() === null;
  if (ignore) console.log(`Skipped '${name}': there is no sqld binary for this platform`);
  Deno.test({
    name,
    ignore,
    async fn() {
      const server = await startSqld();
      try {
        await body(server);
      } finally {
        await server.stop();
      }
    },
  });
}

async function withStore(url: string, server: Sqld | null, body: Body): Promise<void> {
  const open: Store[] = [];
  const connect = async () => {
    const store = await openStore(url);
    open.push(store);
    return store;
  };
  try {
    const store = await connect();
    const episodes = await createEpisodes(store, resolveRelay);
    const anotherHost = async () => {
      const other = server ? await connect() : store;
      return { store: other, episodes: await createEpisodes(other, resolveRelay) };
    };
    await body({ store, episodes, server, anotherHost });
  } finally {
    for (const store of open) await store.close();
  }
}

/** A spec of the relay environment. */
export function relaySpec(id: string, changes: Partial<EpisodeSpec> = {}): EpisodeSpec {
  return {
    ...{ id, run_id: null, environment: "relay", options: {}, item_id: "item-1" },
    ...{ task: { word: "w1" }, seed: 7, purpose: "train", policy_versions: null },
    turn_seeds: null,
    stop_above: null,
    deadline_at: null,
    ...changes,
  };
}

/** A post of `agent` with tokens and logprobs that no rounding can hide. */
export function relayPost(
  episode_id: string,
  turn: number,
  agent: string,
  changes: Partial<ActionPost> = {},
): ActionPost {
  return {
    ...{
      episode_id,
      turn,
      agent,
      text: `${agent} on ${turn}`,
      prompt_tokens: [4],
      tokens: [1, 2, 3],
    },
    ...{ logprobs: [-0.1, -1 / 3, -1e-9], policy_version: "v1", seed: 4294967295 },
    sampling: { temperature: 1 },
    ...changes,
  };
}
