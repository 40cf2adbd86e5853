/**
 * An agent host: takes what waits for its agent, acts, waits for more, whatever breaks meanwhile.
 * All it knows is in the store: a host that is killed and started again, here or elsewhere, goes
 * on with what is pending. Leaves out acting itself (act.ts).
 */
import type { Tokenizer } from "../gpu-node/model/tokenizer.ts";
import type { GpuNode } from "../gpu-node/verbs.ts";
import { CollmError } from "../shared/errors.ts";
import type { AgentView } from "../shared/store/episodes.ts";
import { MOST } from "../shared/wire/observations.ts";
import { runSampling } from "../shared/wire/runs.ts";
import { act, type ActorOptions } from "./act.ts";
import { backoffMs, pause } from "./backoff.ts";
import type { EdgeClient } from "./edge_client.ts";
import type { WaitingStream } from "./stream.ts";

/** Milliseconds between looks without a notice: a notice can be lost. */
const LOOK_MS = 5000;

export interface HostOptions {
  edge: EdgeClient;
  node: Pick<GpuNode, "sample">;
  tokenizer: Tokenizer;
  stream: Pick<WaitingStream, "next">;
  agent: string;
  /** Serves this run only, with its sampling parameters; `null`: every run. */
  run_id: string | null;
  /** Handle on the GPU node; default: the run's, or else the agent's name. */
  policy?: string | undefined;
  /** Used where the run does not say otherwise. */
  sampling: Pick<ActorOptions, "max_tokens" | "temperature">;
  /** Most observations of one batch. */
  batch: number;
  signal: AbortSignal;
  log: (line: string) => void;
}

/**
 * Acts until `signal` is aborted; the batch under way is finished.
 * @throws CollmError `unauthorized`, `forbidden`: the edge does not take this host's token
 */
export async function runHost(host: HostOptions): Promise<void> {
  const { edge, agent, run_id, batch, signal, stream, log } = host;
  const skipped = new Set<string>();
  let actor: ActorOptions | undefined;
  let failures = 0;
  let told = "";
  while (!signal.aborted) {
    try {
      const limit = Math.min(MOST, batch + skipped.size);
      const views = await edge.pending(agent, run_id, limit);
      const fresh = views.filter((view) => !skipped.has(keyOf(view))).slice(0, batch);
      if (fresh.length > 0) {
        actor ??= await actorOf(host);
        await actOn(host, actor, fresh, skipped);
      }
      if (failures > 0) log(`Agent '${agent}' goes on`);
      [failures, told] = [0, ""];
      if (fresh.length === 0) await stream.next(LOOK_MS);
    } catch (error) {
      if (!(error instanceof CollmError)) throw error;
      if (["unauthorized", "forbidden"].includes(error.code)) throw error;
      if (error.message !== told) log(told = error.message);
      await pause(backoffMs(++failures), signal);
    }
  }
}

const keyOf = ({ episode_id, turn }: AgentView) => `${turn} ${episode_id}`;

/** Policy and sampling of the run where there is one: the learner decides, not each host. */
async function actorOf(
  { edge, agent, run_id, policy, sampling }: HostOptions,
): Promise<ActorOptions> {
  if (run_id === null) return { agent, policy: policy ?? agent, ...sampling };
  const { agents, config } = await edge.run(run_id);
  const said = runSampling.safeParse(config);
  const { temperature, max_tokens } = said.success ? said.data.rollout : {};
  return {
    agent,
    policy: policy ?? agents.find(({ name }) => name === agent)?.policy ?? agent,
    temperature: temperature ?? sampling.temperature,
    max_tokens: max_tokens ?? sampling.max_tokens,
  };
}

/**
 * Acts on a batch. What cannot be acted on at all (a prompt that is too long) is put aside, so
 * that it does not keep the others waiting; its deadline ends its episode.
 */
async function actOn(
  host: HostOptions,
  actor: ActorOptions,
  views: AgentView[],
  skipped: Set<string>,
): Promise<void> {
  const { edge, node, tokenizer, log } = host;
  try {
    const results = await act(edge, node, tokenizer, actor, views);
    results.forEach((result, at) => {
      if (result.status !== "error") return;
      log(result.error.message);
      // After a conflict the episode is elsewhere; anything else would be refused again.
      if (result.error.code !== "conflict") skipped.add(keyOf(views[at]!));
    });
  } catch (error) {
    if (!(error instanceof CollmError) || error.code !== "invalid_request") throw error;
    if (views.length > 1) {
      for (const view of views) await actOn(host, actor, [view], skipped);
      return;
    }
    log(`Agent '${host.agent}' puts episode '${views[0]!.episode_id}' aside: ${error.message}`);
    skipped.add(keyOf(views[0]!));
  }
}
