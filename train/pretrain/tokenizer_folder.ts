/**
 * Tokenizer files of a model folder as Hugging Face and Transformers.js read them. Weights and
 * config.json are written elsewhere.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { CollmError } from "../../shared/errors.ts";
import { fileError, writeJsonAtomic } from "../../gpu-node/model/files.ts";
import type { TokenizerJson } from "./bpe.ts";

export interface TokenizerFolderOptions {
  /** Jinja template from messages to prompt text. */
  chatTemplate: string;
  /** Special tokens of the tokenizer, by their text. */
  bos: string;
  eos: string;
  pad: string;
  /** Longest text in tokens. */
  modelMaxLength: number;
}

/**
 * Writes tokenizer.json, tokenizer_config.json, special_tokens_map.json and
 * generation_config.json into `folder`, which is created if need be. Throws CollmError, before
 * anything is written, when bos, eos or pad is no special token of the tokenizer.
 */
export function writeTokenizerFolder(
  folder: string,
  tokenizer: TokenizerJson,
  { chatTemplate, bos, eos, pad, modelMaxLength }: TokenizerFolderOptions,
): void {
  const idOf = (role: string, content: string) => {
    const token = tokenizer.added_tokens.find((added) => added.content === content);
    if (token) return token.id;
    throw new CollmError(
      "invalid_request",
      `Cannot write tokenizer to '${folder}': ${role} '${content}' is no special token of it`,
    );
  };
  const ids = {
    bos_token_id: idOf("bos", bos),
    eos_token_id: idOf("eos", eos),
    pad_token_id: idOf("pad", pad),
  };
  if (!Number.isSafeInteger(modelMaxLength) || modelMaxLength < 1) {
    throw new CollmError(
      "invalid_request",
      `Cannot write tokenizer to '${folder}': modelMaxLength is ${modelMaxLength}`,
    );
  }
  try {
    mkdirSync(folder, { recursive: true });
  } catch (cause) {
    throw fileError("create folder", folder, cause);
  }
  const named = { bos_token: bos, eos_token: eos, pad_token: pad };
  const files = {
    "tokenizer.json": tokenizer,
    "tokenizer_config.json": {
      tokenizer_class: "PreTrainedTokenizerFast",
      ...named,
      model_max_length: modelMaxLength,
      clean_up_tokenization_spaces: false,
      // Answers of a batch begin in the same column only if prompts are padded on the left.
      padding_side: "left",
      chat_template: chatTemplate,
    },
    "special_tokens_map.json": named,
    // A policy is a distribution: plain sampling, without the truncation that is the default.
    "generation_config.json": { ...ids, do_sample: true, temperature: 1, top_k: 0, top_p: 1 },
  };
  for (const [name, value] of Object.entries(files)) writeJsonAtomic(join(folder, name), value);
}
