/**
 * Texts to tokens where that takes long, in a process of their own, one per policy, started when it
 * is first needed: chat templates, because a template is a program that came with a checkpoint, and
 * one that does not end must hold up nobody else; long prompts, a megabyte of which takes seconds;
 * all prompts of a tokenizer that is not trusted. Leaves out the memory that these may take.
 */
import { resolve } from "node:path";
import { CollmError } from "../../shared/errors.ts";
import type { ChatMessage, Tokenizer } from "../model/tokenizer.ts";
import type { WaitOptions } from "../verbs.ts";
import { startTexts, type TextsProcess } from "./texts_process.ts";
import type { TextJob } from "./texts_worker.ts";
import { within } from "./wait.ts";

/** Longest run of a template, in milliseconds, and what each character adds to it. */
const LONGEST = 2000;
const PER_CHARACTER = 0.1;

/** Characters of a request's texts that become tokens at once: in some ten milliseconds. */
export const SHORT = 8192;

export interface Texts {
  /**
   * Token ids of each text with its special tokens: at once where that takes no time worth naming,
   * otherwise from the process, where other requests' texts may come in between.
   */
  encode(texts: readonly string[], options?: WaitOptions): number[][] | Promise<number[][]>;
  /** Token ids of a conversation and the start of the assistant's answer. */
  chat(messages: readonly ChatMessage[], options?: WaitOptions): Promise<number[]>;
  /** Ends the process; what waits for it is refused. */
  close(): void;
  /** Closes when what was asked is answered: others take the next texts. */
  retire(): void;
}

/**
 * The texts of a policy, whose `tokenizer` is that of `folder`. Jobs are taken one at a time, for
 * `longest` milliseconds and more by their length.
 */
export function openTexts(
  policy: string,
  folder: string,
  tokenizer: Tokenizer,
  { longest = LONGEST, trusted = true }: { longest?: number; trusted?: boolean } = {},
): Texts {
  const refused = (
    job: TextJob,
    code: "invalid_request" | "not_found" | "unavailable",
    why: string,
  ) => {
    const deed = typeof job === "string" ? "take a text as prompt" : "apply the chat template";
    return new CollmError(code, `Cannot ${deed} of policy '${policy}': ${why}`);
  };
  let process: TextsProcess | null = null;
  let last: Promise<unknown> = Promise.resolve();
  let closed = false;
  let retired = false;
  /** Requests that are not answered yet. */
  let users = 0;
  /** Ends the process and refuses what it is at. */
  let end: (code: "invalid_request" | "not_found" | "unavailable", why: string) => void = () => {};

  async function run(job: TextJob): Promise<number[]> {
    if (closed) throw refused(job, "not_found", "it was unloaded");
    const used = process ??= startTexts(folder);
    const { promise, resolve: done, reject } = Promise.withResolvers<number[]>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    end = (code, why) => {
      used.kill();
      process = null;
      reject(refused(job, code, why));
    };
    const most = Math.round(longest + PER_CHARACTER * charactersOf(job));
    const late = () => end("invalid_request", `it ran for more than ${most} ms`);
    used.onReply = (reply) => {
      if ("began" in reply) timer = setTimeout(late, most);
      else if ("tokens" in reply) done(reply.tokens);
      else reject(new CollmError(reply.error.code, byName(reply.error.message)));
    };
    used.onEnd = (why) => end("unavailable", why);
    used.send(job);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** A sentence that names the policy in the place of its folder, which is nobody's matter. */
  const byName = (message: string) =>
    message.replaceAll(`tokenizer '${folder}'`, `policy '${policy}'`)
      .replaceAll(resolve(folder), policy).replaceAll(`'${folder}`, `'${policy}`);

  function inTurn(job: TextJob, { signal }: WaitOptions = {}): Promise<number[]> {
    const mine = last.then(() => {
      signal?.throwIfAborted();
      return run(job);
    });
    last = mine.catch(() => {});
    return within(mine, signal);
  }

  async function inTurns(texts: readonly string[], options?: WaitOptions): Promise<number[][]> {
    const encoded: number[][] = [];
    for (const text of texts) encoded.push(await inTurn(text, options));
    return encoded;
  }

  function close(): void {
    closed = true;
    end("not_found", "it was unloaded");
    process?.kill();
  }

  async function answered<T>(work: Promise<T>): Promise<T> {
    users++;
    try {
      return await work;
    } finally {
      users--;
      if (retired && users === 0) close();
    }
  }

  return {
    encode(texts, options) {
      return trusted && texts.reduce((sum, text) => sum + text.length, 0) <= SHORT
        ? texts.map((text) => tokenizer.encode(text, { addSpecialTokens: true }))
        : answered(inTurns(texts, options));
    },
    chat: (messages, options) => answered(inTurn(messages, options)),
    close,
    retire() {
      retired = true;
      if (users === 0) close();
    },
  };
}

const charactersOf = (job: TextJob): number =>
  typeof job === "string"
    ? job.length
    : job.reduce((sum, message) => sum + (message?.content?.length ?? 0), 0);
