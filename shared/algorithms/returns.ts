/**
 * Returns: discounted sums along a path, and the returns of a tree of sampled joint actions.
 * Path: R_t = r_t + γ R_{t+1}.  Tree: R_j = r_j + γ mean(returns of the node that j leads to).
 * Leaves out how a tree is sampled (joint_tree.ts) and what is made of returns (advantages.ts).
 */
import { mean } from "./moments.ts";

/** Discounted return from every turn on: T rewards in, T returns out. */
export function discountedReturns(rewards: readonly number[], gamma: number): number[] {
  const returns = new Array<number>(rewards.length);
  let next = 0;
  for (let t = rewards.length - 1; t >= 0; t--) returns[t] = next = rewards[t]! + gamma * next;
  return returns;
}

/** A node: the rewards of its J joint actions and the node that each leads to, if any. */
export interface RewardTree {
  rewards: readonly number[];
  children?: readonly (RewardTree | null)[];
}

/** The same tree with the return of every joint action. */
export interface ReturnTree {
  returns: number[];
  children: (ReturnTree | null)[];
}

/** Returns of every joint action of a tree (reference section 4). */
export function treeReturns(node: RewardTree, gamma: number): ReturnTree {
  const children = node.rewards.map((_, j) => {
    const child = node.children?.[j];
    return child ? treeReturns(child, gamma) : null;
  });
  const returns = node.rewards.map((reward, j) => {
    const child = children[j];
    return child ? reward + gamma * mean(child.returns) : reward;
  });
  return { returns, children };
}

/**
 * Signal of each agent's own completions in a cross product of joints (reference section 4):
 * the *sum* of the returns of the joints that contain it, joints ordered last agent fastest.
 * J = generations^agents returns in, [agent][generation] out.
 */
export function crossReturns(
  jointReturns: readonly number[],
  generations: number,
  agents: number,
): number[][] {
  const signalAG = Array.from({ length: agents }, () => new Array<number>(generations).fill(0));
  jointReturns.forEach((value, j) => {
    jointAction(j, generations, agents).forEach((g, a) => signalAG[a]![g]! += value);
  });
  return signalAG;
}

/** Which completion each agent contributes to joint `j` of a cross product, last agent fastest. */
export function jointAction(j: number, generations: number, agents: number): number[] {
  return Array.from(
    { length: agents },
    (_, a) => Math.floor(j / generations ** (agents - 1 - a)) % generations,
  );
}
