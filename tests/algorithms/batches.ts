/** Small hand-made batches for the tests beside it. */
import type { Batch, Transcript, TurnRecord } from "../../shared/algorithms/algorithm.ts";

/**
 * One turn of agents `a` and `b` with a joint reward. Prompt and response tokens are made from
 * `tag`, so that a test can tell which turn a sequence came from.
 */
export function turn(tag: number, reward: number | number[], klA: number[] = []): TurnRecord {
  return {
    acts: ["a", "b"].map((agent, a) => ({
      prompt_text: `prompt ${tag} of ${agent}`,
      prompt: [tag, a],
      response_text: `response ${tag} of ${agent}`,
      response: [100 + tag, 7 + a],
      logprobs: [-1, -0.5],
      ...(klA[a] === undefined ? {} : { reference_kl: klA[a] }),
    })),
    rewards: typeof reward === "number" ? [reward, reward] : reward,
  };
}

/** An episode of one rollout. */
export function episode(group: number, path: number, turns: TurnRecord[]): Transcript {
  return { episode: `e${group}.${path}`, item: `item ${group}`, group, path, turns };
}

/** A batch of agents `a` and `b`. */
export function batchOf(turns: number, transcripts: Transcript[]): Batch {
  return { agents: ["a", "b"], turns, transcripts };
}
