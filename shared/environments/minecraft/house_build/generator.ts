/**
 * Houses without end: a number to a house, different numbers to different houses. A house is a
 * floor, walls with corner posts, a door and windows, and a roof, in the published five blocks.
 * No house has white walls with obsidian posts, as every published one has, so none of those is
 * ever generated. Leaves out which number an item has (splits.ts).
 */
import { seedOf } from "../../../random.ts";
import { HOUSE_BLOCKS, INVENTORY } from "./paper_houses.ts";

/** Cells along x, y and z. */
export type HouseSize = readonly [width: number, height: number, depth: number];

/** Least and greatest sides of a generated house; five wide, so that a door is not the wall. */
export const SIDES = { least: [5, 3, 3], greatest: 12 } as const;

/** Choices that change how many other choices there are. */
interface Frame {
  size: HouseSize;
  /** Rows by which the roof stands out at the front and at the back. */
  eaves: 0 | 1;
  /** Layer below the roof. */
  wallTop: number;
  roof: Roof;
}

type Roof = "flat" | "solid" | "hip" | "gable" | "side_gable";
const ROOFS: readonly Roof[] = ["flat", "solid", "hip", "gable", "side_gable"];
/** Cells by which each layer of a roof is smaller on every side, along x and z. */
const INSETS: Readonly<Record<Exclude<Roof, "flat">, readonly [x: number, z: number]>> = {
  solid: [0, 0],
  hip: [1, 1],
  gable: [0, 1],
  side_gable: [1, 0],
};

const [WHITE, OBSIDIAN] = ["white_concrete", "obsidian"];
/** Walls and corner posts. */
const WALLS = HOUSE_BLOCKS.flatMap((wall) => HOUSE_BLOCKS.map((post) => ({ wall, post })))
  .filter(({ wall, post }) => !(wall === WHITE && post === OBSIDIAN));
const LETTER_OF = new Map(Object.entries(INVENTORY).map(([letter, block]) => [block, letter]));
const frames = new Map<string, Frame[]>();

/** Number of different houses that every frame of a size has at least. */
export function houseCount(size: HouseSize): number {
  return Math.min(...framesOf(size).map(choices));
}

/**
 * Layers of house `number` of a size, from the bottom; numbers below `houseCount` give different
 * houses.
 */
export function generateHouse(size: HouseSize, number: number): string[][] {
  const options = framesOf(size);
  const frame = options[seedOf("house_build", "frame", number) % options.length]!;
  return draw(frame, scatter(number, choices(frame)));
}

function framesOf(size: HouseSize): Frame[] {
  const key = size.join("x");
  let found = frames.get(key);
  if (!found) frames.set(key, found = listFrames(size));
  return found;
}

function listFrames(size: HouseSize): Frame[] {
  const [, height, depth] = size;
  const list: Frame[] = [];
  // Under eaves the walls still enclose something.
  for (const eaves of depth >= 5 ? [0, 1] as const : [0] as const) {
    for (let wallTop = Math.max(1, Math.floor(height / 3)); wallTop <= height - 2; wallTop++) {
      // Roofs of one layer all look the same.
      const roofs = height - 2 - wallTop > 0 ? ROOFS : ROOFS.slice(0, 1);
      for (const roof of roofs) list.push({ size, eaves, wallTop, roof });
    }
  }
  return list;
}

/** Cells of the three walls without the door where a window may be. */
function windowCells({ size: [width, , depth], eaves }: Frame): number {
  return (width - 2) + 2 * (depth - 2 * eaves - 2);
}

function choices(frame: Frame): number {
  const { length } = HOUSE_BLOCKS;
  return length ** 4 * WALLS.length * (frame.size[0] - 2) * 2 ** windowCells(frame);
}

/** A fixed shuffling of the numbers below `size` (a Feistel network that walks until it is in). */
function scatter(number: number, size: number): number {
  const half = 2 ** Math.ceil(Math.log2(size) / 2);
  let value = number;
  do {
    let [left, right] = [Math.floor(value / half), value % half];
    for (let round = 0; round < 4; round++) {
      [left, right] = [right, (left + seedOf("house_build", round, right)) % half];
    }
    value = left * half + right;
  } while (value >= size);
  return value;
}

/** Each choice is read off the number in turn and can be seen in the house. */
function draw(frame: Frame, number: number): string[][] {
  const { size: [width, height, depth], eaves, wallTop, roof } = frame;
  let rest = number;
  const choose = <T>(items: readonly T[]): T => {
    const item = items[rest % items.length]!;
    rest = Math.floor(rest / items.length);
    return item;
  };
  const floor = choose(HOUSE_BLOCKS);
  const { wall, post } = choose(WALLS);
  const door = choose(["air", ...HOUSE_BLOCKS.filter((block) => block !== wall)]);
  const [roofBlock, trim] = [choose(HOUSE_BLOCKS), choose(HOUSE_BLOCKS)];
  const doorX = 1 + choose(Array.from({ length: width - 2 }, (_, i) => i));
  const windows = Array.from({ length: windowCells(frame) }, () => choose([false, true]));

  const layers = Array.from(
    { length: height },
    () => Array.from({ length: depth }, () => Array<string>(width).fill("air")),
  );
  const set = (x: number, y: number, z: number, block: string) => layers[y]![z]![x] = block;
  const [front, back] = [eaves, depth - 1 - eaves];
  for (let x = 0; x < width; x++) {
    for (let z = front; z <= back; z++) {
      set(x, 0, z, floor);
      const [side, end] = [x === 0 || x === width - 1, z === front || z === back];
      for (let y = 1; y <= wallTop; y++) {
        if (side || end) set(x, y, z, side && end ? post : wall);
      }
    }
  }
  for (let y = 1; y <= Math.min(2, wallTop); y++) set(doorX, y, front, door);
  const windowY = Math.min(2, wallTop);
  let next = 0;
  for (let x = 1; x < width - 1; x++) if (windows[next++]) set(x, windowY, back, "air");
  for (const x of [0, width - 1]) {
    for (let z = front + 1; z < back; z++) if (windows[next++]) set(x, windowY, z, "air");
  }
  const [insetX, insetZ] = roof === "flat" ? [width, depth] : INSETS[roof];
  for (let step = 0; wallTop + 1 + step < height; step++) {
    const [x1, z1] = [step * insetX, step * insetZ];
    const [x2, z2] = [width - 1 - x1, depth - 1 - z1];
    for (let x = x1; x <= x2; x++) {
      for (let z = z1; z <= z2; z++) {
        const rim = x === x1 || x === x2 || z === z1 || z === z2;
        set(x, wallTop + 1 + step, z, rim ? trim : roofBlock);
      }
    }
  }
  return layers.map((layer) => layer.map((row) => row.map((b) => LETTER_OF.get(b)!).join("")));
}
