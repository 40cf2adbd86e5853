/**
 * What can be played: items of a split page by page, and the data sets of this process.
 * Leaves out playing them (environments.ts).
 */
import { z } from "../../deps.ts";
import { parseJson } from "./body.ts";
import { digits, environmentId, environmentOptions, message } from "./fields.ts";
import { MOST } from "./observations.ts";

/** A JSON value as a query parameter; what it must be is checked by whoever uses it. */
export const jsonText = (description: string, example: unknown) =>
  z.string().transform((text, context) => {
    try {
      JSON.parse(text);
    } catch {
      context.issues.push({ code: "custom", message: "JSON", input: text });
      return z.NEVER;
    }
    return parseJson(text, "the query");
  }).openapi({ type: "string", description, example: JSON.stringify(example) });

export const optionsText = jsonText("Options of the environment, as JSON", { turns: 1 })
  .pipe(environmentOptions).default({})
  .openapi({ type: "string", default: undefined });

/** Options of an environment, for routes without a body. */
export const optionsQuery = message({ options: optionsText });

const number = (least: number, most: number, usual: number) =>
  digits.pipe(z.int().min(least).max(most)).default(usual)
    .openapi({ type: "integer", minimum: least, maximum: most, default: usual });

export const itemsQuery = message({
  first: number(0, Number.MAX_SAFE_INTEGER, 0),
  limit: number(1, MOST, 64),
  options: optionsText,
});

/** What a task is: any JSON value, null too, but not nothing. */
const jsonValue = z.any().refine((value: unknown) => value !== undefined, "a JSON value")
  .openapi({ description: "Any JSON value; most environments have objects" });

export const itemPage = z.object({
  environment: environmentId,
  split: z.string().openapi({ example: "eval" }),
  size: z.int().nullable().openapi({ description: "null: generated without end" }),
  items: z.array(z.object({
    index: z.int().openapi({ description: "0-based place in the split" }),
    id: z.string().openapi({ description: "Takes the place of the task in requests" }),
    task: jsonValue,
  })),
  next: z.int().nullable().openapi({ description: "`first` of the next page; null: no more" }),
}).openapi("ItemPage");

export const dataSetList = z.object({
  data_sets: z.array(z.object({
    name: z.string().openapi({ description: "Value of the option `data`" }),
    splits: z.array(z.object({ name: z.string(), rows: z.int() })),
  })),
}).openapi("DataSets");
