/**
 * What an algorithm is: a description and two pure functions between the transcripts of a batch
 * and the update requests that follow from them. It knows no HTTP, no store, no engine and no
 * tokenizer: critics' inputs leave as text, values come back as numbers, in the same order.
 *
 * Names of nested arrays end in their axes: E episode, T turn, A agent, K token, J joint action
 * of a node, G completion of an agent; rewardsEAT[e][a][t] is agent a's reward on turn t.
 */

/** What one agent did on one turn. */
export interface Act {
  /** The prompt as its tokenizer read it (chat template applied) and as token ids. */
  prompt_text: string;
  prompt: number[];
  /** The completion; its K tokens include the stop token that ended it, never padding. */
  response_text: string;
  response: number[];
  /** Behaviour logprobs of the K response tokens, nats. */
  logprobs: number[];
  /** KL of this response to the reference policy (reference_kl.ts), where one is asked for. */
  reference_kl?: number;
}

/** One executed turn: the joint action and every agent's raw reward (equal where it is joint). */
export interface TurnRecord {
  acts: Act[];
  rewards: number[];
}

/** One completed episode. Failed episodes never get here. */
export interface Transcript {
  episode: string;
  item: string;
  /** Rollout of the batch that the episode belongs to, and its path there (joint_tree.ts). */
  group: number;
  path: number;
  turns: TurnRecord[];
}

export interface Batch {
  /** Agent names in playing order: axis A of every act and reward list. */
  agents: readonly string[];
  /** Most turns of an episode. */
  turns: number;
  transcripts: readonly Transcript[];
}

/** What a critic is asked about: its text is tokenised by the critic's own tokenizer. */
export interface CriticState {
  critic: string;
  text: string;
}

/** A sequence of a policy-gradient update (the GPU node's UpdateSequence). */
export interface PolicySequence {
  tokens: number[];
  prompt_length: number;
  /** Behaviour logprobs of the response tokens. */
  old_logprobs: number[];
  advantage: number;
}

/** One optimizer step of one agent: loss = mean over sequences of −(Σ_k logp_k) · advantage. */
export interface PolicyUpdate {
  agent: string;
  sequences: PolicySequence[];
}

/** One optimizer step of one critic: loss = coefficient · mean of (target − V(state))². */
export interface CriticUpdate {
  critic: string;
  /** `state` is an index into what `states` returned. */
  examples: { state: number; target: number }[];
}

/** Everything that one batch changes; updates of different models do not depend on each other. */
export interface Plan {
  policies: PolicyUpdate[];
  critics: CriticUpdate[];
  statistics: Record<string, number>;
}

/** A configured algorithm (its options were checked when it was created). */
export interface Algorithm {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  /** Which critics it learns: one for all agents, one for each, none. */
  readonly critics: "joint" | "per_agent" | "none";
  /** Joint actions sampled per node: one path, or a tree of aligned joints. */
  readonly rollout: { generations: number; joint: "single" | "aligned" };
  /** Critic inputs of a batch; empty without critics. */
  states(batch: Batch): CriticState[];
  /** Updates of a batch, given the value of every state in the order of `states`. */
  plan(batch: Batch, values: readonly number[]): Plan;
}

/** Name of the centralized critic. */
export const JOINT_CRITIC = "joint";

/** Names of the critics that an algorithm needs for these agents. */
export function criticNames({ critics }: Algorithm, agents: readonly string[]): string[] {
  return critics === "joint" ? [JOINT_CRITIC] : critics === "per_agent" ? [...agents] : [];
}
