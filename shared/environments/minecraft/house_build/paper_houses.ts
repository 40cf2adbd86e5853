/**
 * The ten published houses as data: 6 by 7 by 7 cells, one storey and a roof. Only five are
 * distinct, because several share a roof; every one has the same storey.
 * A layer is its rows from z = 0 on, a row its cells from x = 0 on.
 */

/** Letters of the layers. */
export const INVENTORY: Readonly<Record<string, string>> = {
  C: "white_concrete",
  O: "obsidian",
  S: "stone_stairs",
  B: "stone_bricks",
  D: "planks",
  A: "air",
};

/** Blocks that every agent may write in the published task, beside air. */
export const HOUSE_BLOCKS: readonly string[] = [
  "white_concrete",
  "obsidian",
  "stone_stairs",
  "stone_bricks",
  "planks",
];

const EMPTY = "AAAAAA";
const SOLID = "BBBBBB";
const STAIRS = "SSSSSS";

/** Layers y = 0 to 4: floor, walls with a door, windows in none, and the eaves. */
const STOREY: readonly (readonly string[])[] = [
  [EMPTY, ...Array<string>(5).fill("CCCCCC"), EMPTY],
  [EMPTY, "OCDDCO", "CAAAAC", "CAAAAC", "CAAAAC", "OCCCCO", EMPTY],
  [EMPTY, "OCAACO", "CAAAAC", "CAAAAC", "CAAAAC", "OCCCCO", EMPTY],
  [EMPTY, "OCCCCO", "CAAAAC", "CAAAAC", "CAAAAC", "OCCCCO", EMPTY],
  [STAIRS, ...Array<string>(5).fill(SOLID), STAIRS],
];

const everyRow = (row: string): string[] => Array<string>(7).fill(row);

/** Layers y = 5 and 6. */
const ROOFS = {
  steps: [
    [EMPTY, STAIRS, SOLID, SOLID, SOLID, STAIRS, EMPTY],
    [EMPTY, EMPTY, STAIRS, SOLID, STAIRS, EMPTY, EMPTY],
  ],
  block: [everyRow(SOLID), everyRow(SOLID)],
  ridge: [
    [EMPTY, EMPTY, STAIRS, SOLID, STAIRS, EMPTY, EMPTY],
    [EMPTY, EMPTY, EMPTY, SOLID, EMPTY, EMPTY, EMPTY],
  ],
  gable: [everyRow("SSBBSS"), everyRow("ASBBSA")],
  hip: [
    [EMPTY, "ASSSSA", "ASBBSA", "ASBBSA", "ASBBSA", "ASSSSA", EMPTY],
    [EMPTY, EMPTY, "AASSAA", "AABBAA", "AASSAA", EMPTY, EMPTY],
  ],
} satisfies Record<string, string[][]>;

/** Published number and roof: eight for training, then two for evaluation. */
const NUMBERS: readonly (readonly [number: string, roof: keyof typeof ROOFS])[] = [
  ["0002", "steps"],
  ["0101", "block"],
  ["0102", "block"],
  ["0103", "block"],
  ["0104", "ridge"],
  ["0105", "ridge"],
  ["0106", "gable"],
  ["0107", "gable"],
  ["0108", "hip"],
  ["0109", "hip"],
];

/** Item ids with the layers from y = 0 up, in published order. */
export const PAPER_HOUSES: readonly { id: string; layers: readonly (readonly string[])[] }[] =
  NUMBERS.map(([number, roof]) => ({
    id: `house_build_${number}`,
    layers: [...STOREY, ...ROOFS[roof]],
  }));
