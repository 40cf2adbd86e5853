/**
 * The verbs over a WebSocket, `GET /v1/ws`: many under way at once on one connection, fresh tokens
 * on the way, cancelling by id. A connection that closes gives up what it asked for.
 */
import { Buffer } from "node:buffer";
import { type Context, upgradeNodeWebSocket, z } from "../../deps.ts";
import { CollmError } from "../../shared/errors.ts";
import { parseJson } from "../../shared/wire/body.ts";
import { name } from "../../shared/wire/gpu.ts";
import {
  MESSAGE_LIMIT,
  socketReply,
  socketRequest,
  tooLarge,
} from "../../shared/wire/gpu_socket.ts";
import { answers } from "../../shared/wire/openapi.ts";
import { parse } from "../../shared/wire/parse.ts";
import { toCollmError, toProblem } from "../../shared/wire/problem.ts";
import type { Piece } from "./row_text.ts";
import type { GpuHono, GpuServer } from "./server.ts";
import { type ServedVerb, VERBS } from "./verbs.ts";
import { clientGone, openWait, type Wait } from "./wait.ts";

/** Close code of a server that ends. */
const GOING_AWAY = 1001;
const unloadRequest = z.strictObject({ policy: name });

interface Connection {
  /** Takes one message. */
  take(text: string): void;
  /** Nobody listens any more. */
  gone(): void;
  /** Takes no more, and closes when all is answered. */
  drain(): Promise<void>;
}

/** Adds the route; returns how to close its connections once all they asked is answered. */
export function socketRoute(app: GpuHono, server: GpuServer): () => Promise<void> {
  app.openAPIRegistry.registerPath({
    method: "get",
    path: "/v1/ws",
    operationId: "socket",
    summary: "WebSocket: the verbs as SocketRequest messages, answered by SocketReply messages",
    tags: ["verbs"],
    responses: {
      101: { description: "Switching to the WebSocket protocol" },
      ...answers(200, "Every message of the server", socketReply),
    },
  });
  app.openAPIRegistry.register("SocketRequest", socketRequest);
  const connections = new Set<Connection>();
  app.get(
    "/v1/ws",
    async (c, next) => {
      requireUpgrade(c, server.token);
      await next();
    },
    upgradeNodeWebSocket(() => {
      let connection: Connection | undefined;
      return {
        onOpen(_event, socket) {
          connection = connect(
            server,
            (reply) => socket.readyState === 1 && socket.send(JSON.stringify(reply)),
            () => socket.close(GOING_AWAY, "the server is ending"),
          );
          connections.add(connection);
        },
        onMessage: ({ data }) => connection?.take(typeof data === "string" ? data : ""),
        onClose() {
          connection?.gone();
          if (connection) connections.delete(connection);
        },
      };
    }),
  );
  return async () => {
    await Promise.all([...connections].map((connection) => connection.drain()));
  };
}

/** Throws unless the request upgrades, from no other site's page: those need a token. */
function requireUpgrade(c: Context, token: string | undefined): void {
  if (c.req.header("upgrade")?.toLowerCase() !== "websocket") {
    throw new CollmError(
      "invalid_request",
      "Cannot open socket: the request is no WebSocket upgrade",
    );
  }
  const origin = c.req.header("origin");
  const host = c.req.header("host");
  if (token || !origin || URL.canParse(origin) && new URL(origin).host === host) return;
  throw new CollmError(
    "forbidden",
    `Cannot open socket: it comes from a page of '${origin.slice(0, 100)}'`,
  );
}

function connect(
  server: GpuServer,
  send: (reply: z.input<typeof socketReply>) => void,
  close: () => void,
): Connection {
  const waits = new Map<number, Wait>();
  let draining = false;
  let idle = () => {};

  async function answer(message: z.output<typeof socketRequest>, wait: Wait): Promise<void> {
    const { id, verb } = message;
    const began = performance.now();
    let status = 200;
    try {
      const result = await run(server, message, wait, (fresh) => send({ id, fresh }));
      send({ id, result });
    } catch (thrown) {
      const error = toCollmError(thrown);
      if (error.code === "internal") server.onFault?.(thrown);
      status = error.status;
      send({ id, error: toProblem(error) });
    } finally {
      waits.delete(id);
      await wait.end();
      const path = `/v1/${verb === "load" || verb === "list" ? "policies" : verb}`;
      server.metrics.request(path, status, (performance.now() - began) / 1000);
      if (waits.size === 0) idle();
    }
  }

  return {
    take(text) {
      let id: number | null = null;
      try {
        const bytes = Buffer.byteLength(text);
        if (bytes > MESSAGE_LIMIT) throw tooLarge(bytes);
        const value = parseJson(text, "the message");
        id = idOf(value, waits);
        const message = parse(socketRequest, value, "the message");
        const cancelled = "Cannot answer: the client cancelled";
        if (message.verb === "cancel") {
          return waits.get(message.id)?.giveUp(new CollmError("unavailable", cancelled));
        }
        if (waits.has(message.id)) {
          const what = `Cannot take the message: a request with id ${message.id} is under way`;
          throw new CollmError("conflict", what);
        }
        if (draining) {
          throw new CollmError("unavailable", "Cannot take requests: the server is ending");
        }
        const wait = openWait(null, message.timeout ?? null);
        waits.set(message.id, wait);
        void answer(message, wait);
      } catch (error) {
        send({ id, error: toProblem(error) });
      }
    },
    gone() {
      for (const wait of waits.values()) wait.giveUp(clientGone());
    },
    async drain() {
      draining = true;
      if (waits.size > 0) await new Promise<void>((resolve) => idle = resolve);
      close();
    },
  };
}

/** Id to refuse a message under: not that of a request under way. */
function idOf(value: unknown, taken: ReadonlyMap<number, unknown>): number | null {
  const id = (value as { id?: unknown } | null)?.id;
  return Number.isSafeInteger(id) && !taken.has(id as number) ? id as number : null;
}

function run(
  { policies }: GpuServer,
  { id: _, verb, timeout: __, stream, ...body }: z.output<typeof socketRequest>,
  wait: Wait,
  tell: (fresh: NonNullable<z.input<typeof socketReply>["fresh"]>) => void,
): Promise<unknown> {
  if (verb === "list") return policies.list().then((policies) => ({ policies }));
  if (verb === "unload") {
    return policies.unload(parse(unloadRequest, body, "unload request").policy, wait);
  }
  const { request, run } = VERBS[verb as keyof typeof VERBS] as ServedVerb<z.ZodType>;
  const onPiece = (row: number, piece: Piece) => tell({ row, ...piece });
  return run(policies, parse(request, body, `${verb} request`), {
    signal: wait.signal,
    ...stream && { onPiece },
  });
}
