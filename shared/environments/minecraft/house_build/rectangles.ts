/**
 * Layers as rectangles, the way prompts show a house: runs of one block along x, merged along z
 * while the same run goes on. Each can be written as one `/fill`.
 */
import { boxSize } from "../world.ts";
import type { House } from "./task.ts";

/** Cells of one layer: both corners belong to it. */
export interface Rectangle {
  y: number;
  x1: number;
  z1: number;
  x2: number;
  z2: number;
  block: string;
}

const ready = new WeakMap<House, readonly Rectangle[]>();

/** All rectangles of a house, air as well, by layer, then their last z, then x. */
export function rectangles(house: House): readonly Rectangle[] {
  let found = ready.get(house);
  if (!found) ready.set(house, found = findRectangles(house));
  return found;
}

/** Number of cells. */
export function area({ x1, z1, x2, z2 }: Rectangle): number {
  return (x2 - x1 + 1) * (z2 - z1 + 1);
}

function findRectangles({ box, blocks, cells }: House): Rectangle[] {
  const [width, height, depth] = boxSize(box);
  const [x0, y0, z0] = box.from;
  const found: Rectangle[] = [];
  for (let y = 0; y < height; y++) {
    let open: Rectangle[] = [];
    for (let z = 0; z < depth; z++) {
      const row = (z * height + y) * width;
      const next: Rectangle[] = [];
      for (let start = 0, x = 1; x <= width; x++) {
        if (x < width && cells[row + x] === cells[row + start]) continue;
        const [x1, x2, block] = [x0 + start, x0 + x - 1, blocks[cells[row + start]!]!];
        let run = open.find((r) => r.x1 === x1 && r.x2 === x2 && r.block === block);
        if (run) run.z2 = z0 + z;
        else found.push(run = { y: y0 + y, x1, z1: z0 + z, x2, z2: z0 + z, block });
        next.push(run);
        start = x;
      }
      open = next;
    }
  }
  return found.sort((a, b) => a.y - b.y || a.z2 - b.z2 || a.x1 - b.x1);
}
