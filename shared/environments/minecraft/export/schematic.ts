/**
 * A world as a `.schem` file (Sponge schematic, version 2), which WorldEdit, Litematica and
 * prismarine-schematic read. Leaves out entities and block states.
 */
import { boxSize, type World } from "../world.ts";
import { blockName } from "./names.ts";
import { encodeNbt, gzip, type Nbt } from "./nbt.ts";

/** Data version of Minecraft 1.20. */
const DATA_VERSION = 3463;

/** Content of a `.schem` file. */
export async function schematic(world: World): Promise<Uint8Array> {
  const [width, height, depth] = boxSize(world.box);
  // Two blocks of the tasks may be one block of the game.
  const names = [...new Set(world.blocks.map(blockName))];
  const index = world.blocks.map((block) => names.indexOf(blockName(block)));
  const data: number[] = [];
  for (let y = 0; y < height; y++) {
    for (let z = 0; z < depth; z++) {
      for (let x = 0; x < width; x++) {
        writeVarint(data, index[world.cells[(z * height + y) * width + x]!]!);
      }
    }
  }
  const palette: Record<string, Nbt> = Object.fromEntries(
    names.map((name, int) => [name, { int }]),
  );
  return await gzip(encodeNbt("Schematic", {
    Version: { int: 2 },
    DataVersion: { int: DATA_VERSION },
    Width: { short: width },
    Height: { short: height },
    Length: { short: depth },
    Offset: { ints: world.box.from },
    PaletteMax: { int: names.length },
    Palette: { compound: palette },
    BlockData: { bytes: Uint8Array.from(data) },
  }));
}

/** Seven bits a byte, the lowest first, the top bit for "more follows". */
function writeVarint(out: number[], value: number): void {
  while (value > 127) {
    out.push((value & 127) | 128);
    value >>>= 7;
  }
  out.push(value);
}
