/**
 * What the agents of a long task know and tell each other. Each has a memory of the map; a message
 * is read by the others on the next turn, and every cell written in it as `x,z` that the sender
 * knows is copied into their memories. Leaves out rewards.
 */
import type { Observation } from "../../environment.ts";
import { chat } from "../building.ts";
import { type Cell, letterAt, type Rows, UNKNOWN, withLetters } from "./grid.ts";

export interface Member {
  at: Cell;
  /** The map as last seen or told. */
  memory: Rows;
  /** Messages of the turn before. */
  heard: { from: string; text: string }[];
}

const MOST_CELLS = 8;

/** Cells written in a message as `x,z`, the first few. */
export function cellsIn(text: string): Cell[] {
  return [...text.matchAll(/(?<![0-9,])([0-9]{1,3}),([0-9]{1,3})(?![0-9,])/g)].slice(0, MOST_CELLS)
    .map((found): Cell => [Number(found[1]), Number(found[2])]);
}

/**
 * Delivers the messages of one turn, one text per member, all at once.
 * @param tellsMore Whether what the sender knows of a cell replaces what the receiver knows.
 * @returns Members with what they heard, and the cells that each message made known to whom.
 */
export function deliver(
  agents: readonly string[],
  members: readonly Member[],
  says: readonly string[],
  tellsMore: (known: string, letter: string) => boolean,
): { members: Member[]; news: { from: number; to: number; at: Cell; letter: string }[] } {
  const news: { from: number; to: number; at: Cell; letter: string }[] = [];
  const told = members.map((member, to): Member => {
    let memory = member.memory;
    says.forEach((text, from) => {
      if (from === to) return;
      for (const at of cellsIn(text)) {
        const letter = letterAt(members[from]!.memory, at);
        if (letter === "" || letter === UNKNOWN) continue;
        if (!tellsMore(letterAt(memory, at), letter)) continue;
        memory = withLetters(memory, [[at, letter]]);
        news.push({ from, to, at, letter });
      }
    });
    const heard = says.flatMap((text, from) =>
      from === to || text === "" ? [] : [{ from: agents[from]!, text }]
    );
    return { at: member.at, memory, heard };
  });
  return { members: told, news };
}

/** The part of a prompt that every long task has: place, known map, messages. */
export function knownText(
  member: Member,
  others: readonly Cell[],
  names: readonly string[],
): string {
  const heard = member.heard.map(({ from, text }) => `${from}: ${text}`);
  const mates = names.map((name, i) => `${name} is at ${others[i]!.join(",")}`);
  return [
    `You are at ${member.at.join(",")}.${mates.length === 0 ? "" : ` ${mates.join(", ")}.`}`,
    `Map, north at the top, x from 0 to the right, z from 0 down:\n${member.memory.join("\n")}`,
    ...(heard.length === 0 ? [] : [`Messages:\n${heard.join("\n")}`]),
  ].join("\n");
}

/** Rules and facts as a chat (paper style), or the facts alone as raw text (compact style). */
export function gridObservation(
  turn: number,
  rules: string,
  facts: string,
  compact: boolean,
): Observation {
  return compact ? { turn, text: `${facts}\n`, messages: null } : chat(turn, rules, facts);
}
