/**
 * Generated maps: the content of a map alone decides whether it is for training or held out, so
 * that no map is in both. Item ids name the split and the running number. Leaves out drawing.
 */
import { CollmError, suggest } from "../../../errors.ts";
import { seedOf, uniforms } from "../../../random.ts";
import type { SplitInfo } from "../../environment.ts";

const EVAL_SIZES: Readonly<Record<string, number>> = { eval: 64, eval_large: 256 };
/** One map in this many is held out. */
const HELD_OUT = 8;

export const GRID_SPLITS: readonly SplitInfo[] = [
  { name: "train", size: null, description: "Generated maps without end; no held-out one" },
  { name: "eval", size: 64, description: "64 held-out generated maps" },
  { name: "eval_large", size: 256, description: "256 held-out maps; those of `eval` come first" },
];

/**
 * Item of a split; `draw` makes a map from uniform numbers, or nothing where the draw fails.
 * @param kind Id of the environment, start of the item's id.
 * @throws CollmError `not_found` for no such split or index.
 */
export function gridItem<Map>(
  kind: string,
  [width, height]: readonly [width: number, height: number],
  split: string,
  index: number,
  draw: (random: () => number) => Map | undefined,
): { id: string; map: Map } {
  const info = GRID_SPLITS.find(({ name }) => name === split);
  if (!info) {
    const hint = suggest(split, GRID_SPLITS.map(({ name }) => name));
    throw new CollmError("not_found", `Cannot find split '${split}' of '${kind}': ${hint}`);
  }
  const most = info.size ?? Number.MAX_SAFE_INTEGER;
  if (!Number.isSafeInteger(index) || index < 0 || index >= most) {
    throw new CollmError(
      "not_found",
      `Cannot find item ${index} of split '${split}': it has items 0 to ${most - 1}`,
    );
  }
  const held = split !== "train";
  const size = `${width}x${height}`;
  const id = `${kind}_${split}_${size}_${String(index).padStart(held ? 3 : 6, "0")}`;
  for (let attempt = 0; attempt < 10_000; attempt++) {
    const seed = seedOf(kind, size, held ? "held out" : "train", index, attempt);
    const map = draw(uniforms(seed));
    const isHeld = map !== undefined && seedOf("map", JSON.stringify(map)) % HELD_OUT === 0;
    if (map !== undefined && isHeld === held) return { id, map };
  }
  throw new CollmError("internal", `Cannot draw item '${id}': no map of this size fits`);
}

/**
 * Split, size and index of an item id, such as `bridge_build_eval_11x7_007`.
 * @param fits Whether maps of a size are generated.
 * @throws CollmError `not_found`.
 */
export function readGridId(
  kind: string,
  id: string,
  fits: (width: number, height: number) => boolean,
): { split: string; width: number; height: number; index: number } {
  const rest = id.startsWith(`${kind}_`) ? id.slice(kind.length + 1) : "";
  const match = /^(train|eval|eval_large)_([0-9]{1,2})x([0-9]{1,2})_([0-9]{3,15})$/.exec(rest);
  const split = match?.[1] ?? "";
  const digits = split === "train" ? 6 : 3;
  const [width, height, index] = [2, 3, 4].map((group) => Number(match?.[group])) as [
    number,
    number,
    number,
  ];
  const exact = match?.[4] === String(index).padStart(digits, "0") && fits(width, height);
  if (exact && (split === "train" || index < EVAL_SIZES[split]!)) {
    return { split, width, height, index };
  }
  throw new CollmError(
    "not_found",
    `Cannot find item '${id.slice(0, 60)}': ids of '${kind}' look like ${kind}_train_11x7_000123`,
  );
}
