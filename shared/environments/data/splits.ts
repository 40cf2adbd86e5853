/**
 * Splits of a data set as an environment offers them: `train` and `eval` always, which never share
 * an item, and the source's own. Parts of splits are written as data sets are sliced elsewhere:
 * `train[:1000]`, `test[10%:50%]`, `[0.5:]`. Leaves out what an item is.
 */
import { CollmError, suggest } from "../../errors.ts";
import { seedOf } from "../../random.ts";
import type { Row } from "./data_set.ts";

/** Items by split. */
export type Splits<T> = Readonly<Record<string, readonly T[]>>;

/** What sources call the split that an evaluation takes, best first. */
const HELD_OUT = ["eval", "test", "validation", "val", "dev"];
/** Without a split of its own, every tenth item is held out. */
const HELD_OUT_IN = 10;

/**
 * Splits of a source. Its own splits as they are, with `eval` for its test or validation split.
 * A single split becomes `all`, and is divided by a hash of `keyOf`, so that items of one key are
 * on one side: nine tenths `train`, one tenth `eval`.
 */
export function splitsOf<T>(
  given: Readonly<Record<string, readonly Row[]>>,
  read: (row: Row, where: string) => T,
  keyOf: (item: T) => string,
): Splits<T> {
  const splits = Object.fromEntries(
    Object.entries(given).map(([name, rows]) => [
      name,
      rows.map((row, i) => read(row, `row ${i} of split '${name}'`)),
    ]),
  );
  const names = Object.keys(splits);
  if (names.length > 1) {
    const heldOut = HELD_OUT.find((name) => names.includes(name)) ?? names.at(-1)!;
    const train = names.includes("train") ? "train" : names.find((name) => name !== heldOut)!;
    return { ...splits, train: splits[train]!, eval: splits[heldOut]! };
  }
  const all = splits[names[0]!] ?? [];
  const heldOut = all.map((item) => seedOf("held out", keyOf(item)) % HELD_OUT_IN === 0);
  return {
    train: all.filter((_, i) => !heldOut[i]),
    eval: all.filter((_, i) => heldOut[i]),
    all,
    // A lone test split is known by its name too: so are its parts cited.
    ...names.length === 1 && names[0] !== "eval" && HELD_OUT.includes(names[0]!) && splits,
  };
}

const PART = /^([A-Za-z0-9_.-]*)(?:\[([0-9.%]{0,16}):([0-9.%]{0,16})\])?$/;

/**
 * Items of a split or of a part of one, such as `train[:1000]`. Bounds are whole numbers, per
 * cents, or fractions with a point; those of nothing are the ends.
 * @throws CollmError `not_found` for no such split, `invalid_request` for another spelling
 */
export function partOf<T>(splits: Splits<T>, part: string, what: string): readonly T[] {
  const match = PART.exec(part);
  if (!match) {
    throw new CollmError(
      "invalid_request",
      `Cannot read split '${
        part.slice(0, 60)
      }' of ${what}: it must look like train or train[:1000]`,
    );
  }
  const name = match[1] || Object.keys(splits)[0]!;
  if (!Object.hasOwn(splits, name)) {
    throw new CollmError(
      "not_found",
      `Cannot find split '${name.slice(0, 60)}' of ${what}: ${
        suggest(name.slice(0, 60), Object.keys(splits))
      }`,
    );
  }
  const items = splits[name]!;
  if (match[2] === undefined) return items;
  const bound = (text: string | undefined, end: number) => {
    if (!text) return end;
    const value = Number(text.replace(/%$/, ""));
    const fraction = text.endsWith("%") ? value / 100 : text.includes(".") ? value : undefined;
    const index = fraction === undefined ? value : Math.round(fraction * items.length);
    if (Number.isSafeInteger(index) && (fraction === undefined || fraction <= 1)) return index;
    throw new CollmError(
      "invalid_request",
      `Cannot read split '${part.slice(0, 60)}' of ${what}: '${text}' is no index, no per cent ` +
        "and no fraction",
    );
  };
  return items.slice(bound(match[2], 0), bound(match[3], items.length));
}
