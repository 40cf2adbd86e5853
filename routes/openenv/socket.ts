/**
 * OpenEnv's WebSocket: one episode at a time per connection, messages in their order, every
 * mistake an `error` message on a connection that stays open. Leaves out upgrading (openenv.ts).
 */
import { LIMITS, parseJson } from "../../shared/wire/body.ts";
import {
  type OpenEnvCode,
  resetData,
  type Seen,
  socketMessage,
} from "../../shared/wire/openenv.ts";
import { parse } from "../../shared/wire/parse.ts";
import { toCollmError } from "../../shared/wire/problem.ts";
import type { Edge } from "../edge.ts";
import { leaveEpisode, resetEpisode, stateOf, stepEpisode, type View } from "./episodes.ts";
import { answerMcp, type McpTarget } from "./mcp.ts";

export interface Connection {
  send(text: string): void;
  close(code: number, reason: string): void;
}

export interface Session {
  /** Takes a message; they are worked on one after the other. */
  receive(data: unknown): void;
  end(): void;
}

/** Milliseconds that a step waits for other agents: less than the client waits for a message. */
export const WAIT_MS = 50_000;
/** Messages of one connection that may wait for their turn. */
const WAITING = 64;

/** A mistake with OpenEnv's name for it. */
class Refusal extends Error {
  constructor(readonly code: OpenEnvCode, message: string) {
    super(message);
  }
}

/** Text of an error message. */
export const errorText = (code: OpenEnvCode, message: string, more: object = {}): string =>
  JSON.stringify({ type: "error", data: { message, code, ...more } });

/** @param raw JSON-RPC without OpenEnv's envelope, as on `/mcp` */
export function createSession(
  edge: Edge,
  view: View,
  action: McpTarget["action"],
  connection: Connection,
  raw = false,
): Session {
  let current: string | undefined;
  let [waiting, ended] = [0, false];
  let working: Promise<void> = Promise.resolve();

  async function open(data: ReturnType<typeof resetData.parse>) {
    const opened = await resetEpisode(edge, view, data);
    if (opened.id !== current) await leave();
    current = opened.id;
    return opened;
  }

  function here(): string {
    if (current !== undefined) return current;
    throw new Refusal("SESSION_ERROR", "Cannot go on: no episode is open, reset first");
  }

  async function leave(): Promise<void> {
    const id = current;
    current = undefined;
    if (id !== undefined) await leaveEpisode(edge, view, id);
  }

  const target: McpTarget = {
    action,
    open,
    act: (given, session) => stepEpisode(edge, view, session ?? here(), given, WAIT_MS),
    close: async (session) => {
      if (session === current) await leave();
      else await leaveEpisode(edge, view, session);
    },
  };

  const observation = (data: Seen) => ({ type: "observation", data });
  const handlers: Record<string, (data: Record<string, unknown>) => Promise<unknown>> = {
    reset: async (data) => observation((await open(parse(resetData, data, "reset"))).seen),
    step: async (data) => observation(await stepEpisode(edge, view, here(), data, WAIT_MS)),
    state: async () => ({ type: "state", data: await stateOf(edge, view, here()) }),
    mcp: async (data) => ({ type: "mcp", data: await answerMcp(data, target) }),
  };

  async function answer(text: string): Promise<void> {
    let value: unknown;
    try {
      value = parseJson(text, "message");
    } catch (error) {
      throw new Refusal("INVALID_JSON", (error as Error).message);
    }
    if (raw) return connection.send(JSON.stringify(await answerMcp(value, target)));
    const { type, data } = parse(socketMessage, value, "the message");
    if (type === "close") return connection.close(1000, "closed by the client");
    const handler = Object.hasOwn(handlers, type) ? handlers[type] : undefined;
    if (!handler) {
      const known = [...Object.keys(handlers), "close"].join(", ");
      const what = type === "" ? "without a type" : `of type '${type.slice(0, 60)}'`;
      throw new Refusal("UNKNOWN_TYPE", `Cannot take message ${what}: known: ${known}`);
    }
    connection.send(JSON.stringify(await handler(data)));
  }

  function refuse(error: unknown): string {
    if (error instanceof Refusal) return errorText(error.code, error.message);
    const { code, message } = toCollmError(error);
    if (code === "internal") edge.log(`OpenEnv session of '${view.environment}': ${String(error)}`);
    return errorText(code === "invalid_request" ? "VALIDATION_ERROR" : "EXECUTION_ERROR", message);
  }

  return {
    receive(data) {
      if (typeof data !== "string") {
        return connection.send(errorText("INVALID_JSON", "Cannot read message: it is no text"));
      }
      if (data.length > LIMITS.single || waiting >= WAITING) {
        const why = waiting >= WAITING
          ? `${WAITING} others are not answered yet`
          : `it is longer than ${LIMITS.single} characters`;
        return connection.send(errorText("VALIDATION_ERROR", `Cannot take message: ${why}`));
      }
      waiting++;
      working = working.then(async () => {
        if (ended) return;
        await answer(data).catch((error) => ended || connection.send(refuse(error)));
      }).catch((error) => {
        // The connection broke while it was answered.
        if (!ended) edge.log(`OpenEnv session of '${view.environment}': ${toCollmError(error)}`);
      }).finally(() => waiting--);
    },
    end() {
      ended = true;
      working = working.then(leave).catch((error) => edge.log(String(error)));
    },
  };
}
