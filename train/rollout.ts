/**
 * One batch of training episodes: opens them, has them played, reads their transcripts.
 * Episode ids and seeds follow from the run and the item alone, so a batch that was cut off by a
 * crash is found again, action by action, when it is repeated.
 */
import { promptTokens } from "../agents/act.ts";
import type { Batch, Transcript } from "../shared/algorithms/algorithm.ts";
import { firstFreshTurn, pathCount, sourcePath } from "../shared/algorithms/joint_tree.ts";
import { seedOf } from "../shared/random.ts";
import type { EpisodeSpec, Transcript as Stored } from "../shared/store/episodes.ts";
import { awaitEpisodes } from "./await_episodes.ts";
import type { RunConfig } from "./config.ts";
import { splitSize } from "./evaluation.ts";
import { actForAll, type Roles } from "./roles.ts";

export interface Rollout {
  batch: Batch;
  /** Fresh joint actions whose reward was computed. */
  joint_evaluations: number;
  /** Episodes that ended without a reward, and why the first of them did. */
  failed: number;
  cause: string | null;
  tokens: number;
  cursor: number;
}

/** Which items a batch plays, and how it is waited for. */
export interface RolloutOptions {
  first: number;
  count: number;
  cursor: number;
  /** Is told now and then what is being waited for. */
  note: (text: string) => void;
  note_ms?: number;
}

/** The tree of joint actions that one item's episodes are the paths of. */
export const treeShape = ({ algorithm, environment }: Roles) => ({
  generations: algorithm.rollout.generations,
  turns: environment.turns,
});

/** The early-stop threshold on processed rewards, as one on raw rewards. */
function stopAbove(options: RunConfig["algorithm"]): number | null {
  const { early_stop_threshold: threshold, reward_scale, reward_shift } = options;
  return threshold === null ? null : (threshold - reward_shift) / reward_scale;
}

/**
 * Plays items [first, first + count) of the training split, which begins again at its end. Where
 * hosts elsewhere act, episodes that are not finished `rollout.deadline_s` from now fail.
 */
export async function rollOut(
  roles: Roles,
  run: string,
  versions: Record<string, string>,
  { first, count, cursor, note, note_ms }: RolloutOptions,
): Promise<Rollout> {
  const { config, environment, episodes } = roles;
  const shape = treeShape(roles);
  const stop_above = stopAbove(config.algorithm);
  const size = splitSize(environment, config.environment.split);
  // None in one process, where nobody can be lost: clock times must not decide numbers.
  const deadline_at = roles.remote
    ? Date.now() + Math.round(1000 * config.rollout.deadline_s)
    : null;
  const specs: EpisodeSpec[] = [];
  for (let i = first; i < first + count; i++) {
    const { id: item_id, task } = environment.item(config.environment.split, i % size);
    const seed = (path: number, turn: number) => seedOf(config.seed, "train", i, path, turn);
    for (let path = 0; path < pathCount(shape); path++) {
      specs.push({
        id: `${run}.${i}.${path}`,
        run_id: run,
        environment: environment.id,
        options: { ...environment.options },
        item_id,
        task,
        seed: seed(path, 0),
        turn_seeds: Array.from(
          { length: shape.turns },
          (_, t) => seed(sourcePath(path, t, shape), t + 1),
        ),
        stop_above,
        purpose: "train",
        policy_versions: versions,
        deadline_at,
      });
    }
  }
  await episodes.openEpisodes(specs);
  const ids = specs.map((spec) => spec.id);
  let tokens = 0;
  if (!roles.remote) {
    const sampling = {
      max_tokens: config.rollout.max_tokens,
      temperature: config.rollout.temperature,
    };
    for (let turn = 0; turn < environment.turns; turn++) {
      tokens += await actForAll(roles, ids, sampling, roles.handle);
    }
  }
  const { agents } = environment;
  const end = await awaitEpisodes(episodes, {
    ...{ run, ids, agents, cursor, note },
    ...note_ms !== undefined && { note_ms },
  });
  const ended = await episodes.transcripts(ids);
  const stored = ended.filter((t) => t.status === "finished");
  const transcripts = stored.map((t) => transcriptOf(roles, t, first));
  const joint_evaluations = transcripts.reduce(
    (n, { path, turns }) => n + turns.length - firstFreshTurn(path, shape),
    0,
  );
  return {
    batch: { agents: environment.agents, turns: environment.turns, transcripts },
    joint_evaluations,
    failed: ids.length - stored.length,
    cause: ended.find((t) => t.status === "failed")?.cause ?? null,
    tokens,
    cursor: end,
  };
}

/** A stored episode as algorithms read it. */
function transcriptOf(
  { tokenizer, environment }: Roles,
  stored: Stored,
  first: number,
): Transcript {
  const [item, path] = stored.id.split(".").slice(-2).map(Number) as [number, number];
  return {
    episode: stored.id,
    item: stored.item_id,
    group: item - first,
    path,
    turns: stored.turns.map(({ agents, rewards }) => ({
      acts: environment.agents.map((agent) => {
        const { observation, action } = agents[agent]!;
        return {
          prompt_text: observation.text,
          prompt: action!.prompt_tokens ?? promptTokens(tokenizer, observation),
          response_text: action!.text,
          response: action!.tokens ?? [],
          logprobs: action!.logprobs ?? [],
        };
      }),
      rewards: environment.agents.map((agent) => rewards![agent]!),
    })),
  };
}
