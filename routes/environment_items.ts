/**
 * Listing of what environments play: items of a split page by page, data sets by name.
 * Leaves out which splits there are: the environment itself says (environments.ts).
 */
import { createRoute, z } from "../deps.ts";
import { dataSets } from "../shared/environments/data/data_set.ts";
import type { Environment, SplitInfo } from "../shared/environments/environment.ts";
import { CollmError, suggest } from "../shared/errors.ts";
import { dataSetList, itemPage, itemsQuery } from "../shared/wire/environment_items.ts";
import { environmentId, id } from "../shared/wire/fields.ts";
import { answers, type Edge, type EdgeApp } from "./edge.ts";

const tags = ["environments"];

const items = createRoute({
  method: "get",
  path: "/v1/environments/{id}/splits/{split}/items",
  operationId: "listItems",
  summary: "Items of a split, page by page",
  tags,
  request: {
    params: z.object({ id: environmentId, split: id("Name of a split", "eval") }),
    query: itemsQuery,
  },
  responses: answers(200, "A page of items", itemPage),
});

const data = createRoute({
  method: "get",
  path: "/v1/datasets",
  operationId: "listDataSets",
  summary: "Data sets that this edge was started with",
  tags,
  responses: answers(200, "Data sets with the rows of their splits", dataSetList),
});

export function environmentItemRoutes(app: EdgeApp, { createEnvironment }: Edge): void {
  app.openapi(items, (c) => {
    const { id, split: name } = c.req.valid("param");
    const { first, limit, options } = c.req.valid("query");
    const environment = createEnvironment(id, options);
    const splits = environment.splits();
    const split = splits.find((one) => one.name === name);
    if (!split) {
      const short = name.slice(0, 60);
      throw new CollmError(
        "not_found",
        `Cannot list split '${short}' of '${id}', ${suggest(short, splits.map((s) => s.name))}`,
      );
    }
    const end = Math.min(split.size ?? Number.MAX_SAFE_INTEGER, first + limit);
    const listed = [];
    for (let index = first; index < end; index++) {
      const item = itemAt(environment, split, index);
      if (item === undefined) break;
      listed.push({ index, id: item.id, task: item.task });
    }
    const after = first + listed.length;
    const whole = listed.length === limit && after < (split.size ?? Number.MAX_SAFE_INTEGER);
    const next = whole ? after : null;
    return c.json({ environment: id, split: name, size: split.size, items: listed, next }, 200);
  });

  app.openapi(data, (c) =>
    c.json({
      data_sets: dataSets().map(({ name, splits }) => ({
        name,
        splits: Object.entries(splits).map(([name, rows]) => ({ name, rows: rows.length })),
      })),
    }, 200));
}

/** An item; nothing where a split that does not tell its size is over. */
function itemAt(environment: Environment, { name, size }: SplitInfo, index: number) {
  try {
    return environment.item(name, index);
  } catch (error) {
    if (size === null && error instanceof CollmError && error.code === "not_found") return;
    throw error;
  }
}
