/**
 * A coding task: a problem's text up to the function to be written, its tests and its name.
 * Leaves out where tasks come from (tasks.ts).
 */
import { z } from "../../../deps.ts";
import { CollmError } from "../../errors.ts";
import type { Row } from "../data/data_set.ts";
import type { TaskItem } from "../environment.ts";
import { readFields } from "../options.ts";
import { mbppTask } from "./mbpp.ts";

export interface CodingTask {
  /** Python text that ends with the head and docstring of the wanted function. */
  prompt: string;
  /** Python text with `check(candidate)` or plain asserts. */
  test: string;
  /** Name of the wanted function. */
  entry_point: string;
}

const text = z.string().max(100_000);
const SCHEMA = z.object({
  prompt: text,
  test: text,
  entry_point: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, "it must be a name of Python"),
});

/** A task given by value. @throws CollmError `invalid_request` for anything but three texts. */
export function inlineTask(id: string, input: unknown): TaskItem<CodingTask> {
  const task = readFields(SCHEMA, input, `Cannot read ${id} task`, "field");
  return { id: `${id}_inline_${task.entry_point}`, task };
}

/**
 * A task of a row: `prompt`, `test`, `entry_point` as HumanEval has them, or MBPP's (mbpp.ts).
 * @throws CollmError `invalid_request` for a row that is neither.
 */
export function taskOfRow(row: Row, where: string): CodingTask {
  const { prompt, test, entry_point } = row;
  if (typeof test === "string" && typeof prompt === "string" && typeof entry_point === "string") {
    return { prompt, test, entry_point };
  }
  const task = mbppTask(row);
  if (task) return task;
  throw new CollmError(
    "invalid_request",
    `Cannot read coding task of ${where}: it has neither prompt, test and entry_point nor a ` +
      "test_list that names a function",
  );
}
