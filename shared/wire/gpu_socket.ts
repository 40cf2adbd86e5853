/**
 * Messages of the GPU node's WebSocket, `GET /v1/ws`: the verbs with an id, so that many are under
 * way at once on one connection. The other fields of a request are those of the verb's body.
 */
import { z } from "../../deps.ts";
import { CollmError } from "../errors.ts";
import { freshTokens } from "./gpu.ts";
import { maybe } from "./openapi.ts";
import { problemSchema } from "./problem.ts";

/**
 * Bytes of a message to the server at most; larger requests go over HTTP. Half of what Deno's
 * WebSocket takes: beyond that it closes the connection without a word (code 1006).
 */
export const MESSAGE_LIMIT = 32 * 2 ** 20;

export const tooLarge = (bytes: number) =>
  new CollmError(
    "payload_too_large",
    `Cannot read the message: it has ${bytes} bytes, at most ${MESSAGE_LIMIT} are taken`,
  );

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
