/**
 * Text to token ids and back, around the tokenizer of Transformers.js, from a folder or a hub id.
 * Only tokenizer files are read: no weights, no inference session.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { CollmError } from "../../shared/errors.ts";
import { transformersLibrary } from "../frozen/library.ts";
import { tokenizerFolder } from "../hub.ts";
import { readJsonObject } from "./files.ts";
import { tokenBytes } from "./token_bytes.ts";

export interface ChatMessage {
  role: string;
  content: string;
}

export interface Tokenizer {
  /** Token ids of `text`; with `addSpecialTokens` (default false) those of a text's start and end. */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /**
   * Text of `ids` without special tokens. Some tokenizers drop one space at the start of a text;
   * with `continuation` the ids stand in the middle of one, and every character is kept.
   * Bytes that form no character become U+FFFD; ids without a token become nothing.
   */
  decode(ids: readonly number[], options?: { continuation?: boolean }): string;
  /** Bytes that a token adds to a text: a part of a character where it is none by itself. */
  bytesOf(id: number): Uint8Array;
  /** Token ids of a conversation and the start of the assistant's answer (chat template). */
  applyChat(messages: readonly ChatMessage[]): number[];
  /** Any of these ends an answer: of the tokenizer and of generation_config.json. */
  readonly eosIds: readonly number[];
  readonly bosId: number | undefined;
  readonly padId: number | undefined;
  /** One more than the highest token id. */
  readonly vocabSize: number;
}

/**
 * Loads the tokenizer in `folder`, or that of a hub id; throws CollmError when a file is missing
 * or malformed.
 */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  // Absolute, because a relative path could also be the name of a model on the hub.
  const path = resolve(await tokenizerFolder(folder));
  // Read here first: the library reports a missing file late, and remembers that it was missing.
  const described = readJsonObject(join(path, "tokenizer.json"));
  readJsonObject(join(path, "tokenizer_config.json"));
  const generation = join(path, "generation_config.json");
  const listed = existsSync(generation) ? readJsonObject(generation).eos_token_id ?? [] : [];
  const { AutoTokenizer } = await transformersLibrary();
  let inner: Awaited<ReturnType<typeof AutoTokenizer.from_pretrained>>;
  try {
    inner = await AutoTokenizer.from_pretrained(path, { local_files_only: true });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CollmError("invalid_request", `Cannot load tokenizer '${folder}': ${reason}`, {
      cause,
    });
  }

  const encode: Tokenizer["encode"] = (text, { addSpecialTokens = false } = {}) =>
    inner.encode(text, { add_special_tokens: addSpecialTokens });
  // Tidying up spaces, the library's default where a configuration is silent, alters the text.
  const textOf = (ids: readonly number[]) =>
    ids.length === 0 ? "" : inner.decode([...ids], {
      skip_special_tokens: true,
      clean_up_tokenization_spaces: false,
    });
  // Ids that follow this letter are in the middle of a text.
  const letter = encode("a");
  const letterText = textOf(letter);
  const tokenOf = new Map([...inner.get_vocab()].map(([token, id]) => [id, token]));

  const eosId: number | undefined = inner.eos_token_id;
  const eosIds = [...new Set([eosId ?? [], listed].flat() as number[])];
  const templateFile = join(path, "chat_template.jinja");
  const template = existsSync(templateFile) ? readFileSync(templateFile, "utf8") : null;
  const rawBytes = tokenBytes(described);
  const decode: Tokenizer["decode"] = (ids, { continuation = false } = {}) => {
    const wrong = ids.find((id) => !Number.isSafeInteger(id) || id < 0);
    if (wrong !== undefined) {
      throw new CollmError("invalid_request", `Cannot decode tokens: ${wrong} is no token id`);
    }
    const known = ids.filter((id) => tokenOf.has(id));
    if (!continuation) return textOf(known);
    return textOf([...letter, ...known]).slice(letterText.length);
  };
  return {
    encode,
    decode,
    bytesOf(id) {
      const text = decode([id], { continuation: true });
      const raw = text.includes("\ufffd") ? rawBytes(tokenOf.get(id)!) : null;
      return raw ?? new TextEncoder().encode(text);
    },
    applyChat(messages) {
      try {
        const ids: unknown = inner.apply_chat_template([...messages], {
          ...(template !== null && { chat_template: template }),
          add_generation_prompt: true,
          tokenize: true,
          return_tensor: false,
          return_dict: false,
        });
        return ids as number[];
      } catch (cause) {
        const reason = template === null && !inner.chat_template
          ? "it has no chat template"
          : (cause as Error).message;
        throw new CollmError(
          "invalid_request",
          `Cannot apply the chat template of tokenizer '${folder}': ${reason}`,
          { cause },
        );
      }
    },
    eosIds,
    bosId: inner.bos_token_id,
    padId: inner.pad_token_id,
    // Not by Math.max(...): arguments are bounded by the stack, vocabularies of 150,000 are not.
    vocabSize: 1 + tokenOf.keys().reduce((most, id) => Math.max(most, id), -1),
  };
}
