/**
 * A GPU server inside the test: the real kernel and the app around it, on the small golden Llama.
 * Leaves out the socket and the worker.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { createGpuApp } from "../../gpu-node/server/app.ts";
import { Checkpoints } from "../../gpu-node/server/checkpoints.ts";
import { createMetrics } from "../../gpu-node/server/metrics.ts";
import { servePolicies } from "../../gpu-node/server/policies.ts";
import type { GpuNode } from "../../gpu-node/verbs.ts";
import { GOLDEN } from "../support/data.ts";

export const TINY = join(GOLDEN, "torch", "llama-tiny");

export const golden = JSON.parse(Deno.readTextFileSync(join(TINY, "expected.json")));
export const sequences = (golden.batch.input_ids as number[][]).map((ids, i) => ({
  tokens: ids.slice(0, golden.batch.lengths[i]),
  prompt_length: golden.batch.prompt_lengths[i] as number,
}));

export interface Served {
  app: ReturnType<typeof createGpuApp>;
  /** Folder of the server's checkpoints. */
  root: string;
  /** Status and JSON of one call; `body` of another kind than a string is sent as JSON. */
  call(method: string, path: string, body?: unknown): Promise<{ status: number; body: Json }>;
}

// deno-lint-ignore no-explicit-any
type Json = any;

/** Runs `test` against a server of `models`, each loaded as a policy of its name. */
export async function withServer(
  test: (served: Served) => Promise<void>,
  options: { models?: Record<string, string>; token?: string; node?: GpuNode } = {},
): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "collm-gpu-" });
  try {
    const models = new Map(Object.entries(options.models ?? { tiny: TINY }));
    const checkpoints = new Checkpoints(join(root, "checkpoints"));
    const node = options.node ?? new Kernel(await cpuDevice());
    const policies = servePolicies({ node, models, checkpoints });
    for (const name of models.keys()) await policies.load({ policy: name, source: name });
    const waiting = () => 0;
    const app = createGpuApp({
      policies,
      checkpoints,
      metrics: await createMetrics({ waiting, policies: () => policies.names().length }),
      waiting,
      version: "0.0.0",
      token: options.token,
      onFault: (error) => assert.fail(error as Error),
    });
    try {
      await test({
        app,
        root: checkpoints.root,
        async call(method, path, body) {
          const response = await app.request(path, {
            method,
            ...(body !== undefined && {
              body: typeof body === "string" ? body : JSON.stringify(body),
            }),
            headers: {
              ...body !== undefined && { "content-type": "application/json" },
              ...options.token && { authorization: `Bearer ${options.token}` },
            },
          });
          const text = await response.text();
          return { status: response.status, body: text === "" ? null : JSON.parse(text) };
        },
      });
    } finally {
      policies.close();
    }
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}
