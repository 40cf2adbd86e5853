/**
 * What CoLLM-CC and CoLLM-DC share once every state has its value: TD errors to policy updates,
 * TD targets to critic updates, statistics. Which critic reads what stays in their own files.
 */
import { CollmError } from "../errors.ts";
import type { Batch, CriticState, CriticUpdate, Plan } from "./algorithm.ts";
import { normaliseTurn } from "./advantages.ts";
import { klOf, policyUpdates, turnRewards, turnStatistics } from "./batch.ts";
import { explainedVariance, mean, populationStd } from "./moments.ts";
import type { CommonOptions } from "./options.ts";
import { shaped } from "./reference_kl.ts";
import { valueLoss } from "./value_loss.ts";

/** Processed, KL-shaped rewards of every agent on every turn of every episode. */
export function rewardsEAT(batch: Batch, options: CommonOptions): number[][][] {
  return batch.transcripts.map(({ turns }) =>
    batch.agents.map((_, a) =>
      turns.map((turn) =>
        shaped(
          turnRewards(turn, options)[a]!,
          klOf(turn.acts[a]!, options),
          options.reference_kl_coef,
        )
      )
    )
  );
}

/** Cuts a flat list into consecutive rows of the given lengths. */
export function rows(flat: readonly number[], lengths: readonly number[]): number[][] {
  let at = 0;
  return lengths.map((length) => flat.slice(at, at += length));
}

/** Normalises the advantages of each agent over the batch's samples of the same turn. */
export function normaliseTurns(advantagesEAT: readonly number[][][]): number[][][] {
  const result = advantagesEAT.map((AT) => AT.map((T) => [...T]));
  for (let a = 0; a < (result[0]?.length ?? 0); a++) {
    for (let t = 0;; t++) {
      const running = result.filter((AT) => AT[a]!.length > t);
      if (running.length === 0) break;
      const normalised = normaliseTurn(running.map((AT) => AT[a]![t]!));
      running.forEach((AT, e) => AT[a]![t] = normalised[e]!);
    }
  }
  return result;
}

/** The updates and statistics of a batch; `targets` go with `states` and their `values`. */
export function actorCriticPlan(batch: Batch, learnt: {
  advantagesEAT: number[][][];
  states: readonly CriticState[];
  values: readonly number[];
  targets: readonly number[];
  options: CommonOptions & { critic_updates_per_batch: number };
}): Plan {
  const { advantagesEAT, states, values, targets, options } = learnt;
  requireValues(states, values);
  const usedEAT = options.advantage_normalization ? normaliseTurns(advantagesEAT) : advantagesEAT;
  const samples = batch.transcripts.flatMap(({ turns }, e) =>
    turns.map((turn, t) => ({ turn, advantagesA: usedEAT[e]!.map((T) => T[t]!) }))
  );
  const explained = explainedVariance(values, targets);
  return {
    policies: policyUpdates(batch.agents, samples),
    critics: Array.from(
      { length: options.critic_updates_per_batch },
      () => criticUpdates(states, targets),
    ).flat(),
    statistics: {
      return_mean: mean(
        batch.transcripts.map(({ turns }) =>
          turns.reduce((sum, turn) => sum + mean(turn.rewards), 0)
        ),
      ),
      ...turnStatistics(Array.from(
        { length: Math.max(...batch.transcripts.map(({ turns }) => turns.length)) },
        (_, t) => batch.transcripts.flatMap(({ turns }) => turns[t] ?? []),
      )),
      advantage_std: populationStd(advantagesEAT.flat(2)),
      value_mean: mean(values),
      value_target_mean: mean(targets),
      value_loss: mean(targets.map((target, i) => valueLoss(target, values[i]!))),
      ...(explained === null ? {} : { explained_variance: explained }),
    },
  };
}

/** One wrong value would spoil weights for good, so nothing is learnt from such a batch. */
function requireValues(states: readonly CriticState[], values: readonly number[]): void {
  const what = "Cannot plan an update";
  if (values.length !== states.length) {
    throw new CollmError(
      "invalid_request",
      `${what}: ${values.length} values for ${states.length} states`,
    );
  }
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    const { critic } = states[bad]!;
    throw new CollmError(
      "invalid_request",
      `${what}: critic '${critic}' gave the value ${values[bad]} for state ${bad}`,
    );
  }
}

function criticUpdates(states: readonly CriticState[], targets: readonly number[]): CriticUpdate[] {
  const examples = targets.map((target, state) => ({ state, target }));
  const byCritic = Map.groupBy(examples, ({ state }) => states[state]!.critic);
  return [...byCritic].map(([critic, examples]) => ({ critic, examples }));
}
