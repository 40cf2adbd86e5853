/**
 * A coding task: a problem's text up to the function to be written, its tests and its name.
 * Leaves out where tasks come from (tasks.ts).
 */
import { z } from "../../../deps.ts";
import { CollmError } from "../../errors.ts";
import type { Row } from "../data/data_set.ts";
import type { TaskItem } from "../environment.ts";
import { readFields } from "../options.ts";

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
 * A task of a row: `prompt`, `test`, `entry_point` as HumanEval has them, or MBPP's `prompt` (or
 * `text`), `code`, `test_list` and `test_imports`, whose function is named by its first test.
 */
export function taskOfRow(row: Row, where: string): CodingTask {
  const { prompt, test, entry_point } = row;
  if (typeof test === "string" && typeof prompt === "string" && typeof entry_point === "string") {
    return { prompt, test, entry_point };
  }
  const asserts = row["test_list"];
  const words = prompt ?? row["text"];
  if (Array.isArray(asserts) && typeof words === "string") {
    const entry = /^\s*assert\s+(?:\w+\s*\(\s*){0,3}?(\w+)\s*\(/.exec(entryLine(asserts, row));
    if (entry) return mbppTask(words, entry[1]!, asserts.map(String), row);
  }
  throw new CollmError(
    "invalid_request",
    `Cannot read coding task of ${where}: it has neither prompt, test and entry_point nor a ` +
      "test_list that names a function",
  );
}

/** An assert whose innermost call is of a function that the solution defines. */
function entryLine(asserts: readonly unknown[], row: Row): string {
  const first = String(asserts[0] ?? "");
  const defined = [...String(row["code"] ?? "").matchAll(/^def\s+(\w+)/gm)].map((m) => m[1]!);
  const called = defined.findLast((name) => new RegExp(`\\b${name}\\s*\\(`).test(first));
  return called === undefined ? first : `assert ${called}(`;
}

function mbppTask(words: string, entry: string, asserts: string[], row: Row): CodingTask {
  const head = [...String(row["code"] ?? "").matchAll(/^def\s+(\w+)\s*\([^\n]*:/gm)]
    .findLast((found) => found[1] === entry)?.[0] ?? `def ${entry}(*args):`;
  const imports = row["test_imports"];
  const lines = [...Array.isArray(imports) ? imports.map(String) : [], ...asserts];
  const body = lines.map((line) => `    ${line.trim()}`).join("\n");
  return {
    prompt: `${head}\n    """${words.trim()}"""\n`,
    test: `def check(candidate):\n${
      body.replaceAll(new RegExp(`\\b${entry}(?=\\s*\\()`, "g"), "candidate")
    }\n`,
    entry_point: entry,
  };
}
