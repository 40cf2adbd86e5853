/**
 * A GPU node that outlives its worker: one that dies is started anew, its policies are loaded and
 * their updates replayed, and what was under way is tried once more. A policy that cannot be
 * brought back to its last version is lost alone, with a clear sentence. The journal is bounded: a
 * policy with many updates behind it is saved, and its journal starts there.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { CollmError } from "../shared/errors.ts";
import { repeatable } from "./repeatable.ts";
import { type Entry, newEntry, record, startFrom } from "./journal.ts";
import { versionIn } from "./training_state.ts";
import type { BatchNode, SampleOptions, SampleRequest, SampleResult } from "./verbs.ts";
import { WorkerEnded } from "./worker_client.ts";
import { answered, payloadOf } from "./write_record.ts";

export interface LastingOptions {
  /** Updates of one policy that are replayed at most, and the numbers in their batches. */
  updates?: number;
  numbers?: number;
  /** Told of every restart. */
  onRestart?: (cause: WorkerEnded) => void;
  /** Told when a policy's state cannot be saved: its journal goes on growing. */
  onFault?: (error: unknown) => void;
}

/** `open` starts a worker. */
export function openLastingNode(
  open: () => BatchNode,
  { updates = 64, numbers = 2 ** 24, onRestart, onFault }: LastingOptions = {},
): BatchNode {
  const journal = new Map<string, Entry>();
  /** Policies that a restart could not bring back. */
  const lost = new Map<string, CollmError>();
  /** Private checkpoints, made when first needed. */
  let folder: string | null = null;
  let saves = 0;
  let node = Promise.resolve(open());

  /** A fresh worker with every policy at its last version. */
  async function restore(): Promise<BatchNode> {
    const fresh = open();
    for (const [policy, entry] of journal) {
      try {
        await replay(fresh, entry);
      } catch (cause) {
        const why = (cause as Error).message;
        const what = `Cannot restore policy '${policy}' after its worker died: ${why}`;
        lost.set(policy, new CollmError("unavailable", what, { cause }));
        journal.delete(policy);
        if (cause instanceof WorkerEnded) return await restore();
        await fresh.unload(policy).catch(() => {});
      }
    }
    return fresh;
  }

  /** Runs `deed`, and once more on a fresh worker when that one dies meanwhile. */
  async function survive<T>(
    verb: string,
    policy: string | null,
    deed: (node: BatchNode) => Promise<T>,
  ): Promise<T> {
    for (let attempt = 0;; attempt++) {
      const used = node;
      try {
        return await deed(await used);
      } catch (cause) {
        if (!(cause instanceof WorkerEnded)) throw lost.get(policy ?? "") ?? cause;
        // The first to notice starts the next worker for all.
        if (node === used) {
          onRestart?.(cause);
          node = restore();
        }
        if (attempt === 0) continue;
        const what = `Cannot ${verb}${policy === null ? "" : ` policy '${policy}'`}`;
        throw new CollmError("unavailable", `${what}: the GPU worker died twice of it`, { cause });
      }
    }
  }

  /** Saves a policy whose journal has grown long; where that fails the journal stays. */
  async function shorten(policy: string, entry: Entry): Promise<void> {
    const count = entry.updates.length;
    const size = entry.updates.reduce((sum, update) => sum + update.numbers, 0);
    if (count % updates !== 0 && size < numbers) return;
    try {
      folder ??= Deno.makeTempDirSync({ prefix: "collm-journal-" });
      const path = join(folder, String(saves++));
      await survive("save", policy, (used) => used.save(policy, path, { state: true }));
      // Updates that were sent meanwhile may be in it: it tells itself which ones are.
      const last = versionIn(path);
      const count = 1 + entry.updates.findIndex(({ version }) => version === last);
      const { source } = entry.load;
      if (count === 0 || journal.get(policy) !== entry) {
        // Another save of the same version came first, or another policy took the name.
        rmSync(path, { recursive: true });
        return;
      }
      startFrom(entry, path, count);
      if (isPrivate(source)) rmSync(source, { recursive: true });
    } catch (error) {
      onFault?.(error);
    }
  }
  const isPrivate = (source: string) => folder !== null && source.startsWith(folder);

  function sampleTogether(
    requests: readonly SampleRequest[],
    options: readonly SampleOptions[],
  ): Promise<SampleResult>[] {
    const attempts = requests.map((request, i) => repeatable(request, options[i] ?? {}));
    const batch = node.then((used) => used.sampleTogether(requests, attempts.map((a) => a())));
    return requests.map((request, i) => {
      let first = true;
      return survive("sample", request.policy, async (used) => {
        if (!first) return await used.sample(request, attempts[i]!());
        first = false;
        return await (await batch)[i]!;
      });
    });
  }

  return {
    health: () => survive("ask for the health of the node", null, (used) => used.health()),
    async load(request) {
      const { policy } = request;
      const info = await survive("load", policy, (used) => used.load(request));
      lost.delete(policy);
      journal.set(policy, newEntry(request, info));
      return info;
    },
    list: () => survive("list policies", null, (used) => used.list()),
    sampleTogether,
    sample: (request, options = {}) => sampleTogether([request], [options])[0]!,
    score: (policy, sequences, options) =>
      survive("score", policy, (used) => used.score(policy, sequences, options)),
    values: (policy, sequences) =>
      survive("read values of", policy, (used) => used.values(policy, sequences)),
    async update(request) {
      const { policy, apply } = request;
      const entry = journal.get(policy);
      const payload = payloadOf(request);
      const known = entry && answered(entry.answers, request, payload);
      if (known) return known;
      const result = await survive("update", policy, (used) => used.update(request));
      if (entry && apply !== false) {
        record(entry, request, payload, result);
        await shorten(policy, entry);
      }
      return result;
    },
    save: (policy, path, options) =>
      survive("save", policy, (used) => used.save(policy, path, options)),
    async unload(policy) {
      if (lost.delete(policy)) return;
      await survive("unload", policy, (used) => used.unload(policy));
      const source = journal.get(policy)?.load.source;
      journal.delete(policy);
      if (source !== undefined && isPrivate(source)) rmSync(source, { recursive: true });
    },
    async close() {
      await (await node).close();
      if (folder !== null) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Loads and updates a policy again; throws where the versions are not the recorded ones. */
async function replay(node: BatchNode, { load, version, updates }: Entry): Promise<void> {
  const same = (found: string, expected: string) => {
    if (found === expected) return;
    throw new CollmError("unavailable", `it came back as version ${found}, not ${expected}`);
  };
  same((await node.load(load)).policy_version, version);
  for (const { request, version } of updates) {
    same((await node.update(request)).policy_version, version);
  }
}
