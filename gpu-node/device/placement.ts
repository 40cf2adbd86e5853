/**
 * Which nodes of a program run on the CPU although its device is another: read off ONNX Runtime's
 * profile of the program's first run, the only place where it tells. Later runs are not watched.
 */
import { createReadStream } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { InferenceSession } from "../../deps.ts";

/** In a line of the profile, in any order: a node that ran, where, and its operation. */
const NODE = /"name" :"([^"]*)_kernel_time"/;
const ON_CPU = /"provider" : "CPUExecutionProvider"/;
const OPERATION = /"op_name" : "(\w+)"/;

export class PlacementWatch {
  readonly #counts = new Map<string, number>();

  /** Session options that write a profile, and what to do after the session's first run. */
  async start() {
    const folder = await mkdtemp(join(tmpdir(), "collm-profile-"));
    return {
      options: { enableProfiling: true, profileFilePrefix: join(folder, "first") },
      finish: async (session: InferenceSession): Promise<void> => {
        session.endProfiling();
        for (const file of await readdir(folder)) await this.#count(join(folder, file));
        await rm(folder, { recursive: true });
      },
    };
  }

  /** Every node once, however often a loop ran it: a profile may hold a million runs. */
  async #count(path: string): Promise<void> {
    const seen = new Set<string>();
    for await (const line of createInterface({ input: createReadStream(path) })) {
      const [node, operation] = [NODE.exec(line)?.[1], OPERATION.exec(line)?.[1]];
      if (!node || !operation || !ON_CPU.test(line) || seen.has(node)) continue;
      seen.add(node);
      this.#counts.set(operation, (this.#counts.get(operation) ?? 0) + 1);
    }
  }

  cpuNodes(): Record<string, number> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => a < b ? -1 : 1));
  }
}
