/**
 * The task: a post to summarize, or an abstract to expand. Leaves out where texts come from
 * (texts.ts) and what agents are told (prompts.ts).
 */
import { z } from "../../../deps.ts";
import { seedOf } from "../../random.ts";
import type { TaskItem } from "../environment.ts";
import { readFields } from "../options.ts";
import type { WritingId } from "./rules.ts";

export interface TldrTask {
  post: string;
}

export interface ArxivTask {
  abstract: string;
}

export type WritingTask = TldrTask | ArxivTask;

/** Longest text of a task, in UTF-16 units. */
const LONGEST = 200_000;

/** The field of a task that holds its text. */
export const TEXT_FIELD = { tldr: "post", arxiv: "abstract" } as const;

/** Task of a text. */
export function taskOf(id: WritingId, text: string): WritingTask {
  return id === "tldr" ? { post: text } : { abstract: text };
}

/** Text of a task. */
export function textOf(task: WritingTask): string {
  return "post" in task ? task.post : task.abstract;
}

/**
 * A task given by value: `{"post":"…"}` or `{"abstract":"…"}`.
 * @param reference Takes a missing or empty text, for which the reference has a prompt as well.
 * @throws CollmError `invalid_request` for anything but one text of a sane length
 */
export function inlineTask(
  id: WritingId,
  input: unknown,
  reference: boolean,
): TaskItem<WritingTask> {
  const text = z.string().max(LONGEST, `it must have at most ${LONGEST} characters`);
  const field = reference ? text.default("") : text.min(1, "it must not be empty");
  const schema: z.ZodObject<Record<string, z.ZodType<string>>> = z.object({
    [TEXT_FIELD[id]]: field,
  });
  const fields = readFields(schema, input, `Cannot read ${id} task`, "field");
  const value = fields[TEXT_FIELD[id]]!;
  return {
    id: `${id}_inline_${seedOf(value).toString(16).padStart(8, "0")}`,
    task: taskOf(id, value),
  };
}
