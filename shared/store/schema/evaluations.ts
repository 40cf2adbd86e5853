/**
 * Table of hosted evaluations: what was asked, how far it is, what came out.
 * Leaves out the episodes played for it: they are in the episode log.
 */
import { real, sqliteTable, text } from "../../../deps.ts";
import type { EvaluationStatus } from "../lifecycle.ts";
import { json, type JsonObject, time } from "./columns.ts";

export const evaluations = sqliteTable("evaluations", {
  id: text().primaryKey(),
  request: json<JsonObject>().notNull(),
  status: text().$type<EvaluationStatus>().notNull(),
  /** Fraction done, 0 to 1. */
  progress: real().notNull(),
  result: json<JsonObject>(),
  error: json<string>(),
  created_at: time().notNull(),
  updated_at: time().notNull(),
});
