/** What scripted players read from an observation of a long task, and ways over the map they know. */
import {
  beside,
  type Cell,
  letterAt,
  type Rows,
} from "../../../../shared/environments/minecraft/grid/grid.ts";
import type { Environment, PerAgent } from "../../../../shared/environments/environment.ts";

/** Plays with what its observations tell and its own notes, nothing else. */
export type Player = (text: string) => string;

export function readPlace(text: string): Cell {
  const found = /You are at ([0-9]+),([0-9]+)\./.exec(text)!;
  return [Number(found[1]), Number(found[2])];
}

export function readMap(text: string): Rows {
  const after = text.slice(text.indexOf("from 0 down:\n") + "from 0 down:\n".length);
  return after.split("\n").filter((row) => /^[^ :]+$/.test(row));
}

/** Cheapest way to a cell that fits, without the start; `cost` is Infinity where there is none. */
export function cheapestWay(
  rows: Rows,
  from: Cell,
  fits: (at: Cell) => boolean,
  cost: (at: Cell) => number,
): Cell[] | undefined {
  const best = new Map([[from.join(), { spent: 0, way: [] as Cell[] }]]);
  const open: Cell[] = [from];
  let found: { spent: number; way: Cell[] } | undefined;
  for (let at = open.shift(); at; at = open.shift()) {
    const here = best.get(at.join())!;
    if (fits(at) && (!found || here.spent < found.spent)) found = here;
    for (const next of beside(rows, at)) {
      const spent = here.spent + cost(next);
      if (spent >= (best.get(next.join())?.spent ?? Infinity)) continue;
      best.set(next.join(), { spent, way: [...here.way, next] });
      open.push(next);
    }
  }
  return found?.way;
}

/** Letters of the longest walk along a way, `most` at most, over cells that can be entered. */
export function letters(
  from: Cell,
  way: readonly Cell[],
  most: number,
  open: (at: Cell) => boolean,
) {
  let [path, at] = ["", from];
  for (const next of way.slice(0, most)) {
    if (!open(next)) break;
    path += next[0] > at[0] ? "E" : next[0] < at[0] ? "W" : next[1] > at[1] ? "S" : "N";
    at = next;
  }
  return path;
}

export const isKnown = (rows: Rows, at: Cell) => !["", "?"].includes(letterAt(rows, at));

/** Return and number of turns of an episode. */
export async function playEpisode(
  environment: Environment,
  task: unknown,
  players: readonly Player[],
): Promise<{ total: number; turns: number; ended: boolean }> {
  let { state, observations } = await environment.reset(task, 0);
  let [total, turns, ended] = [0, 0, false];
  while (Object.keys(observations).length > 0) {
    const actions: PerAgent<string> = {};
    environment.agents.forEach((agent, i) => {
      actions[agent] = players[i]!(observations[agent]!.text);
    });
    // A state is a JSON value: it goes over the wire between turns.
    const result = await environment.step(task, JSON.parse(JSON.stringify(state)), actions);
    total += result.rewards["agent_1"]!;
    turns++;
    ended = result.terminations["agent_1"]!;
    ({ state, observations } = result);
  }
  return { total, turns, ended };
}
