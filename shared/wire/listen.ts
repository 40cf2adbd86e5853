/**
 * Serving on a socket: refuses an open address without a token and a port in use with one clear
 * sentence, and drains on SIGTERM or SIGINT: requests under way are answered, new ones refused.
 * The runtime's own server is the faster one, but tells of a client that went away only where head
 * and body of its request came in one small piece; `listenNode` (listen_node.ts) always does.
 */
import { CollmError } from "../errors.ts";

export interface ListenOptions {
  host: string;
  /** 0 takes any free port. */
  port: number;
  /** Bearer token that requests must carry, if any. */
  token: string | undefined;
  /** Awaited before the socket closes: until then new requests still come, to be refused. */
  drain?: () => Promise<void>;
}

export interface Listening {
  /** `http://host:port` with the port really taken. */
  readonly url: string;
  /** Resolves when the last request is answered after `drain` or a signal. */
  readonly finished: Promise<void>;
  drain(): Promise<void>;
}

/** Whether only this machine can reach the address. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);

/** Throws forbidden when other machines could reach the address and no token guards it. */
export function requireGuard({ host, token }: ListenOptions): void {
  if (token !== undefined && token.length > 0 || isLoopback(host)) return;
  throw new CollmError(
    "forbidden",
    `Cannot listen on '${host}' without a token: other machines can reach this address, ` +
      `set COLLM_TOKEN`,
  );
}

/** Starts serving; throws CollmError when the address cannot be taken. */
export function listen(
  options: ListenOptions,
  handler: (request: Request, info: Deno.ServeHandlerInfo) => Response | Promise<Response>,
): Listening {
  requireGuard(options);
  const { host, port } = options;
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve({ hostname: host, port, onListen: () => {} }, handler);
  } catch (cause) {
    throw addressError(options, cause, cause instanceof Deno.errors.AddrInUse);
  }
  return untilSignal(options, server.addr.port, server.finished, () => server.shutdown());
}

/** Why an address cannot be taken. */
export function addressError(
  { host, port }: ListenOptions,
  cause: unknown,
  inUse: boolean,
): CollmError {
  const reason = inUse
    ? "the port is in use"
    : cause instanceof Error
    ? cause.message
    : String(cause);
  return new CollmError("unavailable", `Cannot listen on ${host}:${port}: ${reason}`, { cause });
}

/** A server that ends when a signal comes; `shutdown` answers what is under way. */
export function untilSignal(
  { host, drain: before }: ListenOptions,
  port: number,
  ended: Promise<void>,
  shutdown: () => Promise<void>,
): Listening {
  const signals = Deno.build.os === "windows"
    ? ["SIGINT" as const]
    : ["SIGTERM" as const, "SIGINT" as const];
  let ending: Promise<void> | undefined;
  const drain = () =>
    ending ??= (async () => {
      await before?.();
      await shutdown();
    })();
  signals.forEach((signal) => Deno.addSignalListener(signal, drain));
  const finished = ended.finally(() =>
    signals.forEach((signal) => Deno.removeSignalListener(signal, drain))
  );
  const name = host.includes(":") ? `[${host}]` : host;
  return { url: `http://${name}:${port}`, finished, drain };
}
