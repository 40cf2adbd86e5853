/**
 * Which tokenizers may run in the server's own thread. One that a client uploaded may hold regular
 * expressions that take for ever on a short text: its texts become tokens in a process that can be
 * killed (texts.ts), and it is loaded there before it is loaded here, because loading runs them too,
 * on its own added tokens. What turns tokens back into text must be without any. A tokenizer equal to one of the server's models or of a hub's is as good as that one. Leaves out the
 * size of a vocabulary.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CollmError } from "../../shared/errors.ts";
import { hashOf } from "../../shared/store/canonical.ts";
import { readJsonObject } from "../model/files.ts";
import { startTexts } from "./texts_process.ts";

export interface TokenizerTrust {
  /**
   * Whether the tokenizer in `folder` may run here; `uploaded` is the id of the checkpoint that it
   * came with, if it did.
   * @throws CollmError `invalid_request` for an unknown one whose decoder is a regular expression,
   * or that does not load in time; and for a file that is none
   */
  admit(folder: string, uploaded: string | undefined): Promise<boolean>;
}

/** Longest time that a process may take to start, load a tokenizer and use it once. */
const LONGEST_MS = 20_000;

export function tokenizerTrust(longest = LONGEST_MS): TokenizerTrust {
  /** Hashes of the tokenizers that whoever started the server chose. */
  const chosen = new Set<string>();
  return {
    async admit(folder, uploaded) {
      const file = join(folder, "tokenizer.json");
      const { decoder } = readJsonObject(file);
      const hash = hashOf(await readFile(file, "utf8"));
      if (uploaded === undefined) chosen.add(hash);
      if (chosen.has(hash)) return true;
      const refused = (why: string) =>
        new CollmError(
          "invalid_request",
          `Cannot use the tokenizer of checkpoint '${uploaded}': ${why}`,
        );
      if (hasPattern(decoder)) throw refused("its decoder is a regular expression");
      const tried = await tryApart(folder, longest);
      if (tried !== null) throw tried instanceof CollmError ? tried : refused(tried);
      return false;
    },
  };
}

/** Why the tokenizer in `folder` cannot be loaded and used, found out in a process of its own. */
async function tryApart(folder: string, longest: number): Promise<CollmError | string | null> {
  const { promise, resolve } = Promise.withResolvers<CollmError | string | null>();
  const process = startTexts(folder);
  const timer = setTimeout(() => resolve(`loading it takes more than ${longest} ms`), longest);
  process.onReply = (reply) => {
    if ("tokens" in reply) resolve(null);
    if ("error" in reply) resolve(new CollmError(reply.error.code, reply.error.message));
  };
  process.onEnd = resolve;
  process.send("a");
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    process.kill();
  }
}

/** Whether a part of a tokenizer's file holds a regular expression. */
const hasPattern = (part: unknown): boolean =>
  typeof part === "object" && part !== null &&
  Object.entries(part).some(([key, value]) => key === "Regex" || hasPattern(value));
