/**
 * Completions as an event stream: a chunk per piece of text, then `[DONE]`. What fails before the
 * first piece is an answer with its own status; what fails later is the stream's last event. Where
 * alternatives to the tokens are asked for, the chunks wait until all is drawn and listed.
 */
import type { Listed } from "./alternatives.ts";
import { errorOf, type Form } from "./openai_form.ts";
import type { Reading, ServedPolicies } from "./policies.ts";
import type { Piece } from "./row_text.ts";
import { sample, type WireSampleAnswer, type WireSampleRequest } from "./sample.ts";
import { clientGone, type Wait } from "./wait.ts";

export interface StreamOptions {
  include_usage?: boolean | null | undefined;
  reading: Reading;
  /** Alternatives by completion, then token; null where none are asked for. */
  list: ((drawn: WireSampleAnswer) => Promise<Listed[][]>) | null;
}

export async function streamed(
  policies: ServedPolicies,
  request: WireSampleRequest,
  form: Form,
  wait: Wait,
  { include_usage, reading, list }: StreamOptions,
): Promise<Response> {
  const { readable, send, close } = events(wait);
  const usage = include_usage === true;
  const chunk = (choices: unknown[], more: object = {}) =>
    send({ ...form.head(true), choices, ...usage && { usage: null }, ...more });
  const opened = new Set<number>();
  const tell = (row: number, piece: Piece, listed?: Listed[]) => {
    const opening = opened.has(row) ? null : form.opening(row);
    opened.add(row);
    if (opening !== null) chunk([opening]);
    chunk([form.piece(row, piece, listed)]);
  };
  const waiting: [row: number, piece: Piece][] = [];
  const first = Promise.withResolvers<void>();

  const drawing = sample(policies, request, {
    signal: wait.signal,
    reading,
    onPiece(row, piece) {
      if (list) return void waiting.push([row, piece]);
      first.resolve();
      tell(row, piece);
    },
  }).then(async (drawn) => {
    const { completions, policy_version } = drawn;
    const listed = await list?.(drawn) ?? [];
    for (const [row, piece] of waiting) {
      tell(row, piece, listed[row]!.splice(0, piece.tokens.length));
    }
    completions.forEach(({ finish_reason, seed }, row) => {
      chunk([form.closing(row, finish_reason, seed)], { policy_version });
    });
    if (usage) {
      const count = completions.reduce((sum, { tokens }) => sum + tokens.length, 0);
      chunk([], { usage: form.usage(count), policy_version });
    }
    send("[DONE]");
  });
  wait.until(drawing);
  await Promise.race([first.promise, drawing]);
  drawing.catch((error) => send({ error: errorOf(error) })).finally(close);
  return new Response(readable, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-cache" },
  });
}

/** An event stream; a reader that goes away gives up the wait. */
function events(wait: Wait) {
  const encoder = new TextEncoder();
  let out: ReadableStreamDefaultController<Uint8Array> | null = null;
  const readable = new ReadableStream<Uint8Array>({
    start: (controller) => void (out = controller),
    cancel() {
      out = null;
      wait.giveUp(clientGone());
    },
  });
  return {
    readable,
    send(data: unknown) {
      const text = typeof data === "string" ? data : JSON.stringify(data);
      out?.enqueue(encoder.encode(`data: ${text}\n\n`));
    },
    close: () => out?.close(),
  };
}
