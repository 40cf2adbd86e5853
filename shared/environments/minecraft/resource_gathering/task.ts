/**
 * The map of ResourceGathering: ground, rocks and deposits of wood, stone and iron, and what the
 * team has to bring together. Generated maps let both agents reach every deposit.
 * Leaves out what happens on them (play.ts).
 */
import { z } from "../../../../deps.ts";
import { CollmError } from "../../../errors.ts";
import { integerBelow, seedOf, shuffle } from "../../../random.ts";
import type { TaskItem } from "../../environment.ts";
import { readFields, show } from "../../options.ts";
import { type Cell, cellsWith, letterAt, reach, reachable, withLetters } from "../grid/grid.ts";

export interface GatheringTask {
  /** Rows from the north: `.` ground, `#` rock, `W` wood, `S` stone, `I` iron. */
  map: string[];
  /** Where each agent begins, on ground. */
  starts: [Cell, Cell];
  /** Units in every deposit. */
  units: number;
  /** Units to be gathered, by letter. */
  goal: Record<Resource, number>;
}

export const RESOURCES = ["W", "S", "I"] as const;
export type Resource = typeof RESOURCES[number];
/** Deposits that each agent's tool works on. */
export const TOOLS: readonly string[] = ["W", "SI"];
/** Steps of a king between an agent and a deposit that it gathers from, at most. */
export const RANGE = 2;

const DEPOSITS = { W: 3, S: 2, I: 2 } as const;
const UNITS = 2;
const GOAL = { W: 4, S: 2, I: 2 } as const;
const ROCKS = 0.1;

/** A map of a size, or nothing where a deposit cannot be reached. */
export function drawGatheringTask(
  width: number,
  height: number,
  random: () => number,
): GatheringTask | undefined {
  let map: string[] = Array.from({ length: height }, () => ".".repeat(width));
  const middle: Cell = [integerBelow(random, width - 2) + 1, integerBelow(random, height - 2) + 1];
  const starts: [Cell, Cell] = [middle, [middle[0] - 1, middle[1]]];
  const free = shuffle(cellsWith(map, ".").filter((at) => reach(at, middle) > 1), random);
  const letters = [
    ...RESOURCES.flatMap((letter) => Array<string>(DEPOSITS[letter]).fill(letter)),
    ...Array<string>(Math.round(ROCKS * width * height)).fill("#"),
  ];
  if (letters.length > free.length) return undefined;
  map = withLetters(map, letters.map((letter, i) => [free[i]!, letter] as const));
  const way = reachable(map, [middle], (at) => letterAt(map, at) === ".");
  const allReached = cellsWith(map, "WSI").every((deposit) =>
    [...way.values()].some((at) => reach(at, deposit) <= RANGE)
  );
  return allReached ? { map, starts, units: UNITS, goal: { ...GOAL } } : undefined;
}

/**
 * A task given by value: `{"map", "starts", "units", "goal"}`, all but the map optional.
 * @throws CollmError `invalid_request`.
 */
export function inlineGatheringTask(input: unknown): TaskItem<GatheringTask> {
  const what = "Cannot read ResourceGathering task";
  const row = z.string().regex(/^[.#WSI]{2,32}$/, "rows are letters . # W S I, at most 32");
  const cell = z.tuple([z.int().min(0).max(31), z.int().min(0).max(31)]);
  const units = z.int().min(0).max(99);
  const given = readFields(
    z.object({
      map: z.array(row).min(1).max(32),
      starts: z.tuple([cell, cell]).optional(),
      units: units.default(UNITS),
      goal: z.strictObject({ W: units, S: units, I: units }).default({ ...GOAL }),
    }),
    input,
    what,
    "field",
  );
  const refuse = (field: string, value: unknown, reason: string): never => {
    throw new CollmError(
      "invalid_request",
      `${what}: field '${field}' is ${show(value)}: ${reason}`,
    );
  };
  const { map, goal } = given;
  if (map.some(({ length }) => length !== map[0]!.length)) {
    refuse("map", map, "rows differ in length");
  }
  const ground = cellsWith(map, ".");
  const starts = given.starts ??
    (ground.length > 1 ? [ground[0]!, ground[1]!] : refuse("map", map, "it has too little ground"));
  if (starts.some((at) => letterAt(map, at) !== ".")) refuse("starts", starts, "not on ground");
  for (const letter of RESOURCES) {
    const there = given.units * cellsWith(map, letter).length;
    if (goal[letter] > there) refuse("goal", goal, `the map has ${there} units of ${letter}`);
  }
  if (RESOURCES.every((letter) => goal[letter] === 0)) refuse("goal", goal, "nothing is asked for");
  const task: GatheringTask = { map, starts, units: given.units, goal };
  const hash = seedOf(JSON.stringify(task)).toString(16).padStart(8, "0");
  return { id: `resource_gathering_map_${hash}`, task };
}
