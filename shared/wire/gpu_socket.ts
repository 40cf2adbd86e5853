/**
 * Messages of the GPU node's WebSocket, `GET /v1/ws`: the verbs with an id, so that many are under
 * way at once on one connection. The other fields of a request are those of the verb's body.
 */
import { z } from "../../deps.ts";
import { freshTokens } from "./gpu.ts";
import { maybe } from "./openapi.ts";
import { problemSchema } from "./problem.ts";

export const socketRequest = z.looseObject({
  /** Any whole number that no request under way on this connection has. */
  id: z.int(),
  /** A verb, or `cancel` for the request under way with this id. */
  verb: z.enum(["sample", "score", "values", "update", "load", "list", "unload", "cancel"]),
  /** Seconds until the answer is given up. */
  timeout: maybe(z.number().gt(0).max(86_400)),
  /** sample: also tell fresh tokens while they are drawn. */
  stream: maybe(z.boolean()),
}).openapi("SocketRequest");

/** One of the last three; `id` is null where the request's could not be read. */
export const socketReply = z.object({
  id: z.int().nullable(),
  fresh: maybe(freshTokens),
  result: z.unknown().optional(),
  error: maybe(problemSchema),
}).openapi("SocketReply");
