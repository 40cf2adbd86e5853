/**
 * Listing of what environments play: items of a split page by page, data sets by name.
 * Leaves out which splits there are: the environment itself says (environments.ts).
 */
import { createRoute, z } from "../deps.ts";
import { dataSets } from "../shared/environments/data/data_set.ts";
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
    const end = Math.min(split.size ?? Infinity, first + limit);
    const listed = Array.from({ length: Math.max(0, end - first) }, (_, i) => {
      const { id, task } = environment.item(name, first + i);
      return { index: first + i, id, task: task as Record<string, unknown> };
    });
    const next = end < (split.size ?? Infinity) ? end : null;
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
