/**
 * A flat colour for every block, chosen by us; three shades of it make a cube.
 * Leaves out texture pictures.
 */

const COLOURS: Readonly<Record<string, string>> = {
  oak_planks: "#c79a5b",
  planks: "#c79a5b",
  stone: "#8f959e",
  cobblestone: "#7d838c",
  stone_bricks: "#858b93",
  stone_stairs: "#a3a8af",
  white_concrete: "#f3f4f2",
  obsidian: "#3b2a55",
};

/** Colour of a block as `#rrggbb`; blocks without an entry get a steady colour of their own. */
export function blockColour(block: string): string {
  const known = Object.hasOwn(COLOURS, block) ? COLOURS[block] : undefined;
  if (known) return known;
  let hash = 0;
  for (const letter of block) hash = (Math.imul(hash, 31) + letter.codePointAt(0)!) >>> 0;
  return `#${[0, 8, 16].map((shift) => hex(80 + ((hash >>> shift) & 127))).join("")}`;
}

/** A colour made darker: `factor` 1 keeps it, 0 is black. */
export function shade(colour: string, factor: number): string {
  const channels = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `#${channels.map((value) => hex(Math.round(value * factor))).join("")}`;
}

function hex(value: number): string {
  return value.toString(16).padStart(2, "0");
}
