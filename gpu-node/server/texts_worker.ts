/**
 * The thread that runs one tokenizer on long texts and its chat template (texts_child.ts). The
 * thread is named after the tokenizer's folder.
 */
/// <reference lib="deno.worker" />
import type { CollmError } from "../../shared/errors.ts";
import { toCollmError } from "../../shared/wire/problem.ts";
import { type ChatMessage, loadTokenizer } from "../model/tokenizer.ts";

/** A text, or a conversation. */
export type TextJob = string | readonly ChatMessage[];

/** `began`: the tokenizer is loaded, the job runs from now on. */
export type TextReply =
  | { began: true }
  | { tokens: number[] }
  | { error: Pick<CollmError, "code" | "message"> };

const tokenizer = loadTokenizer(self.name);
tokenizer.catch(() => {});
const reply = (message: TextReply) => self.postMessage(message);

self.onmessage = async ({ data }: MessageEvent<TextJob>) => {
  try {
    const { applyChat, encode } = await tokenizer;
    reply({ began: true });
    reply({
      tokens: typeof data === "string" ? encode(data, { addSpecialTokens: true }) : applyChat(data),
    });
  } catch (thrown) {
    const { code, message } = toCollmError(thrown);
    reply({ error: { code, message } });
  }
};
