/**
 * Flat maps seen from above for the long tasks: rows of one letter per cell, north at the top.
 * x grows to the east (columns), z to the south (rows). Maps are values; changes give new ones.
 * Leaves out what letters mean.
 */

export type Cell = readonly [x: number, z: number];
/** Row z, column x. */
export type Rows = readonly string[];

/** A cell that an agent has never seen. */
export const UNKNOWN = "?";

const STEPS: Readonly<Record<string, Cell>> = { N: [0, -1], E: [1, 0], S: [0, 1], W: [-1, 0] };

/** Letter of a cell; empty outside the map. */
export function letterAt(rows: Rows, [x, z]: Cell): string {
  return rows[z]?.[x] ?? "";
}

/** A copy with other letters in some cells. */
export function withLetters(rows: Rows, changes: Iterable<readonly [Cell, string]>): string[] {
  const copy = [...rows];
  for (const [[x, z], letter] of changes) {
    const row = copy[z]!;
    copy[z] = row.slice(0, x) + letter + row.slice(x + 1);
  }
  return copy;
}

/** Steps of a king from one cell to another: the measure of sight and reach. */
export function reach(a: Cell, b: Cell): number {
  return Math.max(Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1]));
}

/** The up to four cells of the map beside a cell. */
export function beside(rows: Rows, [x, z]: Cell): Cell[] {
  return Object.values(STEPS).map(([dx, dz]): Cell => [x + dx, z + dz])
    .filter((at) => letterAt(rows, at) !== "");
}

/** All cells of a map, row by row. */
export function cellsOf(rows: Rows): Cell[] {
  return rows.flatMap((row, z) => Array.from(row, (_, x): Cell => [x, z]));
}

/** Cells with one of some letters, row by row. */
export function cellsWith(rows: Rows, letters: string): Cell[] {
  return cellsOf(rows).filter((at) => letters.includes(letterAt(rows, at)));
}

/** The memory of somebody who looks around: cells within `view` as they are, others unchanged. */
export function look(
  memory: Rows,
  from: Cell,
  view: number,
  letter: (at: Cell) => string,
): string[] {
  const seen = cellsOf(memory).filter((at) => reach(from, at) <= view);
  return withLetters(memory, seen.map((at) => [at, letter(at)] as const));
}

/** Cells that can be walked to from some of them, themselves included where passable. */
export function reachable(rows: Rows, starts: readonly Cell[], passable: (at: Cell) => boolean) {
  const found = new Map<string, Cell>();
  const open = starts.filter(passable);
  for (let at = open.pop(); at; at = open.pop()) {
    if (found.has(at.join())) continue;
    found.set(at.join(), at);
    open.push(...beside(rows, at).filter(passable));
  }
  return found;
}

/** End of a walk along the letters N, E, S, W: it stops before the first cell it cannot enter. */
export function walk(from: Cell, path: string, passable: (at: Cell) => boolean): Cell {
  let at = from;
  for (const letter of path) {
    const [dx, dz] = STEPS[letter]!;
    const next: Cell = [at[0] + dx, at[1] + dz];
    if (!passable(next)) break;
    at = next;
  }
  return at;
}
