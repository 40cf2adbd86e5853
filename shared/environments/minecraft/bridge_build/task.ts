/**
 * The map of BridgeBuild: banks, water and pillars of two kinds that look alike. Generated maps
 * can always be bridged without touching a false pillar.
 * Leaves out what happens on them (play.ts).
 */
import { z } from "../../../../deps.ts";
import { CollmError } from "../../../errors.ts";
import { integerBelow, seedOf, shuffle } from "../../../random.ts";
import type { TaskItem } from "../../environment.ts";
import { readFields, show } from "../../options.ts";
import {
  beside,
  type Cell,
  cellsOf,
  cellsWith,
  letterAt,
  reach,
  reachable,
  withLetters,
} from "../grid/grid.ts";

export interface BridgeTask {
  /**
   * Rows from the north: `#` land, `.` water, `S` and `T` the banks' ends that the bridge must join,
   * `Y` true pillars, `N` false ones.
   */
  map: string[];
}

/** Letters that can be walked on; `=` is a block of the bridge. */
export const WALKABLE = "#ST=";
const PILLARS = { true: [2, 3], false: [2, 3] } as const;

/** A map of a size, or nothing where the drawn pillars leave no way. */
export function drawBridgeMap(
  width: number,
  height: number,
  random: () => number,
): string[] | undefined {
  const water = `#${".".repeat(width - 2)}#`;
  let rows: string[] = Array.from({ length: height }, () => water);
  rows = withLetters(rows, [
    [[0, integerBelow(random, height)], "S"],
    [[width - 1, integerBelow(random, height)], "T"],
  ]);
  const pillars: Cell[] = [];
  const wanted = [PILLARS.true, PILLARS.false].map(([least, most]) =>
    least + integerBelow(random, most - least + 1)
  );
  for (const at of shuffle(cellsWith(rows, "."), random)) {
    if (pillars.length === wanted[0]! + wanted[1]!) break;
    if (pillars.every((other) => reach(at, other) >= 2)) pillars.push(at);
  }
  rows = withLetters(rows, pillars.map((at, i) => [at, i < wanted[0]! ? "Y" : "N"] as const));
  return canBeBridged(rows) ? rows : undefined;
}

/** Whether S, T and all true pillars can be joined without a block beside a false pillar. */
export function canBeBridged(rows: readonly string[]): boolean {
  const safe = (at: Cell) =>
    letterAt(rows, at) === "." && beside(rows, at).every((next) => letterAt(rows, next) !== "N");
  const way = reachable(
    rows,
    cellsWith(rows, "S"),
    (at) => WALKABLE.includes(letterAt(rows, at)) || safe(at),
  );
  return cellsWith(rows, "T").every((at) => way.has(at.join())) &&
    cellsWith(rows, "Y").every((at) =>
      beside(rows, at).some((next) => safe(next) && way.has(next.join()))
    );
}

/** A task given by value, `{"map": [rows]}`. @throws CollmError `invalid_request`. */
export function inlineBridgeTask(input: unknown): TaskItem<BridgeTask> {
  const what = "Cannot read BridgeBuild task";
  const row = z.string().regex(/^[#.STYN]{2,32}$/, "rows are letters # . S T Y N, at most 32");
  const { map } = readFields(z.object({ map: z.array(row).min(1).max(32) }), input, what, "field");
  const refuse = (reason: string) => {
    throw new CollmError("invalid_request", `${what}: field 'map' is ${show(map)}: ${reason}`);
  };
  if (map.some(({ length }) => length !== map[0]!.length)) refuse("rows differ in length");
  for (const letter of "ST") {
    const count = cellsOf(map).filter((at) => letterAt(map, at) === letter).length;
    if (count !== 1) refuse(`it has ${count} ${letter} instead of one`);
  }
  const hash = seedOf(...map).toString(16).padStart(8, "0");
  return { id: `bridge_build_map_${hash}`, task: { map } };
}
