/**
 * Messages of OpenEnv's protocol, as its client sends and reads them. Fields of `reset` beyond the
 * protocol's choose the task; actions and observations are those of one view: of the whole team, or
 * of one agent. Leaves out what is done with them (routes/openenv/).
 */
import { z } from "../../deps.ts";
import {
  environmentOptions,
  episodeId,
  jsonObject,
  message,
  seed,
  taskInput,
  texts,
} from "./fields.ts";

/** Codes of errors on a socket. */
export type OpenEnvCode =
  | "INVALID_JSON"
  | "UNKNOWN_TYPE"
  | "VALIDATION_ERROR"
  | "EXECUTION_ERROR"
  | "CAPACITY_REACHED"
  | "FACTORY_ERROR"
  | "SESSION_ERROR";

/** A field that the protocol's clients leave out or send as null. */
const given = <Schema extends z.ZodType>(schema: Schema, description: string) =>
  schema.nullish().transform((value) => value ?? undefined).openapi({ description });

export const resetData = message({
  seed: given(seed.min(0), "Chooses the item too; default: any"),
  episode_id: given(episodeId, "An episode there is, or a new one"),
  task: taskInput.optional().openapi({
    description: "Item id or task; default: an item of `split`",
  }),
  split: z.string().optional().openapi({ description: "Default: the first split" }),
  options: environmentOptions.default({}),
});
export type ResetData = z.output<typeof resetData>;

const turn = z.int().min(1).optional().openapi({
  description:
    "Turn that the action is for, so that it can be sent again; default: the current one",
});

/** Every action of the protocol may have it. */
const metadata = given(jsonObject, "Not read");

/** Of all agents. */
export const jointAction = message({ actions: texts, turn, metadata });
/** Of one agent. */
export const ownAction = message({ text: z.string(), turn, metadata });

export const stepBody = message({
  action: jsonObject,
  episode_id: episodeId,
  timeout_s: given(
    z.number().positive().max(600),
    "How long to wait for the other agents of the team",
  ),
  request_id: given(z.string(), "Not read"),
});

export const stateQuery = message({ episode_id: episodeId });

/** What a socket takes; `data` is read by its type, and no type is an unknown one. */
export const socketMessage = z.object({
  type: z.string().default(""),
  data: jsonObject.default({}),
});

export const outcome = z.object({
  observation: jsonObject,
  reward: z.number().nullable(),
  done: z.boolean(),
}).openapi("OpenEnvOutcome");

/** Outcome of reset and step. */
export type Seen = z.output<typeof outcome>;
