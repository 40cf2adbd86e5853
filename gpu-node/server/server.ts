/** What the routes of a GPU server share. Leaves out the routes: one subject per file beside this. */
import type { OpenAPIHono } from "../../deps.ts";
import type { Checkpoints } from "./checkpoints.ts";
import type { Metrics } from "./metrics.ts";
import type { ServedPolicies } from "./policies.ts";
import type { Wait } from "./wait.ts";

export interface GpuServer {
  policies: ServedPolicies;
  checkpoints: Checkpoints;
  metrics: Metrics;
  /** Requests that wait for the device. */
  waiting: () => number;
  /** Bearer token that every request but those of `/health` and `/openapi.json` must carry. */
  token?: string | undefined;
  version: string;
  /** Told of errors that are ours. */
  onFault?: ((error: unknown) => void) | undefined;
}

/** Each request has its wait (wait.ts). */
export type GpuHono = OpenAPIHono<{ Variables: { wait: Wait } }>;
