/**
 * What completions and chat completions look like, whole or in chunks. Leaves out drawing them and
 * the event stream.
 */
import type { z } from "../../deps.ts";
import type { chatRequest, completionRequest } from "../../shared/wire/openai.ts";
import { toProblem } from "../../shared/wire/problem.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import type { Listed } from "./alternatives.ts";
import type { Piece } from "./row_text.ts";
import type { WireSampleAnswer } from "./sample.ts";

export type CompletionAsked = z.output<typeof completionRequest>;
export type ChatAsked = z.output<typeof chatRequest>;
export type Asked = CompletionAsked | ChatAsked;
type Drawn = WireSampleAnswer["completions"][number];

export interface Form {
  /** Tokens that are listed in the place of each one drawn, beside its own. */
  readonly alternatives: number;
  /** Fields that every answer or chunk begins with. */
  head(chunk: boolean): Record<string, unknown>;
  /** `listed`, here and below: alternatives to each token, where they are asked for. */
  choice(index: number, drawn: Drawn, listed?: readonly Listed[]): unknown;
  /** Opens a choice; null where the first piece does. */
  opening(index: number): unknown;
  piece(index: number, piece: Piece, listed?: readonly Listed[]): unknown;
  closing(index: number, finish_reason: string, seed: number): unknown;
  usage(completion_tokens: number): unknown;
}

const common = (prompts: readonly number[][]) => {
  const prompt_tokens = prompts.reduce((sum, prompt) => sum + prompt.length, 0);
  return {
    usage: (completion_tokens: number) => ({
      prompt_tokens,
      completion_tokens,
      total_tokens: prompt_tokens + completion_tokens,
    }),
  };
};

const heading = (prefix: string, model: string, object: string, chunkObject: string) => {
  const id = `${prefix}-${crypto.randomUUID()}`;
  const created = Math.floor(Date.now() / 1000);
  return (chunk: boolean) => ({ id, object: chunk ? chunkObject : object, created, model });
};

export function completionForm(
  { model, logprobs }: CompletionAsked,
  prompts: readonly number[][],
  tokenizer: Tokenizer,
): Form {
  const wanted = typeof logprobs === "number";
  /** How much of its text each choice's tokens have made so far. */
  const made = new Map<number, { decoder: TextDecoder; characters: number }>();
  /** Alternatives by text. The token drawn is always among them. */
  const topOf = ({ tokens, logprobs }: Listed, drawn: string, own: number) => {
    const top: Record<string, number> = {};
    tokens.forEach((id, i) => top[tokenName(tokenizer.bytesOf(id))] ??= logprobs[i]!);
    return { ...top, [drawn]: own };
  };
  const listed = (
    index: number,
    { tokens, logprobs: token_logprobs }: Omit<Piece, "text">,
    alternatives?: readonly Listed[],
  ) => {
    if (!wanted) return null;
    const bytes = tokens.map((id) => tokenizer.bytesOf(id));
    const texts = bytes.map(tokenName);
    const top_logprobs = alternatives?.map((a, k) => topOf(a, texts[k]!, token_logprobs[k]!)) ??
      null;
    const so = made.get(index) ??
      { decoder: new TextDecoder("utf-8", { ignoreBOM: true }), characters: 0 };
    made.set(index, so);
    const text_offset = bytes.map((own) => {
      const at = so.characters;
      // Of a character's bytes the last one brings it.
      so.characters += [...so.decoder.decode(own, { stream: true })].length;
      return at;
    });
    return { tokens: texts, token_logprobs, top_logprobs, text_offset };
  };
  return {
    ...common(prompts),
    alternatives: logprobs ?? 0,
    head: heading("cmpl", model, "text_completion", "text_completion"),
    choice: (index, drawn, alternatives) => ({
      index,
      text: drawn.text,
      finish_reason: drawn.finish_reason,
      logprobs: listed(index, drawn, alternatives),
      token_ids: drawn.tokens,
      seed: drawn.seed,
    }),
    opening: () => null,
    piece: (index, piece, alternatives) => ({
      index,
      text: piece.text,
      finish_reason: null,
      logprobs: listed(index, piece, alternatives),
      token_ids: piece.tokens,
    }),
    closing: (index, finish_reason, seed) => ({
      index,
      text: "",
      finish_reason,
      logprobs: null,
      token_ids: [],
      seed,
    }),
  };
}

export function chatForm(
  { model, logprobs, top_logprobs }: ChatAsked,
  prompts: readonly number[][],
  tokenizer: Tokenizer,
): Form {
  const said = (id: number, logprob: number) => {
    const bytes = tokenizer.bytesOf(id);
    return { token: tokenName(bytes), logprob, bytes: [...bytes] };
  };
  const listed = (
    { tokens, logprobs: values }: Omit<Piece, "text">,
    alternatives?: readonly Listed[],
  ) => {
    if (!logprobs) return null;
    const content = tokens.map((id, k) => {
      const top = alternatives?.[k];
      const top_logprobs = top?.tokens.map((other, i) => said(other, top.logprobs[i]!)) ?? [];
      return { ...said(id, values[k]!), top_logprobs };
    });
    return { content, refusal: null };
  };
  return {
    ...common(prompts),
    alternatives: top_logprobs ?? 0,
    head: heading("chatcmpl", model, "chat.completion", "chat.completion.chunk"),
    choice: (index, drawn, alternatives) => ({
      index,
      message: { role: "assistant", content: drawn.text, refusal: null },
      finish_reason: drawn.finish_reason,
      logprobs: listed(drawn, alternatives),
      token_ids: drawn.tokens,
      seed: drawn.seed,
    }),
    opening: (index) => ({
      index,
      delta: { role: "assistant", content: "" },
      finish_reason: null,
      logprobs: null,
    }),
    piece: (index, piece, alternatives) => ({
      index,
      delta: { content: piece.text },
      finish_reason: null,
      logprobs: listed(piece, alternatives),
      token_ids: piece.tokens,
    }),
    closing: (index, finish_reason, seed) => ({
      index,
      delta: {},
      finish_reason,
      logprobs: null,
      seed,
    }),
  };
}

/** A token as text; one that is a part of a character as OpenAI names it, `bytes:\\xe2\\x86`. */
function tokenName(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `bytes:${[...bytes].map((b) => `\\x${b.toString(16).padStart(2, "0")}`).join("")}`;
  }
}

/** What OpenAI's clients read of an error. */
export function errorOf(thrown: unknown) {
  const { detail, code } = toProblem(thrown);
  return { message: detail, type: code, code, param: null };
}
