/**
 * Items of the coding environments: the small set of our own, or a data set that the process was
 * started with (HumanEval, CoopHumanEval, MBPP or others of their form).
 */
import { CollmError } from "../../errors.ts";
import { BUILTIN, type DataSet, dataSet } from "../data/data_set.ts";
import { partOf, type Splits, splitsOf } from "../data/splits.ts";
import type { SplitInfo, TaskItem } from "../environment.ts";
import { SMALL_SET } from "./small_set.ts";
import { type CodingTask, taskOfRow } from "./task.ts";

export interface Source {
  data: string;
  train_split: string | null;
  eval_split: string | null;
}

const read = new WeakMap<DataSet, Splits<CodingTask>>();

/** Tasks by split. @throws CollmError `not_found` for a data set that was not registered */
export function tasksOf({ data, train_split, eval_split }: Source): Splits<CodingTask> {
  const own = data === BUILTIN ? SMALL_SET : ofDataSet(dataSet(data));
  const what = `data set '${data}'`;
  return {
    ...own,
    ...train_split !== null && { train: partOf(own, train_split, what) },
    ...eval_split !== null && { eval: partOf(own, eval_split, what) },
  };
}

function ofDataSet(set: DataSet): Splits<CodingTask> {
  let splits = read.get(set);
  if (!splits) {
    splits = splitsOf(set.splits, taskOfRow, (task) => task.prompt);
    read.set(set, splits);
  }
  return splits;
}

/** Item of a split by its index. @throws CollmError `not_found` */
export function itemOf(
  id: string,
  splits: Splits<CodingTask>,
  split: string,
  index: number,
): TaskItem<CodingTask> {
  const tasks = partOf(splits, split, `'${id}'`);
  const task = Number.isSafeInteger(index) ? tasks[index] : undefined;
  if (task) return { id: `${id}_${split}_${String(index).padStart(6, "0")}`, task };
  throw new CollmError(
    "not_found",
    `Cannot find item ${index} of split '${split}' of '${id}': it has ${tasks.length} items`,
  );
}

/** Item by its id. @throws CollmError `not_found` */
export function findItem(
  id: string,
  splits: Splits<CodingTask>,
  name: string,
): TaskItem<CodingTask> {
  const match = name.length <= 200 ? /^([a-z]+)_(.+)_([0-9]{6,12})$/.exec(name) : null;
  const found = match?.[1] === id ? itemOf(id, splits, match[2]!, Number(match[3])) : undefined;
  if (found?.id === name) return found;
  throw new CollmError(
    "not_found",
    `Cannot find item '${name.slice(0, 60)}': ids of '${id}' look like ${id}_train_000012`,
  );
}

export function splitInfos(data: string, splits: Splits<CodingTask>): SplitInfo[] {
  const source = data === BUILTIN ? "Small tasks of two steps" : `Tasks of data set '${data}'`;
  return Object.entries(splits).map(([name, tasks]) => (
    { name, size: tasks.length, description: `${source}, split ${name}` }
  ));
}
