/**
 * Which tokenizers may run in the server's own thread. One that a client uploaded may hold regular
 * expressions that take for ever on a short text: its texts become tokens in a process that can be
 * killed (texts.ts). What turns tokens back into text runs here, so it must be without any. A
 * tokenizer equal to one of the server's models or of a hub's is as good as that one. Leaves out the
 * size of a vocabulary.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CollmError } from "../../shared/errors.ts";
import { hashOf } from "../../shared/store/canonical.ts";

export interface TokenizerTrust {
  /**
   * Whether the tokenizer in `folder` may run here; `uploaded` is the id of the checkpoint that it
   * came with, if it did.
   * @throws CollmError `invalid_request` for an unknown one whose decoder is a regular expression
   */
  admit(folder: string, uploaded: string | undefined): Promise<boolean>;
}

export function tokenizerTrust(): TokenizerTrust {
  /** Hashes of the tokenizers that whoever started the server chose. */
  const chosen = new Set<string>();
  return {
    async admit(folder, uploaded) {
      const text = await readFile(join(folder, "tokenizer.json"), "utf8");
      const hash = hashOf(text);
      if (uploaded === undefined) chosen.add(hash);
      if (chosen.has(hash)) return true;
      if (!hasPattern((JSON.parse(text) as { decoder?: unknown }).decoder)) return false;
      throw new CollmError(
        "invalid_request",
        `Cannot use the tokenizer of checkpoint '${uploaded}': its decoder is a regular expression`,
      );
    },
  };
}

/** Whether a part of a tokenizer's file holds a regular expression. */
const hasPattern = (part: unknown): boolean =>
  typeof part === "object" && part !== null &&
  Object.entries(part).some(([key, value]) => key === "Regex" || hasPattern(value));
