/**
 * Names that a Minecraft of today (1.20) knows the tasks' blocks by. The published houses mix names
 * of several versions: `planks` is older than 1.13. Leaves out block states.
 */
const ALIASES: Readonly<Record<string, string>> = { planks: "oak_planks", log: "oak_log" };

/** Namespaced block id, such as `minecraft:oak_planks`. */
export function blockName(block: string): string {
  return `minecraft:${ALIASES[block] ?? block}`;
}
