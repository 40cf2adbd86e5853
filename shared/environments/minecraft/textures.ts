/**
 * Blocks and the texture family each belongs to: two neighbours of one family look alike.
 * Leaves out colours (render.ts).
 */

export const AIR = "air";
/** Palettes of the published StrBuild task, by agent; each agent may write air as well. */
export const PALETTES: readonly (readonly string[])[] = [
  ["oak_planks", "stone"],
  ["white_concrete", "obsidian"],
];

const STONES = new Set(["stone", "cobblestone", "smooth_stone", "stone_bricks"]);

/** `minecraft:stone` and `stone` are the same block. */
export function blockId(name: string): string {
  return name.startsWith("minecraft:") ? name.slice("minecraft:".length) : name;
}

/** Texture family of a block: wood, stone, concrete, or else the block's own name. */
export function textureFamily(block: string): string {
  if (block.endsWith("_planks") || block.endsWith("_wood")) return "wood";
  if (STONES.has(block) || block.endsWith("_stone") || block.endsWith("_stone_bricks")) {
    return "stone";
  }
  return block.endsWith("_concrete") ? "concrete" : block;
}
