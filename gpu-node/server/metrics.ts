/**
 * What a GPU server counts, for Prometheus. Labels have few values, whatever clients send: verbs,
 * statuses and paths of this server, never names that a client chose.
 */
import { loadPrometheus } from "../../deps.ts";
import type { DeviceCall } from "../scheduler.ts";
import type { GpuNode, UpdateResult } from "../verbs.ts";

export interface Metrics {
  /** A request is answered; `path` is any path, of which only known verbs are told apart. */
  request(path: string, status: number, seconds: number): void;
  call(call: DeviceCall): void;
  /** So many tokens were drawn. */
  sampled(tokens: number): void;
  updated(result: UpdateResult): void;
  restarted(): void;
  /** Prometheus' text form. */
  text(): Promise<string>;
  readonly contentType: string;
}

/** What is looked up when metrics are read. */
export interface MetricsOptions {
  waiting: () => number;
  policies: () => number;
}

const SECONDS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100];
const KNOWN =
  /^\/v1\/(sample|score|values|update|policies|checkpoints|completions|chat|models|ws)(\/|$)|^\/(health|metrics)$/;

/** The verb that a path stands for; everything unknown is one. */
export const verbOf = (path: string): string => {
  const [, verb, , probe] = KNOWN.exec(path) ?? [];
  return verb ?? probe ?? "other";
};

export async function createMetrics({ waiting, policies }: MetricsOptions): Promise<Metrics> {
  const { Counter, Gauge, Histogram, Registry } = await loadPrometheus();
  const registry = new Registry();
  const registers = [registry];
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter({ name: `collm_${name}`, help, labelNames, registers });
  const histogram = <Label extends string>(
    name: string,
    help: string,
    buckets: number[],
    ...labelNames: Label[]
  ) => new Histogram({ name: `collm_${name}`, help, buckets, labelNames, registers });
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });

  const requests = counter("requests_total", "Requests answered", "verb", "status");
  const latency = histogram("request_seconds", "From request to answer", SECONDS, "verb");
  const waits = histogram("queue_seconds", "Time that a request waited for the device", SECONDS);
  const calls = histogram("device_seconds", "Time of one call to the device", SECONDS, "verb");
  const powers = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
  const fill = histogram("batch_requests", "Requests in one sample batch", powers);
  const rows = histogram("batch_rows", "Prompts in one sample batch", powers);
  const tokens = counter("tokens_total", "Tokens drawn, and learnt from", "kind");
  const mismatch = histogram(
    "logprob_mismatch",
    "Mean |log-probability of an update's tokens - the one they were sampled with|",
    [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1],
  );
  const restarts = counter("worker_restarts_total", "Workers that died and were replaced");
  gauge("collm_queue_depth", "Requests that wait for the device", waiting);
  gauge("collm_policies", "Loaded policies", policies);
  gauge(
    "process_resident_memory_bytes",
    "Resident memory size in bytes",
    () => Deno.memoryUsage().rss,
  );

  return {
    request(path, status, seconds) {
      const verb = verbOf(path);
      requests.inc({ verb, status });
      latency.observe({ verb }, seconds);
    },
    call(call) {
      call.waited.forEach((seconds) => waits.observe(seconds));
      calls.observe({ verb: call.verb }, call.seconds);
      if (call.verb !== "sample") return;
      fill.observe(call.requests);
      rows.observe(call.rows);
    },
    sampled: (count) => tokens.inc({ kind: "sampled" }, count),
    updated({ tokens: count, logprob_mismatch }) {
      tokens.inc({ kind: "trained" }, count);
      if (logprob_mismatch !== undefined) mismatch.observe(logprob_mismatch);
    },
    restarted: () => restarts.inc(),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

/**
 * A node whose tokens are counted: all that were drawn, also those after a stop text and, as far as
 * they were told, those of requests that were given up. What clients get is less. Updates count
 * that changed a policy.
 */
export const counted = (
  node: GpuNode,
  { sampled, updated }: Pick<Metrics, "sampled" | "updated">,
): GpuNode => {
  /** Versions that updates gave, by policy: an answer from the record is no update. */
  const given = new Map<string, Set<string>>();
  return {
    ...node,
    async load(request, options) {
      const info = await node.load(request, options);
      given.delete(request.policy);
      return info;
    },
    async sample(request, options = {}) {
      const { onTokens } = options;
      let told = 0;
      const watching = onTokens && {
        onTokens(row: number, tokens: number[], logprobs: number[]) {
          told += tokens.length;
          onTokens(row, tokens, logprobs);
        },
      };
      try {
        const result = await node.sample(request, { ...options, ...watching });
        told = result.completions.reduce((sum, { tokens }) => sum + tokens.length, 0);
        return result;
      } finally {
        sampled(told);
      }
    },
    async update(request, options) {
      const result = await node.update(request, options);
      if (request.apply === false) return result;
      const known = given.get(request.policy) ?? new Set();
      given.set(request.policy, known);
      if (known.has(result.policy_version)) return result;
      known.add(result.policy_version);
      if (known.size > REMEMBERED) known.delete(known.values().next().value!);
      updated(result);
      return result;
    },
  };
};

/** As many as a policy's record of answers holds. */
const REMEMBERED = 64;
