/**
 * The GPU node on another host over one WebSocket: many calls under way at once, tokens as they
 * are drawn, cancelling. A lost connection is opened again and what was asked is asked again, which
 * every verb here allows. Folders and what is not repeated go over HTTP (http.ts), on the same port.
 */
import { Buffer } from "node:buffer";
import { loadWebSocketClient, type z } from "../../deps.ts";
import { CollmError } from "../../shared/errors.ts";
import { type CallOptions, pauseMs } from "../../shared/wire/call.ts";
import {
  policyList,
  sampleAnswer,
  scoreAnswer,
  updateAnswer,
  valuesAnswer,
} from "../../shared/wire/gpu.ts";
import { MESSAGE_LIMIT, socketReply, tooLarge } from "../../shared/wire/gpu_socket.ts";
import { parse } from "../../shared/wire/parse.ts";
import { fromAnswer } from "../../shared/wire/problem.ts";
import { repeatable } from "../repeatable.ts";
import type { GpuNode, SampleOptions, WaitOptions } from "../verbs.ts";
import { openHttpNode, resultOf, scoreBody, valuesBody } from "./http.ts";

type WebSocketClient = Awaited<ReturnType<typeof loadWebSocketClient>>["WebSocket"]["prototype"];
type Reply = z.output<typeof socketReply>;

interface Call {
  message: Record<string, unknown>;
  /** Options of one more attempt. */
  again(): SampleOptions;
  options: SampleOptions;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/** Silence after which a connection counts as lost, in milliseconds. */
const PING_MS = 15_000;

/**
 * @param url Address of the server, `ws://host:port`
 * @throws CollmError from every verb: the server's own, or `unavailable` when it cannot be reached
 */
export function openSocketNode(url: string, options: CallOptions = {}): GpuNode {
  const { token, retries = 4, timeoutMs = 600_000 } = options;
  const base = url.replace(/\/+$/, "");
  const http = openHttpNode(base.replace(/^ws/, "http"), options);
  const calls = new Map<number, Call>();
  let socket: WebSocketClient | null = null;
  /** Whether a connection is open or on its way. */
  let busy = false;
  let [count, failures, closed] = [0, 0, false];

  const isOpen = () => socket !== null && socket.readyState === socket.OPEN;
  const send = (id: number, call: Call) => {
    const text = JSON.stringify({ ...call.message, id });
    const bytes = Buffer.byteLength(text);
    if (bytes > MESSAGE_LIMIT) {
      calls.delete(id);
      return call.reject(tooLarge(bytes));
    }
    call.options = call.again();
    socket!.send(text);
  };
  const failAll = (error: CollmError) => {
    for (const call of calls.values()) call.reject(error);
    calls.clear();
  };

  /** Opens the connection, and again when it is lost while calls wait. */
  async function connect(): Promise<void> {
    if (busy || closed || calls.size === 0) return;
    busy = true;
    const { WebSocket } = await loadWebSocketClient();
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const opened = socket = new WebSocket(`${base}/v1/ws`, { headers, handshakeTimeout: 10_000 });
    let why = "the connection was closed";
    let alive = true;
    const ping = setInterval(() => {
      if (!alive) return opened.terminate();
      alive = false;
      if (opened.readyState === opened.OPEN) opened.ping();
    }, PING_MS);
    opened.on("open", () => {
      failures = 0;
      for (const [id, call] of calls) send(id, call);
    });
    opened.on("pong", () => alive = true);
    opened.on("message", (data) => {
      alive = true;
      take(String(data));
    });
    opened.on("unexpected-response", (_request, response) => {
      let body = "";
      response.on("data", (part) => body += part);
      response.on("end", () => {
        failAll(fromAnswer(response.statusCode ?? 500, body, `Cannot open ${base}/v1/ws`));
        opened.terminate();
      });
    });
    opened.on("error", (error) => why = error.message || why);
    opened.on("close", () => {
      clearInterval(ping);
      socket = null;
      busy = false;
      if (calls.size === 0 || closed) return;
      if (failures++ < retries) return void setTimeout(connect, pauseMs(failures));
      failAll(new CollmError("unavailable", `Cannot reach ${base}/v1/ws: ${why}`));
      failures = 0;
    });
  }
  function take(text: string): void {
    let reply: Reply;
    try {
      reply = parse(socketReply, JSON.parse(text), `an answer of ${base}/v1/ws`, "unavailable");
    } catch {
      // Another kind of server: nothing it says can be matched to a call.
      return socket?.terminate();
    }
    const call = calls.get(reply.id ?? -1);
    if (!call) return;
    if (reply.fresh) {
      const { row, tokens, logprobs } = reply.fresh;
      return call.options.onTokens?.(row, tokens, logprobs);
    }
    calls.delete(reply.id!);
    if (reply.error) call.reject(new CollmError(reply.error.code, reply.error.detail));
    else call.resolve(reply.result);
  }

  async function call<S extends z.ZodType>(
    verb: string,
    schema: S,
    body: object,
    { signal }: WaitOptions = {},
    again: () => SampleOptions = () => ({}),
  ): Promise<z.output<S>> {
    signal?.throwIfAborted();
    const id = count++;
    const late = () =>
      give(new CollmError("unavailable", `Cannot call ${base}: no answer in ${timeoutMs} ms`));
    const timer = setTimeout(late, timeoutMs);
    const give = (reason: unknown) => {
      calls.get(id)?.reject(reason);
      if (calls.delete(id) && isOpen()) {
        socket!.send(JSON.stringify({ id, verb: "cancel" }));
      }
    };
    const abort = () => give(signal!.reason);
    signal?.addEventListener("abort", abort);
    try {
      const result = await new Promise<unknown>((resolve, reject) => {
        const message = { ...body, verb, timeout: timeoutMs / 1000 };
        const entry: Call = { message, again, options: {}, resolve, reject };
        calls.set(id, entry);
        if (isOpen()) send(id, entry);
        else void connect();
      });
      return parse(schema, result, `the answer of ${base}/v1/ws`, "unavailable");
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  return {
    ...http,
    list: async () => (await call("list", policyList, {})).policies,
    async sample(request, options = {}) {
      const body = { ...request, ...options.onTokens && { stream: true } };
      const again = repeatable(request, options);
      return resultOf(await call("sample", sampleAnswer, body, options, again));
    },
    score: (policy, sequences, options) =>
      call("score", scoreAnswer, scoreBody(policy, sequences, options), options),
    values: (policy, sequences, options) =>
      call("values", valuesAnswer, valuesBody(policy, sequences), options),
    update: (request, options) => call("update", updateAnswer, request, options),
    close() {
      closed = true;
      failAll(new CollmError("unavailable", `Cannot call ${base}: the connection is closed`));
      return new Promise((resolve) => {
        if (socket === null) return resolve();
        socket.on("close", () => resolve());
        if (socket.readyState === socket.OPEN) socket.close(1000);
        else socket.terminate();
      });
    },
  };
}
