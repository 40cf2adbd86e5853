/**
 * Evaluation of a team on fixed items: the same seed gives the same episodes, whatever the batch
 * size. Two probes tell reading from habit, where the environment has them: `blind_bound`, the
 * best return of a team that ignores its prompts, and `swapped`, the return of the same actions
 * judged on another item that looks alike from outside.
 */
import type { Environment, PerAgent } from "../shared/environments/environment.ts";
import { mean } from "../shared/algorithms/moments.ts";
import { CollmError } from "../shared/errors.ts";
import { seedOf } from "../shared/random.ts";
import type { EpisodeSpec } from "../shared/store/episodes.ts";
import { actForAll, type Player } from "./roles.ts";
import { passAtK, summarise, type Summary } from "./statistics.ts";

export interface EvaluationOptions {
  split: string;
  episodes: number;
  /** Episodes of one item before the next (default 1): what pass@k is counted from. */
  samples?: number;
  seed: number;
  /** 0 is greedy. */
  temperature: number;
  max_tokens: number;
  /** Episodes played at once; changes nothing but speed. */
  batch?: number;
}

/** One evaluated episode. */
export interface Played {
  item_id: string;
  task: unknown;
  return: number;
  /** Metrics of the last turn, such as `iou`. */
  components: Record<string, number>;
  /** Joint action of every turn. */
  actions: PerAgent<string>[];
}

export interface Evaluation {
  played: Played[];
  return: Summary;
  iou_mean: number | null;
  /** Episodes that failed; they have no return and are not in the mean. */
  failed: number;
}

/** The numbers of an evaluation as they are printed and served. */
export interface EvaluationNumbers {
  return_mean: number;
  ci95: [number, number] | null;
  iou_mean: number | null;
  /**
   * pass@k by k, for environments of tests: the mean over items with at least k episodes. An
   * episode passes when all tests did on its last turn (component `pass_rate` is 1).
   */
  pass_at_k: Record<string, number> | null;
  n: number;
}

/** The k that are reported as far as items have so many episodes. */
const PASS_AT = [1, 3, 5, 10, 100];

const EPISODES_AT_ONCE = 64;

/** Plays the evaluation; `prefix` makes the episode ids unique to this call. */
export async function evaluate(
  roles: Player,
  prefix: string,
  run: string | null,
  options: EvaluationOptions,
  policyOf?: (agent: string) => string,
  onProgress?: (done: number, tokens: number) => void,
): Promise<Evaluation> {
  const { environment, episodes } = roles;
  const { samples = 1 } = options;
  const size = splitSize(environment, options.split);
  const specs = Array.from({ length: options.episodes }, (_, i): EpisodeSpec => {
    const place = Math.floor(i / samples);
    const { id: item_id, task } = environment.item(options.split, place % size);
    const repetition = samples * Math.floor(place / size) + i % samples;
    const seed = seedOf("evaluate", options.seed, item_id, repetition);
    return {
      id: `${prefix}.${i}`,
      run_id: run,
      environment: environment.id,
      options: { ...environment.options },
      item_id,
      task,
      seed,
      turn_seeds: null,
      stop_above: null,
      purpose: "evaluate",
      policy_versions: null,
      deadline_at: null,
    };
  });
  const played: Played[] = [];
  let tokens = 0;
  /** Why the first one failed that did. */
  let cause: string | null = null;
  const batch = options.batch ?? EPISODES_AT_ONCE;
  for (let at = 0; at < specs.length; at += batch) {
    const part = specs.slice(at, at + batch);
    await episodes.openEpisodes(part);
    const ids = part.map((spec) => spec.id);
    for (let turn = 0; turn < environment.turns; turn++) {
      tokens += await actForAll(roles, ids, options, policyOf);
    }
    const ended = new Map((await episodes.transcripts(ids)).map((t) => [t.id, t]));
    for (const { id, item_id, task } of part) {
      const transcript = ended.get(id);
      if (transcript?.status !== "finished") {
        cause ??= transcript?.cause ?? null;
        continue;
      }
      const { turns } = transcript;
      played.push({
        item_id,
        task,
        return: turns.reduce((n, t) => n + mean(Object.values(t.rewards!)), 0),
        components: turns.at(-1)!.components ?? {},
        actions: turns.map((t) =>
          Object.fromEntries(environment.agents.map((a) => [a, t.agents[a]!.action!.text]))
        ),
      });
    }
    onProgress?.(at + part.length, tokens);
  }
  if (played.length === 0) {
    const why = cause === null ? "" : `, the first because: ${cause}`;
    throw new CollmError("unavailable", `Cannot evaluate: every episode failed${why}`);
  }
  const ious = played.map((p) => p.components["iou"]).filter((x) => x !== undefined);
  return {
    played,
    return: summarise(played.map((p) => p.return)),
    iou_mean: ious.length ? mean(ious) : null,
    failed: specs.length - played.length,
  };
}

export const numbersOf = ({ return: r, iou_mean, played }: Evaluation): EvaluationNumbers => ({
  return_mean: r.mean,
  ci95: r.ci95,
  iou_mean,
  pass_at_k: passesOf(played),
  n: r.n,
});

function passesOf(played: readonly Played[]): Record<string, number> | null {
  if (played.some(({ components }) => components["pass_rate"] === undefined)) return null;
  const items = [...Map.groupBy(played, ({ item_id }) => item_id).values()];
  const rates = PASS_AT.flatMap((k) => {
    const enough = items.filter((episodes) => episodes.length >= k);
    const rate = (episodes: Played[]) =>
      passAtK(
        episodes.length,
        episodes.filter(({ components }) => components["pass_rate"] === 1).length,
        k,
      );
    return enough.length === 0 ? [] : [[String(k), mean(enough.map(rate))] as const];
  });
  return Object.fromEntries(rates);
}

/** Best return without reading, or null where the environment does not know it. */
export function blindBound(environment: Environment, played: readonly Played[]): number | null {
  if (!environment.probes?.blindBound) return null;
  return environment.turns * environment.probes.blindBound(played.map((p) => p.task));
}

/**
 * Mean return when every episode gets the actions that another item's prompts led to: the next
 * comparable item in the list. Episodes without a comparable partner are left out; null if all.
 */
export async function swappedReturn(
  environment: Environment,
  played: readonly Played[],
): Promise<number | null> {
  const { probes } = environment;
  if (!probes) return null;
  const returns: number[] = [];
  for (const [i, { task, item_id }] of played.entries()) {
    const others = [...played.slice(i + 1), ...played.slice(0, i)];
    const partner = others.find((o) => o.item_id !== item_id && probes.comparable(task, o.task));
    if (!partner) continue;
    const scores = await Promise.all(partner.actions.map((acts) => environment.score(task, acts)));
    returns.push(scores.reduce((n, { rewards }) => n + mean(Object.values(rewards)), 0));
  }
  return returns.length ? mean(returns) : null;
}

/** Items of a split before they repeat; infinite where they are drawn without end. */
export function splitSize(environment: Environment, name: string): number {
  const split = environment.splits().find((s) => s.name === name);
  if (split?.size === 0) {
    const what = `split '${name.slice(0, 60)}' of '${environment.id}'`;
    throw new CollmError("not_found", `Cannot play: ${what} has no items`);
  }
  if (split) return split.size ?? Infinity;
  throw new CollmError("not_found", `Cannot play: no split '${name}' of '${environment.id}'`);
}
