/**
 * A tree of sampled joint actions as plain episodes. The store knows linear episodes only, so a
 * tree of G joint actions per node over T turns is kept as its G^T leaf paths. Path p is read as
 * T digits in base G: digit t names the joint action taken at turn t. Paths that agree in their
 * first digits share those actions: the lowest of them samples them, the others replay copies.
 * With G = 1 the tree is one path and every action is fresh. Turns are 0-based here.
 */

/** How joint actions are sampled: `generations` per node, over at most `turns` turns. */
export interface TreeShape {
  generations: number;
  turns: number;
}

/** Number of leaf paths, G^T. */
export function pathCount({ generations, turns }: TreeShape): number {
  return generations ** turns;
}

/** Path whose action path `path` takes at `turn`: itself where it samples a fresh one. */
export function sourcePath(path: number, turn: number, { generations, turns }: TreeShape): number {
  return path - path % generations ** (turns - 1 - turn);
}

/** First turn on which `path` samples a fresh action; it replays the turns before. */
export function firstFreshTurn(path: number, shape: TreeShape): number {
  let turn = 0;
  while (sourcePath(path, turn, shape) !== path) turn++;
  return turn;
}

/** Paths that sample a fresh joint action at `turn`, G^(turn+1) of them, in order. */
export function freshPaths(turn: number, shape: TreeShape): number[] {
  const step = shape.generations ** (shape.turns - 1 - turn);
  return Array.from({ length: shape.generations ** (turn + 1) }, (_, i) => i * step);
}

/** A node with the joint actions that were sampled in it, and where each led. */
export interface JointNode<Sample> {
  samples: Sample[];
  children: (JointNode<Sample> | null)[];
}

/**
 * Puts the tree together again from the paths that were completed. Copies count once; paths
 * that ended early or are missing (a failed episode) leave their branch out, so a node may hold
 * fewer than G samples. At least one path with one turn is needed.
 */
export function growTree<Sample>(
  paths: readonly { path: number; turns: readonly Sample[] }[],
  shape: TreeShape,
  turn = 0,
): JointNode<Sample> {
  const branches = Map.groupBy(paths, ({ path }) => sourcePath(path, turn, shape));
  const ordered = [...branches].sort(([a], [b]) => a - b).map(([, members]) => members);
  return {
    samples: ordered.map((members) => members[0]!.turns[turn]!),
    children: ordered.map((members) => {
      const longer = members.filter(({ turns }) => turns.length > turn + 1);
      return longer.length > 0 ? growTree(longer, shape, turn + 1) : null;
    }),
  };
}
