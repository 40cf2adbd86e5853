/**
 * Model Context Protocol of an environment (JSON-RPC 2.0): one tool, `act`, which is a step, and
 * sessions, which are episodes. Leaves out resetting by an agent: whoever makes the session does.
 */
import { CollmError } from "../../shared/errors.ts";
import { resetData, type Seen } from "../../shared/wire/openenv.ts";
import { parse } from "../../shared/wire/parse.ts";
import { toProblem } from "../../shared/wire/problem.ts";

/** What the calls of a view work on. */
export interface McpTarget {
  /** JSON Schema of an action. */
  action: Record<string, unknown>;
  open(data: ReturnType<typeof resetData.parse>): Promise<{ id: string; seen: Seen }>;
  act(action: unknown, session: string | undefined): Promise<Seen>;
  close(session: string): Promise<void>;
}

/** Numbers of JSON-RPC's errors. */
const INVALID_REQUEST = -32600;
const NO_METHOD = -32601;
const BAD_PARAMS = -32602;
const FAILED = -32000;

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The response to one request; never throws. */
export async function answerMcp(request: unknown, target: McpTarget): Promise<Json> {
  const id = isObject(request) ? request.id ?? null : null;
  const failure = (code: number, message: string) => (
    { jsonrpc: "2.0", id, error: { code, message } }
  );
  if (!isObject(request) || request.jsonrpc !== "2.0" || typeof request.method !== "string") {
    return failure(INVALID_REQUEST, "Cannot read the request: it is no JSON-RPC 2.0 call");
  }
  const { method, params = {} } = request;
  const call = Object.hasOwn(METHODS, method) ? METHODS[method] : undefined;
  if (!call) {
    return failure(NO_METHOD, `Cannot call '${method.slice(0, 60)}': there is no such method`);
  }
  if (!isObject(params)) return failure(BAD_PARAMS, "Cannot read params: they are no object");
  try {
    return { jsonrpc: "2.0", id, result: await call(params, target) };
  } catch (error) {
    const { code, detail } = toProblem(error);
    return failure(code === "invalid_request" ? BAD_PARAMS : FAILED, detail);
  }
}

const METHODS: Record<string, (params: Json, target: McpTarget) => Promise<Json>> = {
  "tools/list": (_, { action }) =>
    Promise.resolve({
      tools: [{
        name: "act",
        description: "Acts on the current turn; answers with the next observation",
        inputSchema: action,
      }],
    }),

  "tools/call": async ({ name, arguments: given, session_id }, { act }) => {
    if (name !== "act") {
      throw new CollmError("invalid_request", `Cannot call tool '${String(name)}': known: act`);
    }
    const session = textOrNothing("session_id", session_id);
    const seen = await act(given, session);
    const content = [{ type: "text", text: JSON.stringify(seen) }];
    return { content, structuredContent: { ...seen }, isError: false };
  },

  "openenv/session/create": async (params, { open }) => {
    const { id, seen } = await open(parse(resetData, params, "params"));
    return { session_id: id, ...seen };
  },

  "openenv/session/close": async ({ session_id }, { close }) => {
    const session = textOrNothing("session_id", session_id);
    if (session === undefined) {
      throw new CollmError("invalid_request", "Cannot close session: 'session_id' is missing");
    }
    await close(session);
    return { session_id: session, closed: true };
  },
};

function textOrNothing(name: string, value: unknown): string | undefined {
  if (value === undefined || typeof value === "string") return value;
  throw new CollmError("invalid_request", `Cannot read params: '${name}' is no text`);
}
