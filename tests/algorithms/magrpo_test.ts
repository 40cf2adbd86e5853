/** MAGRPO and the tree of joint actions that it is learnt from. */
import assert from "node:assert/strict";
import { rolloutCost } from "../../shared/algorithms/budget.ts";
import {
  firstFreshTurn,
  freshPaths,
  growTree,
  type JointNode,
  pathCount,
  sourcePath,
} from "../../shared/algorithms/joint_tree.ts";
import { algorithmOptions, createAlgorithm } from "../../shared/algorithms/registry.ts";
import { type RewardTree, treeReturns } from "../../shared/algorithms/returns.ts";
import { batchOf, episode, turn } from "./batches.ts";
import { cases, close } from "./golden.ts";

const magrpo = (options: Record<string, unknown> = {}) =>
  createAlgorithm(algorithmOptions.parse({ id: "magrpo", generations: 2, ...options }));

/** Leaf paths of a golden tree of two joints per node; a branch without child ends early. */
function pathsOf(tree: RewardTree, turns: number): { path: number; turns: number[] }[] {
  return tree.rewards.flatMap((reward, j) => {
    const child = tree.children?.[j];
    const deeper = child ? pathsOf(child, turns - 1) : [{ path: 0, turns: [] }];
    return deeper.map(({ path, turns: rest }) => ({
      path: j * 2 ** (turns - 1) + path,
      turns: [reward, ...rest],
    }));
  });
}

const rewardsOf = (node: JointNode<number>): RewardTree => ({
  rewards: node.samples,
  children: node.children.map((child) => child && rewardsOf(child)),
});

Deno.test("growTree and treeReturns give the golden returns from leaf paths", () => {
  const binary = cases("return_tree", "trees").filter(({ input }) =>
    input.tree.rewards.length === 2
  );
  assert.ok(binary.length > 0);
  for (const { input: { tree, discount }, expected } of binary) {
    const node = growTree(pathsOf(tree, 3), { generations: 2, turns: 3 });
    close(treeReturns(rewardsOf(node), discount), expected);
  }
});

Deno.test("growTree counts copies once, whichever paths are missing", () => {
  const paths = [{ path: 1, turns: ["x", "xb"] }, { path: 2, turns: ["y", "ya"] }];
  assert.deepEqual(growTree(paths, { generations: 2, turns: 2 }), {
    samples: ["x", "y"],
    children: [
      { samples: ["xb"], children: [null] },
      { samples: ["ya"], children: [null] },
    ],
  });
});

Deno.test("freshPaths samples every joint action once and costs what rolloutCost says", () => {
  for (const shape of [{ generations: 1, turns: 4 }, { generations: 3, turns: 3 }]) {
    const fresh = Array.from({ length: shape.turns }, (_, t) => freshPaths(t, shape)).flat();
    assert.equal(fresh.length, rolloutCost(shape, "aligned", 2).joint_evaluations);
    for (let path = 0; path < pathCount(shape); path++) {
      for (let t = 0; t < shape.turns; t++) {
        const isFresh = freshPaths(t, shape).includes(path);
        assert.equal(isFresh, sourcePath(path, t, shape) === path);
        assert.equal(isFresh, t >= firstFreshTurn(path, shape));
        assert.ok(freshPaths(t, shape).includes(sourcePath(path, t, shape)));
      }
    }
  }
});

Deno.test("magrpo compares the joint actions of one item and of no other", () => {
  const plan = magrpo().plan(
    batchOf(1, [
      episode(0, 0, [turn(1, 2)]),
      episode(0, 1, [turn(2, 0)]),
      episode(1, 0, [turn(3, 10)]),
      episode(1, 1, [turn(4, 14)]),
    ]),
    [],
  );
  for (const { sequences } of plan.policies) {
    close(sequences.map(({ advantage }) => advantage), [1, -1, -1, 1]);
  }
  assert.deepEqual(plan.critics, []);
});

/** The golden tree with root rewards 1, 0 and children 2, 0 and 1, 3. */
const tree = [
  episode(0, 0, [turn(1, 1), turn(3, 2)]),
  episode(0, 1, [turn(1, 1), turn(4, 0)]),
  episode(0, 2, [turn(2, 0), turn(5, 1)]),
  episode(0, 3, [turn(2, 0), turn(6, 3)]),
];

Deno.test("magrpo discounts the mean of the child node and weighs turns alike", () => {
  const plan = magrpo({ gamma: 0.9, advantage_normalization: false }).plan(batchOf(2, tree), []);
  const byTag = Object.fromEntries(
    plan.policies[0]!.sequences.map(({ tokens, advantage }) => [tokens[0], advantage]),
  );
  // Root returns 1.9 and 1.8; six samples, of which the turns hold two and four.
  const [first, second] = [6 / (2 * 2), 6 / (2 * 4)];
  close(byTag, {
    1: 0.05 * first,
    2: -0.05 * first,
    3: second,
    4: -second,
    5: -second,
    6: second,
  });
});

Deno.test("magrpo subtracts the KL penalty from returns, per agent", () => {
  const plan = magrpo({
    reference_kl_coef: 0.5,
    advantage_mode: "raw",
    advantage_normalization: false,
  })
    .plan(
      batchOf(1, [
        episode(0, 0, [turn(1, 1, [0.2, 0])]),
        episode(0, 1, [turn(2, 2, [0.4, 1])]),
      ]),
      [],
    );
  close(plan.policies.map(({ sequences }) => sequences.map(({ advantage }) => advantage)), [
    [0.9, 1.8],
    [1, 1.5],
  ]);
});

Deno.test("magrpo reports the undiscounted mean return of a tree and each reward once", () => {
  const { statistics } = magrpo().plan(batchOf(2, tree), []);
  close(statistics.return_mean, 2);
  close([statistics["turn_1/reward_mean"], statistics["turn_2/reward_mean"]], [0.5, 1.5]);
});

Deno.test("magrpo keeps a branch that ended early as a leaf", () => {
  const ended = [episode(0, 0, [turn(1, 4)]), ...tree.slice(2)];
  const plan = magrpo({ gamma: 1, advantage_normalization: false }).plan(batchOf(2, ended), []);
  // Returns 4 and 0 + mean(1, 3) = 2; four samples weigh 4 / (2 · 2).
  close(plan.policies[1]!.sequences.slice(0, 2).map(({ advantage }) => advantage), [1, -1]);
});
