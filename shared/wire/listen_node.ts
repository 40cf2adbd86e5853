/**
 * Serving on node:http instead of the runtime's own server (listen.ts): slower by a tenth of a
 * millisecond a request, but `request.signal` is aborted whenever a client goes away, which gives
 * up work that takes seconds. WebSockets are opened by `upgradeNodeWebSocket`.
 */
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import {
  loadWebSocketClient,
  RESPONSE_ALREADY_SENT,
  serveNode,
  type WebSocketServerLike,
} from "../../deps.ts";
import {
  addressError,
  type Listening,
  type ListenOptions,
  requireGuard,
  untilSignal,
} from "./listen.ts";

/** Serves; rejects with CollmError when the address cannot be taken. */
export async function listenNode(
  options: ListenOptions & {
    /** Bytes of one message on a WebSocket, above which it is closed (1009). */
    mostMessage: number;
  },
  handler: (request: Request, bindings: object) => Response | Promise<Response>,
): Promise<Listening> {
  requireGuard(options);
  const { host, port, mostMessage } = options;
  const { WebSocketServer } = await loadWebSocketClient();
  const sockets = new WebSocketServer({ noServer: true, maxPayload: mostMessage });
  const { promise: listening, resolve, reject } = Promise.withResolvers<number>();
  const server = serveNode({
    async fetch(request, bindings) {
      const response = await handler(request, bindings);
      const { incoming, outgoing } = bindings as Bindings;
      // A WebSocket that is refused: the library would leave out why.
      if (!outgoing && response.status >= 400) await refuse(incoming.socket, response);
      if (!outgoing || incoming.method === "HEAD" || !isJson(response)) return response;
      await sendWhole(outgoing, response);
      return RESPONSE_ALREADY_SENT;
    },
    ...{ hostname: host, port, websocket: { server: sockets as WebSocketServerLike } },
    // The process's own Request and Response stay what they are.
    overrideGlobalObjects: false,
  }, (address) => resolve(address.port)) as Server;
  server.on("error", reject);
  let taken: number;
  try {
    taken = await listening;
  } catch (cause) {
    throw addressError(options, cause, (cause as { code?: string }).code === "EADDRINUSE");
  }
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  return untilSignal(options, taken, ended, async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    // Connections that are kept open for another request would be waited for.
    server.closeIdleConnections();
    await closed;
    sockets.close();
    end();
  });
}

interface Bindings {
  incoming: IncomingMessage;
  /** Absent where a WebSocket is asked for. */
  outgoing?: ServerResponse;
}

const isJson = (response: Response): boolean =>
  /^application\/([\w.-]+\+)?json\b/.test(response.headers.get("content-type") ?? "");

/**
 * Sends an answer that is there at once. The library reads each as a stream, which takes a timer's
 * millisecond and half as much work again.
 */
async function sendWhole(outgoing: ServerResponse, response: Response): Promise<void> {
  const body = await response.bytes();
  const fields = { ...Object.fromEntries(response.headers), "content-length": body.length };
  outgoing.writeHead(response.status, fields).end(body);
}

/** Answers a request that wanted another protocol, and ends its connection. */
async function refuse(socket: Socket, response: Response): Promise<void> {
  const { status } = response;
  const body = await response.clone().text();
  const fields = [
    ...response.headers,
    ["content-length", String(new TextEncoder().encode(body).length)],
    ["connection", "close"],
  ];
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    ...fields.map(([name, value]) => `${name}: ${value}`),
  ];
  await new Promise<void>((resolve) => socket.end(`${head.join("\r\n")}\r\n\r\n${body}`, resolve));
  socket.destroy();
}
