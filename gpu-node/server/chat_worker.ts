/**
 * The thread that runs one tokenizer's chat template (chat.ts). The thread is named after the
 * tokenizer's folder.
 */
/// <reference lib="deno.worker" />
import type { CollmError } from "../../shared/errors.ts";
import { toCollmError } from "../../shared/wire/problem.ts";
import { type ChatMessage, loadTokenizer } from "../model/tokenizer.ts";

/** `began`: the template runs from now on. */
export type ChatReply =
  | { began: true }
  | { tokens: number[] }
  | { error: Pick<CollmError, "code" | "message"> };

const tokenizer = loadTokenizer(self.name);
tokenizer.catch(() => {});
const reply = (message: ChatReply) => self.postMessage(message);

self.onmessage = async ({ data }: MessageEvent<ChatMessage[]>) => {
  try {
    const { applyChat } = await tokenizer;
    reply({ began: true });
    reply({ tokens: applyChat(data) });
  } catch (thrown) {
    const { code, message } = toCollmError(thrown);
    reply({ error: { code, message } });
  }
};
