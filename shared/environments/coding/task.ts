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
import { holdsTest, NO_TEST } from "./test_text.ts";

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

/**
 * A task given by value.
 * @param reference As published also without a test.
 * @throws CollmError `invalid_request` for anything but three texts, and for tests that check nothing
 */
export function inlineTask(id: string, input: unknown, reference: boolean): TaskItem<CodingTask> {
  const what = `Cannot read ${id} task`;
  const task = readFields(SCHEMA, input, what, "field");
  if (!reference && !holdsTest(task.test, task.entry_point)) {
    throw new CollmError("invalid_request", `${what}: field 'test' ${NO_TEST}`);
  }
  return { id: `${id}_inline_${task.entry_point}`, task };
}

/**
 * A task of a row: `prompt`, `test`, `entry_point` as HumanEval has them, or MBPP's (mbpp.ts).
 * @throws CollmError `invalid_request` for a row that is neither, or whose tests check nothing
 */
export function taskOfRow(row: Row, where: string): CodingTask {
  const { prompt, test, entry_point } = row;
  const isTask = typeof test === "string" && typeof prompt === "string" &&
    typeof entry_point === "string";
  const task = isTask ? { prompt, test, entry_point } : mbppTask(row);
  const why = !task
    ? "it has neither prompt, test and entry_point nor a test_list that names a function"
    : holdsTest(task.test, task.entry_point)
    ? undefined
    : `its ${isTask ? "test" : "test_list"} ${NO_TEST}`;
  if (task && why === undefined) return task;
  throw new CollmError("invalid_request", `Cannot read coding task of ${where}: ${why}`);
}
