/**
 * A world as commands of the game: lines for chat and `.mcfunction` files of data packs, which any
 * vanilla world runs (`/fill` takes up to 32,768 blocks, tasks have fewer). Leaves out the pack
 * around a function file.
 */
import { AIR } from "../textures.ts";
import type { Box, Position, World } from "../world.ts";
import { solidBoxes } from "./boxes.ts";
import { blockName } from "./names.ts";

/**
 * Commands that clear the world's box and build the world, without a leading slash.
 * @param origin Where the world's cell 0 0 0 comes to lie; null: relative to whoever runs them.
 */
export function worldCommands(world: World, origin: Position | null): string[] {
  const cell = (at: Position) =>
    at.map((value, axis) => origin ? String(value + origin[axis]!) : value ? `~${value}` : "~")
      .join(" ");
  const write = ({ from, to }: Box, block: string) =>
    from.join() === to.join()
      ? `setblock ${cell(from)} ${blockName(block)}`
      : `fill ${cell(from)} ${cell(to)} ${blockName(block)}`;
  return [
    write(world.box, AIR),
    ...solidBoxes(world).map((box) => write(box, box.block)),
  ];
}

/** Text of a `.mcfunction` file that builds the world where it is run. */
export function mcfunction(world: World, title: string): string {
  const line = title.replace(/[\r\n]+/g, " ");
  return `# ${line}\n${worldCommands(world, null).join("\n")}\n`;
}
