/**
 * Where houses come from. `train` is generated, millions of them; `eval` and `eval_large` are generated
 * from numbers that `train` leaves out, and different numbers give different houses. `paper` holds
 * the ten published houses, which the generator never gives. Leaves out rules and rewards.
 */
import { CollmError, suggest } from "../../../errors.ts";
import { seedOf } from "../../../random.ts";
import type { SplitInfo } from "../../environment.ts";
import { generateHouse, houseCount, type HouseSize, SIDES } from "./generator.ts";
import { INVENTORY, PAPER_HOUSES } from "./paper_houses.ts";
import type { HouseTask } from "./task.ts";

/** The part of a task that a house is. */
export type HouseLayers = Pick<
  HouseTask,
  "local_bbox_from" | "local_bbox_to" | "inventory" | "layers_by_y"
>;

/** Every 16th number is held out. */
const HELD_OUT = 16;
const EVAL_SIZES = { eval: 64, eval_large: 256 } as const;

/** @param sizes Of generated houses: every one of them has so many that all differ. */
export function splitInfos(sizes: readonly HouseSize[]): SplitInfo[] {
  return [
    {
      name: "train",
      size: trainCount(sizes),
      description: "Generated houses, all different; no held-out one",
    },
    { name: "eval", size: EVAL_SIZES.eval, description: "64 held-out generated houses" },
    {
      name: "eval_large",
      size: EVAL_SIZES.eval_large,
      description: "256 held-out generated houses; those of `eval` come first",
    },
    {
      name: "paper",
      size: PAPER_HOUSES.length,
      description: "The 10 houses of the paper, five of them distinct: 8 for training, then " +
        "2 for evaluation",
    },
  ];
}

/** House and id of an item. @throws CollmError `not_found` for no such split or index. */
export function itemHouse(
  split: string,
  index: number,
  sizes: readonly HouseSize[],
): { id: string; house: HouseLayers } {
  const infos = splitInfos(sizes);
  const info = infos.find(({ name }) => name === split);
  if (!info) {
    const hint = suggest(split, infos.map(({ name }) => name));
    throw new CollmError("not_found", `Cannot find split '${split}' of 'house_build': ${hint}`);
  }
  const size = info.size!;
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw new CollmError(
      "not_found",
      `Cannot find item ${index} of split '${split}': it has items 0 to ${size - 1}`,
    );
  }
  if (split === "paper") {
    const { id, layers } = PAPER_HOUSES[index]!;
    return { id, house: asTask(layers) };
  }
  const number = numberOf(split, index);
  return generated(split, index, sizes[seedOf("house_build", "size", number) % sizes.length]!);
}

/** The house of an item id. @throws CollmError `not_found`. */
export function findHouse(id: string): { id: string; house: HouseLayers } {
  const paper = PAPER_HOUSES.find((house) => house.id === id);
  if (paper) return { id, house: asTask(paper.layers) };
  const match =
    /^house_build_(train|eval|eval_large)_([0-9]{1,2}x[0-9]{1,2}x[0-9]{1,2})_([0-9]{3,15})$/
      .exec(id);
  const size = match?.[2]?.split("x").map(Number) as [number, number, number] | undefined;
  if (match && size?.every((side, i) => side >= SIDES.least[i]! && side <= SIDES.greatest)) {
    const [split, index] = [match[1]!, Number(match[3])];
    const most = split === "train" ? trainCount([size]) : EVAL_SIZES[split as "eval"];
    const item = index < most ? generated(split, index, size) : undefined;
    if (item?.id === id) return item;
  }
  throw new CollmError(
    "not_found",
    `Cannot find item '${id.slice(0, 60)}': ids of 'house_build' look like ` +
      "house_build_train_6x7x7_000123, house_build_eval_6x7x7_007, house_build_0101",
  );
}

function generated(split: string, index: number, size: HouseSize) {
  const digits = split === "train" ? 6 : 3;
  const id = `house_build_${split}_${size.join("x")}_${String(index).padStart(digits, "0")}`;
  return { id, house: asTask(generateHouse(size, numberOf(split, index))) };
}

/** Number of the generator: multiples of 16 for evaluation, the others for training. */
function numberOf(split: string, index: number): number {
  if (split !== "train") return index * HELD_OUT;
  return index + Math.floor(index / (HELD_OUT - 1)) + 1;
}

function trainCount(sizes: readonly HouseSize[]): number {
  const numbers = Math.min(...sizes.map(houseCount));
  return numbers - Math.ceil(numbers / HELD_OUT);
}

function asTask(layers: readonly (readonly string[])[]): HouseLayers {
  const [width, height, depth] = [layers[0]![0]!.length, layers.length, layers[0]!.length];
  return {
    local_bbox_from: [0, 0, 0],
    local_bbox_to: [width - 1, height - 1, depth - 1],
    inventory: { ...INVENTORY },
    layers_by_y: Object.fromEntries(layers.map((rows, y) => [String(y), [...rows]])),
  };
}
