/**
 * MAGRPO: group-relative Monte Carlo, no critic. In every node each agent samples G completions;
 * joint action j is the j-th of every agent (aligned), and leads to a node of its own.
 *   R_j = r_j + γ mean(R of the child node),   A_j = R_j − mean(R),   optionally / std(R)
 *   ∇J(θ_i) = E[ Σ_t 1/G^t Σ_nodes Σ_j A_j ∇ log π_i(a_{i,j} | h_i) ]
 */
import { z } from "../../deps.ts";
import { ADVANTAGE_MODES, groupAdvantages, normalise } from "./advantages.ts";
import type { Algorithm, TurnRecord } from "./algorithm.ts";
import { klOf, policyUpdates, requireEpisodes, turnRewards, turnStatistics } from "./batch.ts";
import { growTree, type JointNode } from "./joint_tree.ts";
import { mean, populationStd } from "./moments.ts";
import { commonOptions } from "./options.ts";
import { shaped } from "./reference_kl.ts";
import { type ReturnTree, type RewardTree, treeReturns } from "./returns.ts";

export const magrpoOptions = z.strictObject({
  id: z.literal("magrpo"),
  ...commonOptions,
  /** Joint actions sampled per node, G. */
  generations: z.number().int().min(2).max(64).default(4),
  /** Baseline: mean is MAGRPO; raw, max and rloo are its relatives (advantages.ts). */
  advantage_mode: z.enum(ADVANTAGE_MODES).default("mean"),
});
export type MagrpoOptions = z.infer<typeof magrpoOptions>;

/** One joint action of a tree with what each agent learns from it. */
interface Signal {
  turn: TurnRecord;
  depth: number;
  /** Return less baseline, before and after normalisation. */
  rawA: number[];
  advantagesA: number[];
}

/** MAGRPO with its options fixed. */
export function magrpo(options: MagrpoOptions): Algorithm {
  const { generations, gamma } = options;
  return {
    id: options.id,
    title: "MAGRPO",
    description: "Group-relative Monte Carlo over a tree of aligned joint actions, no critic",
    critics: "none",
    rollout: { generations, joint: "aligned" },
    states: () => [],
    plan(batch) {
      requireEpisodes(batch);
      const groups = Map.groupBy(batch.transcripts, ({ group }) => group);
      const trees = [...groups.values()].map((paths) =>
        growTree(paths, { generations, turns: batch.turns })
      );
      const signals = trees.flatMap((tree) =>
        nodeSignals(
          tree,
          batch.agents.map((_, a) =>
            treeReturns(rewardsOf(tree, (turn) => turnRewards(turn, options)[a]!), gamma)
          ),
          options,
        )
      );
      // A turn's 1/G^t joint actions share the weight of one path, so that a deep tree does not
      // drown its first turn; a full tree then weighs all turns alike, with mean weight 1.
      const weight = (depth: number) =>
        signals.length / (batch.turns * trees.length * generations ** (depth + 1));
      const depths = 1 + Math.max(...signals.map(({ depth }) => depth));
      return {
        policies: policyUpdates(
          batch.agents,
          signals.map(({ turn, depth, advantagesA }) => ({
            turn,
            advantagesA: advantagesA.map((advantage) => advantage * weight(depth)),
          })),
        ),
        critics: [],
        statistics: {
          return_mean: mean(
            trees.map((tree) =>
              mean(treeReturns(rewardsOf(tree, (turn) => mean(turn.rewards)), 1).returns)
            ),
          ),
          ...turnStatistics(Array.from(
            { length: depths },
            (_, t) => signals.filter(({ depth }) => depth === t).map(({ turn }) => turn),
          )),
          advantage_std: populationStd(signals.flatMap(({ rawA }) => rawA)),
        },
      };
    },
  };
}

function rewardsOf(node: JointNode<TurnRecord>, reward: (turn: TurnRecord) => number): RewardTree {
  return {
    rewards: node.samples.map(reward),
    children: node.children.map((child) => child && rewardsOf(child, reward)),
  };
}

/** Signals of a node and of all nodes below it; `returnsA` holds every agent's return tree. */
function nodeSignals(
  node: JointNode<TurnRecord>,
  treesA: readonly ReturnTree[],
  options: MagrpoOptions,
  depth = 0,
): Signal[] {
  const returnsAJ = treesA.map(({ returns }, a) =>
    returns.map((value, j) =>
      shaped(value, klOf(node.samples[j]!.acts[a]!, options), options.reference_kl_coef)
    )
  );
  const rawAJ = returnsAJ.map((returnsJ) =>
    groupAdvantages(returnsJ, options.advantage_mode, false)
  );
  const advantagesAJ = options.advantage_normalization ? rawAJ.map(normalise) : rawAJ;
  return node.samples.flatMap((turn, j) => {
    const child = node.children[j];
    return [
      {
        turn,
        depth,
        rawA: rawAJ.map((rawJ) => rawJ[j]!),
        advantagesA: advantagesAJ.map((advantagesJ) => advantagesJ[j]!),
      },
      ...(child
        ? nodeSignals(child, treesA.map(({ children }) => children[j]!), options, depth + 1)
        : []),
    ];
  });
}
