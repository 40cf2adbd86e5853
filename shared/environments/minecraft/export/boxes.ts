/**
 * A world as few boxes of one block each: every cell that is not air is in exactly one box. Boxes
 * grow along x, then z, then y from the first cell that is not covered yet.
 */
import { type Box, boxSize, type World } from "../world.ts";

export interface SolidBox extends Box {
  block: string;
}

/** Boxes that build the world on air, in any order. */
export function solidBoxes({ box, blocks, cells }: World): SolidBox[] {
  const [width, height, depth] = boxSize(box);
  const covered = new Uint8Array(cells.length);
  const at = (x: number, y: number, z: number) => (z * height + y) * width + x;
  /** Whether all cells of a range hold one block that no box covers. */
  const free = (index: number, x: [number, number], y: [number, number], z: [number, number]) => {
    for (let k = z[0]; k <= z[1]; k++) {
      for (let j = y[0]; j <= y[1]; j++) {
        for (let i = x[0]; i <= x[1]; i++) {
          if (cells[at(i, j, k)] !== index || covered[at(i, j, k)]) return false;
        }
      }
    }
    return true;
  };
  const found: SolidBox[] = [];
  for (let y = 0; y < height; y++) {
    for (let z = 0; z < depth; z++) {
      for (let x = 0; x < width; x++) {
        const index = cells[at(x, y, z)]!;
        if (index === 0 || covered[at(x, y, z)]) continue;
        let [x2, y2, z2] = [x, y, z];
        while (x2 + 1 < width && free(index, [x2 + 1, x2 + 1], [y, y], [z, z])) x2++;
        while (z2 + 1 < depth && free(index, [x, x2], [y, y], [z2 + 1, z2 + 1])) z2++;
        while (y2 + 1 < height && free(index, [x, x2], [y2 + 1, y2 + 1], [z, z2])) y2++;
        for (let k = z; k <= z2; k++) {
          for (let j = y; j <= y2; j++) covered.fill(1, at(x, j, k), at(x2, j, k) + 1);
        }
        const [x0, y0, z0] = box.from;
        found.push({
          from: [x0 + x, y0 + y, z0 + z],
          to: [x0 + x2, y0 + y2, z0 + z2],
          block: blocks[index]!,
        });
      }
    }
  }
  return found;
}
