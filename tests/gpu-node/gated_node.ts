/**
 * The real kernel behind a gate: calls to the device wait until the test opens it, and are written
 * down in the order they came. Leaves out the worker.
 */
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import type { BatchNode, SampleResult } from "../../gpu-node/verbs.ts";
import { CollmError } from "../../shared/errors.ts";

export interface GatedNode extends BatchNode {
  /** `verb policy`, or `sample policy policy …` for one batch. */
  readonly calls: string[];
  /** Lets calls through from now on. */
  open(): void;
  /** Holds calls back from now on. */
  shut(): void;
}

export async function gatedNode(): Promise<GatedNode> {
  const kernel = new Kernel(await cpuDevice());
  const calls: string[] = [];
  let gate = Promise.withResolvers<void>();
  gate.resolve();
  const pass = async <T>(call: string, deed: () => Promise<T>): Promise<T> => {
    calls.push(call);
    await gate.promise;
    return await deed();
  };
  const sampleTogether: BatchNode["sampleTogether"] = (requests, options) => {
    const batch = pass(
      `sample ${requests.map((r) => r.policy).join(" ")}`,
      () =>
        kernel.sampleTogether(requests, {
          onTokens: (i, ...fresh) => options[i]?.onTokens?.(...fresh),
          cancelled: (i) => options[i]?.signal?.aborted ?? false,
        }),
    );
    return requests.map(async (_, i): Promise<SampleResult> => {
      const result = (await batch)[i]!;
      if (result instanceof CollmError) throw result;
      return result;
    });
  };
  return {
    calls,
    open: () => gate.resolve(),
    shut: () => gate = Promise.withResolvers(),
    health: () => kernel.health(),
    load: (request) => pass(`load ${request.policy}`, () => kernel.load(request)),
    list: async () => {
      await gate.promise;
      return kernel.list();
    },
    sampleTogether,
    sample: (request, options = {}) => sampleTogether([request], [options])[0]!,
    score: (policy, s, options) => pass(`score ${policy}`, () => kernel.score(policy, s, options)),
    values: (policy, s) => pass(`values ${policy}`, () => kernel.values(policy, s)),
    update: (request) => pass(`update ${request.policy}`, () => kernel.update(request)),
    save: (policy, folder, options) =>
      pass(`save ${policy}`, () => kernel.save(policy, folder, options)),
    unload: (policy) => pass(`unload ${policy}`, () => kernel.unload(policy)),
    close: () => kernel.close(),
  };
}
