/**
 * Chat templates in a thread of their own, one per policy, started by its first chat: a template is
 * a program that came with a checkpoint, and one that does not end must hold up nobody else. Leaves
 * out the memory that a template may take.
 */
import { CollmError } from "../../shared/errors.ts";
import type { ChatMessage } from "../model/tokenizer.ts";
import type { WaitOptions } from "../verbs.ts";
import type { ChatReply } from "./chat_worker.ts";
import { within } from "./wait.ts";

/** Longest run of a template, in milliseconds. */
const LONGEST = 2000;

export interface Chat {
  /** Token ids of a conversation and the start of the assistant's answer. */
  apply(messages: readonly ChatMessage[], options?: WaitOptions): Promise<number[]>;
  /** Ends the thread; what waits for it is refused. */
  close(): void;
}

/** The chat template of the tokenizer in `folder`. Conversations are taken one at a time. */
export function openChat(policy: string, folder: string, longest = LONGEST): Chat {
  const refused = (code: "invalid_request" | "not_found" | "unavailable", why: string) =>
    new CollmError(code, `Cannot apply the chat template of policy '${policy}': ${why}`);
  let worker: Worker | null = null;
  let last: Promise<unknown> = Promise.resolve();
  let closed = false;
  /** Ends the thread and refuses what it is at. */
  let end = (_reason: CollmError) => {};

  async function run(messages: readonly ChatMessage[]): Promise<number[]> {
    if (closed) throw refused("not_found", "it was unloaded");
    const used = worker ??= new Worker(new URL("./chat_worker.ts", import.meta.url), {
      type: "module",
      name: folder,
    });
    const { promise, resolve, reject } = Promise.withResolvers<number[]>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    end = (reason) => {
      used.terminate();
      worker = null;
      reject(reason);
    };
    const late = () => end(refused("invalid_request", `it ran for more than ${longest} ms`));
    used.onmessage = ({ data }: MessageEvent<ChatReply>) => {
      if ("began" in data) timer = setTimeout(late, longest);
      else if ("tokens" in data) resolve(data.tokens);
      else reject(new CollmError(data.error.code, data.error.message));
    };
    used.onerror = (event) => {
      event.preventDefault();
      end(refused("unavailable", event.message));
    };
    used.postMessage(messages);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    apply(messages, { signal } = {}) {
      const mine = last.then(() => {
        signal?.throwIfAborted();
        return run(messages);
      });
      last = mine.catch(() => {});
      return within(mine, signal);
    },
    close() {
      closed = true;
      end(refused("not_found", "it was unloaded"));
      worker?.terminate();
    },
  };
}
