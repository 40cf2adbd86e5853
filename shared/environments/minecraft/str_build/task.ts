/**
 * The task: a word, set in 5 by 5 letters on a wall of air, that two agents build together.
 * Coordinates: x to the right from 0, y up from 0 (the top row of a letter is y = 4), z = 0.
 * Leaves out where words come from (splits.ts).
 */
import { z } from "../../../../deps.ts";
import { readFields } from "../../options.ts";
import type { TaskItem } from "../../environment.ts";
import { GLYPH_SIZE, textRows } from "../font.ts";
import { maxCommands } from "../limits.ts";
import { PALETTES } from "../textures.ts";
import { type Box, type Position, positions } from "../world.ts";

export interface StrBuildTask {
  /** 1 to 8 capital letters. */
  word: string;
  /** Most commands of the whole team in one turn. */
  max_commands: number;
}

/** Where the blocks of a word belong. */
export interface Target {
  word: string;
  width: number;
  box: Box;
  /** Rows from the top, '#' for a block. */
  rows: string[];
  /** Target cells by x, then y, ascending: the order of the compact prompt. */
  cells: Position[];
  /** 1 for a target cell, in the cell order of worlds. */
  wanted: Uint8Array;
}

/** Targets of the words that were asked for last; their number is bounded. */
const ready = new Map<string, Target>();
const MOST_READY = 1024;

/** Target of a word; lower case is set as capitals, other characters as blanks. */
export function targetOf(word: string): Target {
  let target = ready.get(word);
  if (!target) {
    if (ready.size >= MOST_READY) ready.clear();
    ready.set(word, target = makeTarget(word));
  }
  return target;
}

function makeTarget(word: string): Target {
  const rows = textRows(word);
  const width = rows[0]!.length;
  const target: Target = {
    word,
    width,
    box: { from: [0, 0, 0], to: [width - 1, GLYPH_SIZE - 1, 0] },
    rows,
    cells: [],
    wanted: Uint8Array.from([...rows].reverse().join(""), (cell) => Number(cell === "#")),
  };
  target.cells = [...positions(target.box)].filter((at) => isTarget(target, at)).sort(byXThenY);
  return target;
}

/** Target cells of a word by x, then y, ascending. */
export function targetCells(word: string): Position[] {
  return targetOf(word).cells;
}

/** Whether a block belongs at a cell of the wall. */
export function isTarget({ rows }: Target, [x, y]: Position): boolean {
  return rows[GLYPH_SIZE - 1 - y]?.[x] === "#";
}

/** Blocks of each agent (air not listed). */
export function palettes(agents: number): readonly (readonly string[])[] {
  return PALETTES.slice(0, agents);
}

/**
 * A task given by value, such as `{"word":"ICML","max_commands":300}`.
 * @throws CollmError `invalid_request` for anything but 1 to 8 letters A to Z and a sane limit.
 */
export function inlineTask(input: unknown, defaultMaxCommands: number): TaskItem<StrBuildTask> {
  const what = "Cannot read StrBuild task";
  const schema = z.object({
    word: z.string().regex(/^[A-Z]{1,8}$/, "it must be 1 to 8 letters A-Z"),
    max_commands: maxCommands.default(defaultMaxCommands),
  });
  const task = readFields(schema, input, what, "field");
  return { id: `str_build_word_${task.word}_${task.max_commands}`, task };
}

function byXThenY(a: Position, b: Position): number {
  return a[0] - b[0] || a[1] - b[1];
}
