/**
 * What an agent does: reads its own observations, asks the GPU node for completions of its
 * policy, posts them as its actions. One batch at a time; the same code serves a host on another
 * machine and the learner's own process. Knows nothing of other agents, rewards or learning.
 */
import type { Tokenizer } from "../gpu-node/model/tokenizer.ts";
import type { GpuNode } from "../gpu-node/verbs.ts";
import type { Observation } from "../shared/environments/environment.ts";
import type { ActionResult, AgentView, Episodes } from "../shared/store/episodes.ts";

export interface ActorOptions {
  agent: string;
  /** Handle of the agent's policy on the GPU node. */
  policy: string;
  /** Most tokens of one completion. */
  max_tokens: number;
  /** 0 is greedy. */
  temperature: number;
}

/** Token ids that the policy continues: the chat template where there are messages. */
export function promptTokens(tokenizer: Tokenizer, { messages, text }: Observation): number[] {
  return messages
    ? tokenizer.applyChat(messages)
    : tokenizer.encode(text, { addSpecialTokens: true });
}

/** Acts on every view that waits for this agent; returns the answers in order of those views. */
export async function act(
  episodes: Pick<Episodes, "postActions">,
  node: Pick<GpuNode, "sample">,
  tokenizer: Tokenizer,
  options: ActorOptions,
  views: readonly AgentView[],
): Promise<ActionResult[]> {
  const { agent, policy, max_tokens, temperature } = options;
  const waiting = views.filter((view) => view.status === "waiting");
  if (waiting.length === 0) return [];
  const prompts = waiting.map((view) => promptTokens(tokenizer, view.observation!));
  const seeds = waiting.map((view) => view.seed);
  // Equal prompt and seed give equal tokens: branches of a tree that share a turn sample it once.
  const keys = prompts.map((prompt, i) => `${seeds[i]}:${prompt.join()}`);
  const distinct = [...new Set(keys)];
  const first = distinct.map((key) => keys.indexOf(key));
  const { completions, policy_version } = await node.sample({
    policy,
    prompts: first.map((i) => prompts[i]!),
    seeds: first.map((i) => seeds[i]!),
    max_tokens,
    temperature,
    stop_tokens: [...tokenizer.eosIds],
  });
  const byKey = new Map(distinct.map((key, i) => [key, completions[i]!]));
  return await episodes.postActions(waiting.map((view, i) => {
    const { tokens, logprobs } = byKey.get(keys[i]!)!;
    return {
      episode_id: view.episode_id,
      turn: view.turn,
      agent,
      text: tokenizer.decode(tokens, { continuation: true }),
      prompt_tokens: prompts[i]!,
      tokens,
      logprobs,
      policy_version,
      sampling: { max_tokens, temperature },
      seed: seeds[i]!,
    };
  }));
}
