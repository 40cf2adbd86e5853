/**
 * One turn of ResourceGathering: walks, then gathering, then messages. Deposits run out and what
 * was gathered stays. The reward is progress towards the goal, a bonus for reaching it, and small
 * shaping terms, each of which can be earned a limited number of times:
 *   progress Δ(gathered towards the goal) / goal + terminal once
 *   + move_to_zone when nearer than ever to a known deposit of one's own that is needed
 *   + zone_entry when first in range of a needed resource of one's own
 *   + useful_message when a needed deposit becomes known to the one who can use it
 *   - move_cost per step - message_cost per message.
 */
import type { GridAction, Verbs } from "../grid/actions.ts";
import { refuse } from "../grid/actions.ts";
import {
  type Cell,
  cellsWith,
  letterAt,
  look,
  reach,
  type Rows,
  UNKNOWN,
  walk,
  withLetters,
} from "../grid/grid.ts";
import { deliver, type Member } from "../grid/team.ts";
import { type GatheringTask, RANGE, type Resource, RESOURCES, TOOLS } from "./task.ts";

/** Units that one agent gathers in a turn, at most. */
const LIMIT = 2;
export const VERBS: Verbs = { gather: { numbers: 2, most: LIMIT } };

export interface Shaping {
  progress: number;
  terminal: number;
  move_to_zone: number;
  useful_message: number;
  zone_entry: number;
  move_cost: number;
  message_cost: number;
}

export interface Gatherer extends Member {
  /** Least distance to a needed deposit since the last gathering; null before any is known. */
  nearest: number | null;
  /** Resources whose zone was entered. */
  entered: string;
}

export interface GatheringState {
  /** 1-based turn to be played. */
  turn: number;
  /** Reward of the turn before. */
  reward: number | null;
  /** The map; an empty deposit is ground. */
  rows: Rows;
  /** Units gathered from deposits, by `x,z`. */
  taken: Record<string, number>;
  gathered: Record<Resource, number>;
  members: Gatherer[];
}

export function start(task: GatheringTask, view: number): GatheringState {
  const unknown = task.map.map((row) => UNKNOWN.repeat(row.length));
  const members = task.starts.map((at): Gatherer => ({
    at,
    memory: look(unknown, at, view, (cell) => letterAt(task.map, cell)),
    heard: [],
    nearest: null,
    entered: "",
  }));
  return {
    turn: 1,
    reward: null,
    rows: task.map,
    taken: {},
    gathered: { W: 0, S: 0, I: 0 },
    members: members.map((member, agent) => ({
      ...member,
      nearest: distance(member, ownNeeded(task, { W: 0, S: 0, I: 0 }, agent)),
    })),
  };
}

/** Units that count towards the goal. */
export function counted({ goal }: GatheringTask, gathered: Record<Resource, number>): number {
  return RESOURCES.reduce((sum, letter) => sum + Math.min(gathered[letter], goal[letter]), 0);
}

/** Plays one turn; gathering that cannot be done moves to the action's rejected lines. */
export function play(
  agents: readonly string[],
  task: GatheringTask,
  state: GatheringState,
  actions: readonly GridAction[],
  view: number,
  shaping: Shaping,
): { state: GatheringState; reward: number; done: boolean } {
  const needed = (agent: number) => ownNeeded(task, state.gathered, agent);
  const gathered = { ...state.gathered };
  const taken = { ...state.taken };
  let { rows } = state;
  let reward = 0;
  const ground = (at: Cell) => letterAt(state.rows, at) === ".";
  const walked = state.members.map((member, agent): Gatherer => {
    const at = walk(member.at, actions[agent]!.path, ground);
    reward -= shaping.move_cost * actions[agent]!.path.length;
    return { ...member, at };
  });
  const busy = walked.map(({ at }, agent) => {
    let units = 0;
    for (const { numbers: [x, z] } of actions[agent]!.commands) {
      const from: Cell = [x!, z!];
      const letter = letterAt(rows, from);
      const line = `/gather ${x} ${z}`;
      if (reach(at, from) > RANGE) refuse(actions[agent]!, line, "out of reach");
      else if (letter === "" || !TOOLS[agent]!.includes(letter)) {
        refuse(actions[agent]!, line, "nothing there for your tool");
      } else {
        units++;
        gathered[letter as Resource]++;
        taken[from.join()] = (taken[from.join()] ?? 0) + 1;
        if (taken[from.join()] === task.units) rows = withLetters(rows, [[from, "."]]);
      }
    }
    return units > 0;
  });
  const seen = walked.map((member): Gatherer => ({
    ...member,
    memory: look(member.memory, member.at, view, (cell) => letterAt(rows, cell)),
  }));
  const says = actions.map(({ say }) => say);
  const { members: told, news } = deliver(agents, seen, says, (known) => known === UNKNOWN);
  says.forEach((text, from) => {
    if (text !== "") reward -= shaping.message_cost;
    const useful = news.some((item) =>
      item.from === from && needed(item.to).includes(item.letter) &&
      letterAt(rows, item.at) === item.letter
    );
    if (useful) reward += shaping.useful_message;
  });
  const members = seen.map((member, agent): Gatherer => {
    const own = needed(agent);
    const now = distance(member, own);
    const nearer = member.nearest !== null && now !== null && now < member.nearest;
    if (nearer) reward += shaping.move_to_zone;
    const inRange = [...own].filter((letter) =>
      !member.entered.includes(letter) &&
      cellsWith(state.rows, letter).some((at) => reach(at, member.at) <= RANGE)
    );
    reward += shaping.zone_entry * inRange.length;
    return {
      ...member,
      ...told[agent]!,
      nearest: busy[agent] ? null : nearer || member.nearest === null ? now : member.nearest,
      entered: member.entered + inRange.join(""),
    };
  });
  const total = RESOURCES.reduce((sum, letter) => sum + task.goal[letter], 0);
  const [before, after] = [counted(task, state.gathered), counted(task, gathered)];
  const done = after === total;
  reward += shaping.progress * (after - before) / total + (done ? shaping.terminal : 0);
  return {
    state: { turn: state.turn + 1, reward, rows, taken, gathered, members },
    reward,
    done,
  };
}

/** Letters that an agent's tool works on and the goal still asks for. */
export function ownNeeded(
  { goal }: GatheringTask,
  gathered: Record<Resource, number>,
  agent: number,
): string {
  return RESOURCES.filter((letter) =>
    TOOLS[agent]!.includes(letter) && gathered[letter] < goal[letter]
  ).join("");
}

/** Steps of a king to the nearest known deposit of some letters; null if none is known. */
function distance({ at, memory }: Member, letters: string): number | null {
  const known = cellsWith(memory, letters).map((cell) => reach(cell, at));
  return letters === "" || known.length === 0 ? null : Math.min(...known);
}
