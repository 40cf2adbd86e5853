/** Queries of pictures: what is drawn travels in the address, so that a page can show it. */
import { z } from "../../deps.ts";
import { jsonText, optionsText } from "./environment_items.ts";
import { digits, message, taskInput, texts } from "./fields.ts";

const title = z.string().max(200).optional().openapi({ description: "First line of the caption" });

export const taskPicture = message({
  task: jsonText("Item id or task, as JSON", { word: "ICML" }).pipe(taskInput)
    .openapi({ type: "string" }),
  actions: jsonText("Action text of every agent, as JSON", {
    agent_1: "/setblock 0 0 0 oak_planks",
    agent_2: "",
  }).pipe(texts).openapi({ type: "string" }),
  options: optionsText,
  title,
});

export const episodePicture = message({
  turn: digits.pipe(z.int().min(1)).optional()
    .openapi({ type: "integer", minimum: 1, description: "Default: the last one played" }),
  title,
});
