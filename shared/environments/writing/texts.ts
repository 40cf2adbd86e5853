/**
 * Where the texts of tasks come from: the shipped ones, or a registered data set. Leaves out
 * reading data sets (../data/load.ts).
 */
import { CollmError } from "../../errors.ts";
import { BUILTIN, type DataSet, dataSet, type Row } from "../data/data_set.ts";
import { type Splits, splitsOf } from "../data/splits.ts";
import { shippedAbstracts } from "./shipped/abstracts.ts";
import { shippedPosts } from "./shipped/posts.ts";
import type { WritingId } from "./rules.ts";

/** Columns that a text is read from: the first that a row has. */
const COLUMNS: Readonly<Record<WritingId, readonly string[]>> = {
  tldr: ["prompt", "post", "text"],
  arxiv: ["abstract_text", "abstract", "text"],
};

const SHIPPED: Readonly<Record<WritingId, () => Splits<string>>> = {
  tldr: shippedPosts,
  arxiv: shippedAbstracts,
};

/** Read once per data set: environments are made anew for every request. */
const read = { tldr: new WeakMap(), arxiv: new WeakMap() } satisfies Record<
  WritingId,
  WeakMap<DataSet, Splits<string>>
>;

/**
 * Texts by split.
 * @throws CollmError `not_found` for a data set that this process does not know, `invalid_request`
 * for one whose rows hold no text
 */
export function textsOf(id: WritingId, data: string): Splits<string> {
  if (data === BUILTIN) return SHIPPED[id]();
  const set = dataSet(data);
  let splits = read[id].get(set);
  if (!splits) {
    splits = splitsOf(set.splits, (row, where) => textIn(id, row, where, data), (text) => text);
    read[id].set(set, splits);
  }
  return splits;
}

function textIn(id: WritingId, row: Row, where: string, data: string): string {
  const column = COLUMNS[id].find((name) => Object.hasOwn(row, name));
  const text = column === undefined ? undefined : row[column];
  if (typeof text === "string" && text !== "") return text;
  throw new CollmError(
    "invalid_request",
    `Cannot read data set '${data}' for '${id}': ${where} has no text in column ` +
      `${COLUMNS[id].join(" or ")}, its columns are ${Object.keys(row).join(", ").slice(0, 100)}`,
  );
}
