/**
 * The long-lived connection of a host to the edge: wakes it when observations wait. It comes back
 * by itself after any loss. Leaves out what waits: the host reads that over HTTP, so a lost
 * notice costs at most the time of one look.
 */
import { loadWebSocketClient } from "../deps.ts";
import { backoffMs, pause } from "./backoff.ts";

const PING_MS = 15_000;
const HANDSHAKE_MS = 10_000;

export interface WaitingStream {
  /** Until the next notice, reconnection, abort, or `ms` from now. */
  next(ms: number): Promise<void>;
  /** Resolves when the connection is closed for good, after the abort. */
  readonly closed: Promise<void>;
}

export interface StreamOptions {
  edge: string;
  agent: string;
  run_id: string | null;
  token?: string | undefined;
  signal: AbortSignal;
  log: (line: string) => void;
}

/** Opens the stream of an agent and keeps it open until `signal` is aborted. */
export function openStream(options: StreamOptions): WaitingStream {
  const { signal } = options;
  // A notice that comes while nobody waits is kept: the next wait ends at once.
  let noticed = false;
  let wake = () => {};
  const notice = () => {
    noticed = true;
    wake();
  };
  return {
    async next(ms) {
      if (!noticed) {
        const woken = new AbortController();
        wake = () => woken.abort();
        await pause(ms, AbortSignal.any([signal, woken.signal]));
      }
      noticed = false;
    },
    closed: keepOpen(options, notice),
  };
}

async function keepOpen(options: StreamOptions, notice: () => void): Promise<void> {
  const { edge, agent, run_id, signal, log } = options;
  const path = `/v1/agents/${encodeURIComponent(agent)}/stream`;
  const query = run_id === null ? "" : `?${new URLSearchParams({ run_id })}`;
  const url = edge.replace(/^http/, "ws").replace(/\/+$/, "") + path + query;
  for (let failures = 0; !signal.aborted;) {
    const why = await connection(url, options, () => {
      if (failures > 0) log(`Stream of agent '${agent}' is open again`);
      failures = 0;
      notice();
    });
    if (signal.aborted) return;
    if (failures++ === 0) log(`Stream of agent '${agent}' was lost: ${why}`);
    await pause(backoffMs(failures), signal);
  }
}

/** One connection, from opening to its end; the result says why it ended. */
async function connection(
  url: string,
  { token, signal }: StreamOptions,
  notice: () => void,
): Promise<string> {
  const { WebSocket } = await loadWebSocketClient();
  const headers: Record<string, string> = token === undefined
    ? {}
    : { authorization: `Bearer ${token}` };
  return await new Promise((resolve) => {
    const socket = new WebSocket(url, { headers, handshakeTimeout: HANDSHAKE_MS });
    let why = "the edge closed it";
    let answered = true;
    const ping = setInterval(() => {
      // A host that vanished from the network never closes: silence over one period does.
      if (!answered) return socket.terminate();
      answered = false;
      if (socket.readyState === socket.OPEN) socket.ping();
    }, PING_MS);
    const end = () => socket.readyState === socket.OPEN ? socket.close(1000) : socket.terminate();
    signal.addEventListener("abort", end);
    socket.on("open", notice);
    socket.on("message", notice);
    socket.on("pong", () => answered = true);
    socket.on("unexpected-response", (_request, response) => {
      why = `the edge answered ${response.statusCode}`;
      socket.terminate();
    });
    socket.on("error", (error) => why = error.message || why);
    socket.on("close", (code, reason) => {
      clearInterval(ping);
      signal.removeEventListener("abort", end);
      resolve(reason.length > 0 ? reason.toString() : code === 1006 ? why : `${why} (${code})`);
    });
  });
}
