/**
 * One turn of BridgeBuild: probes, then blocks, then walks, then messages. The bridge stays from
 * turn to turn. The reward is the change of a potential, so nothing can be earned twice:
 *   5 connected / true - 8 touched / false - 5 blocks / water, and 10 when S and T are first joined.
 */
import {
  beside,
  type Cell,
  cellsWith,
  letterAt,
  look,
  reach,
  reachable,
  type Rows,
  UNKNOWN,
  walk,
  withLetters,
} from "../grid/grid.ts";
import { type GridAction, refuse, type Verbs } from "../grid/actions.ts";
import { deliver, type Member } from "../grid/team.ts";
import { type BridgeTask, WALKABLE } from "./task.ts";

export const WEIGHTS = { pillars: 5, touched: 8, blocks: 5, joined: 10 } as const;
export const VERBS: Verbs = {
  probe: { numbers: 2, most: 2 },
  fill: { numbers: 4, words: ["stone", "air"], most: 8 },
};

export interface BridgeState {
  /** 1-based turn to be played. */
  turn: number;
  /** Reward of the turn before. */
  reward: number | null;
  /** The map with the bridge: `=` for a block. */
  rows: Rows;
  /** Whether S and T have ever been joined. */
  joined: boolean;
  members: Member[];
}

export interface BridgeMetrics {
  /** True pillars beside a block that can be walked to from S. */
  connected: number;
  /** False pillars beside any block. */
  touched: number;
  blocks: number;
  /** Whether T can be walked to from S. */
  joined: boolean;
  potential: number;
}

/** The first state: agent 1 on S, agent 2 on T, each knowing what it sees. */
export function start({ map }: BridgeTask, view: number): BridgeState {
  const unknown = map.map((row) => UNKNOWN.repeat(row.length));
  const members = [...cellsWith(map, "S"), ...cellsWith(map, "T")]
    .map((at): Member => ({ at, memory: remember(unknown, map, at, view), heard: [] }));
  return { turn: 1, reward: null, rows: map, joined: false, members };
}

export function measure(rows: Rows): BridgeMetrics {
  const way = reachable(rows, cellsWith(rows, "S"), (at) => WALKABLE.includes(letterAt(rows, at)));
  const [truePillars, falsePillars] = [cellsWith(rows, "Y"), cellsWith(rows, "N")];
  const isBlock = (at: Cell) => letterAt(rows, at) === "=";
  const connected =
    truePillars.filter((at) =>
      beside(rows, at).some((next) => isBlock(next) && way.has(next.join()))
    ).length;
  const touched = falsePillars.filter((at) => beside(rows, at).some(isBlock)).length;
  const blocks = cellsWith(rows, "=").length;
  const water = blocks + cellsWith(rows, ".").length;
  return {
    connected,
    touched,
    blocks,
    joined: cellsWith(rows, "T").every((at) => way.has(at.join())),
    potential: WEIGHTS.pillars * ratio(connected, truePillars.length) -
      WEIGHTS.touched * ratio(touched, falsePillars.length) -
      WEIGHTS.blocks * ratio(blocks, water),
  };
}

/** Plays one turn; commands that cannot be carried out move to the action's rejected lines. */
export function play(
  agents: readonly string[],
  state: BridgeState,
  actions: readonly GridAction[],
  view: number,
): { state: BridgeState; reward: number; metrics: BridgeMetrics; done: boolean } {
  let { rows } = state;
  let members = state.members.map((member, agent): Member => {
    const probes = actions[agent]!.commands.filter(({ verb }) => verb === "probe");
    const found = probes.flatMap(({ numbers: [x, z] }) => {
      const at: Cell = [x!, z!];
      const letter = letterAt(rows, at);
      const line = `/probe ${x} ${z}`;
      if (reach(at, member.at) > view) return refuse(actions[agent]!, line, "out of sight");
      if (letter !== "Y" && letter !== "N") return refuse(actions[agent]!, line, "no pillar");
      return [[at, letter] as const];
    });
    return { ...member, memory: withLetters(member.memory, found) };
  });
  members.forEach(({ at }, agent) => {
    for (const { verb, numbers, word } of actions[agent]!.commands) {
      if (verb !== "fill") continue;
      const [x1, z1, x2, z2] = numbers as [number, number, number, number];
      if ([[x1, z1], [x2, z2]].some((corner) => reach(corner as [number, number], at) > view)) {
        refuse(actions[agent]!, `/fill ${numbers.join(" ")} ${word}`, "out of sight");
        continue;
      }
      const [from, to] = word === "stone" ? [".", "="] : ["=", "."];
      const inside = ([x, z]: Cell) =>
        x >= Math.min(x1, x2) && x <= Math.max(x1, x2) &&
        z >= Math.min(z1, z2) && z <= Math.max(z1, z2);
      const cells = cellsWith(rows, from!).filter((cell) =>
        inside(cell) && (word === "stone" || members.every((m) => m.at.join() !== cell.join()))
      );
      rows = withLetters(rows, cells.map((cell) => [cell, to!] as const));
    }
  });
  const passable = (at: Cell) => WALKABLE.includes(letterAt(rows, at) || UNKNOWN);
  members = members.map((member, agent) => {
    const at = walk(member.at, actions[agent]!.path, passable);
    return { ...member, at, memory: remember(member.memory, rows, at, view) };
  });
  members = deliver(agents, members, actions.map(({ say }) => say), tellsMore).members;

  const [before, metrics] = [measure(state.rows), measure(rows)];
  const first = metrics.joined && !state.joined;
  const reward = metrics.potential - before.potential + (first ? WEIGHTS.joined : 0);
  const joined = state.joined || metrics.joined;
  const done = metrics.joined && metrics.connected === cellsWith(rows, "Y").length;
  return {
    state: { turn: state.turn + 1, reward, rows, joined, members },
    reward,
    metrics,
    done,
  };
}

/** Messages fill in what was never seen, and kinds of pillars. */
function tellsMore(known: string, letter: string): boolean {
  return known === UNKNOWN || (known === "P" && letter !== "P");
}

/** Pillars look alike; what a probe or a teammate told of one is not forgotten. */
function remember(memory: Rows, rows: Rows, at: Cell, view: number): string[] {
  return look(memory, at, view, (cell) => {
    const [known, letter] = [letterAt(memory, cell), letterAt(rows, cell)];
    if (letter !== "Y" && letter !== "N") return letter;
    return known === letter ? known : "P";
  });
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
