/**
 * Trainer of byte-level BPE tokenizers, written as Hugging Face's tokenizer.json. Every byte has a
 * token, so any text is encoded and decoded exactly; merges never cross the pieces that the
 * pattern cuts a text into. Deterministic: the counts alone decide, ties go to the lower ids.
 */
import { CollmError } from "../../shared/errors.ts";

/** The fields of tokenizer.json that are written here. */
export interface TokenizerJson {
  version: "1.0";
  truncation: null;
  padding: null;
  added_tokens: AddedToken[];
  normalizer: null;
  pre_tokenizer: Record<string, unknown>;
  post_processor: Record<string, unknown> | null;
  decoder: Record<string, unknown>;
  model: { type: "BPE"; vocab: Record<string, number>; merges: string[] } & Record<string, unknown>;
}

interface AddedToken {
  id: number;
  content: string;
  single_word: false;
  lstrip: false;
  rstrip: false;
  normalized: false;
  special: true;
}

export interface BpeOptions {
  /** Number of tokens: special ones, 256 bytes, and merges for the rest. */
  vocabSize: number;
  /** Regular expression whose matches, and the gaps between them, are the pieces of a text. */
  pattern: string;
  /** Tokens with ids from 0 that no text is merged into. */
  specialTokens: readonly string[];
  /** Pieces that get a token of their own before the texts are looked at. */
  required?: readonly string[];
}

/** A distinct piece of text as token ids, and how often it occurs. */
interface Word {
  ids: number[];
  count: number;
}

/** Outweighs any count in a text, so that pairs within required pieces are merged first. */
const REQUIRED_COUNT = 2 ** 32;

/**
 * The character that stands for each byte in a byte-level vocabulary: printable bytes of Latin-1
 * for themselves, the others, in order, for the characters from U+0100.
 */
export const BYTE_CHARACTERS: readonly string[] = byteCharacters();

/** Byte-level spelling of a text: one character for each byte of its UTF-8 form. */
export function byteSpelling(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => BYTE_CHARACTERS[byte]!).join("");
}

/**
 * Learns a vocabulary from `texts`: repeatedly the most frequent pair of neighbouring tokens
 * becomes a token. Throws CollmError when the texts run out of pairs before `vocabSize`, or when
 * a required piece does not become one token.
 */
export function trainByteLevelBpe(texts: Iterable<string>, options: BpeOptions): TokenizerJson {
  const { vocabSize, pattern, specialTokens, required = [] } = options;
  checkOptions(options);
  const counts = countPieces(texts, new RegExp(pattern, "gu"), specialTokens);
  for (const piece of required) counts.set(piece, (counts.get(piece) ?? 0) + REQUIRED_COUNT);
  const encoder = new TextEncoder();
  const firstByte = specialTokens.length;
  const words: Word[] = [];
  const requiredWords: [string, Word][] = [];
  for (const [piece, count] of counts) {
    const word = { ids: Array.from(encoder.encode(piece), (byte) => firstByte + byte), count };
    words.push(word);
    if (count >= REQUIRED_COUNT) requiredWords.push([piece, word]);
  }
  const tokens = [...specialTokens, ...BYTE_CHARACTERS];
  const merges = learnMerges(words, tokens, vocabSize);
  const split = requiredWords.find(([, { ids }]) => ids.length > 1);
  if (split) {
    throw new CollmError(
      "invalid_request",
      `Cannot train tokenizer: required piece ${JSON.stringify(split[0])} takes ` +
        `${split[1].ids.length} tokens with vocabSize ${vocabSize}`,
    );
  }
  return tokenizerJson(tokens, merges, pattern, specialTokens);
}

function checkOptions({ vocabSize, pattern, specialTokens, required = [] }: BpeOptions): void {
  const refuse = (reason: string) =>
    new CollmError("invalid_request", `Cannot train tokenizer: ${reason}`);
  const least = specialTokens.length + 256;
  if (!Number.isSafeInteger(vocabSize) || vocabSize < least) {
    throw refuse(`vocabSize is ${vocabSize}, special tokens and bytes alone need ${least}`);
  }
  if (new Set(specialTokens).size !== specialTokens.length) {
    throw refuse(`specialTokens has a token twice: ${specialTokens.join(", ")}`);
  }
  const short = specialTokens.find((token) => token.length < 2);
  if (short !== undefined) {
    throw refuse(`special token ${JSON.stringify(short)} is shorter than 2 characters`);
  }
  const regex = new RegExp(pattern, "gu");
  const cut = required.find((piece) => pieces(piece, regex).length !== 1);
  if (cut !== undefined) {
    throw refuse(`the pattern does not leave required piece ${JSON.stringify(cut)} whole`);
  }
}

/** Pieces of `text`: the matches of `regex` and what lies between them. */
function pieces(text: string, regex: RegExp): string[] {
  const found: string[] = [];
  let end = 0;
  for (const match of text.matchAll(regex)) {
    if (match.index > end) found.push(text.slice(end, match.index));
    if (match[0] !== "") found.push(match[0]);
    end = match.index + match[0].length;
  }
  if (end < text.length) found.push(text.slice(end));
  return found;
}

/** How often each distinct piece occurs; special tokens in the texts separate, and are no pieces. */
function countPieces(texts: Iterable<string>, regex: RegExp, specialTokens: readonly string[]) {
  const escaped = [...specialTokens].sort((a, b) => b.length - a.length)
    .map((token) => token.replace(/[\\^$.*+?()[\]{}|\/]/g, "\\$&"));
  const special = escaped.length > 0 ? new RegExp(escaped.join("|"), "u") : undefined;
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const section of special ? text.split(special) : [text]) {
      for (const piece of pieces(section, regex)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
    }
  }
  return counts;
}

/**
 * Merges pairs in `words`, appending to `tokens`, until there are `vocabSize` of them.
 * Returns the merged pairs in order.
 */
function learnMerges(words: Word[], tokens: string[], vocabSize: number): [number, number][] {
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  // A pair (left, right) is the number left * vocabSize + right: smaller means lower ids.
  const pairCounts = new Map<number, number>();
  const wordsWith = new Map<number, Set<number>>();
  const tally = (index: number, sign: 1 | -1) => {
    const { ids, count } = words[index]!;
    for (let i = 1; i < ids.length; i++) {
      const pair = ids[i - 1]! * vocabSize + ids[i]!;
      const total = (pairCounts.get(pair) ?? 0) + sign * count;
      if (total > 0) pairCounts.set(pair, total);
      else pairCounts.delete(pair);
      if (sign > 0) {
        const set = wordsWith.get(pair);
        if (set) set.add(index);
        else wordsWith.set(pair, new Set([index]));
      }
    }
  };
  for (let index = 0; index < words.length; index++) tally(index, 1);

  const merges: [number, number][] = [];
  while (tokens.length < vocabSize) {
    const pair = mostFrequent(pairCounts);
    if (pair === undefined) {
      throw new CollmError(
        "invalid_request",
        `Cannot train tokenizer: the texts give ${tokens.length} tokens, vocabSize is ${vocabSize}`,
      );
    }
    const left = Math.floor(pair / vocabSize), right = pair % vocabSize;
    const token = tokens[left]! + tokens[right]!;
    // Two pairs can spell the same token, as a+bc and ab+c do.
    const merged = idOf.get(token) ?? tokens.push(token) - 1;
    idOf.set(token, merged);
    merges.push([left, right]);
    for (const index of wordsWith.get(pair)!) {
      tally(index, -1);
      words[index]!.ids = mergePair(words[index]!.ids, left, right, merged);
      tally(index, 1);
    }
    wordsWith.delete(pair);
  }
  return merges;
}

function mostFrequent(counts: ReadonlyMap<number, number>): number | undefined {
  let best: number | undefined;
  let most = 0;
  for (const [pair, total] of counts) {
    // Whether the required pieces fit must not hang on the texts.
    const count = total < REQUIRED_COUNT
      ? total
      : Math.floor(total / REQUIRED_COUNT) * REQUIRED_COUNT;
    if (count > most || count === most && pair < best!) [best, most] = [pair, count];
  }
  return best;
}

/** `ids` with each `left` `right`, from the left, replaced by `merged`. */
function mergePair(ids: readonly number[], left: number, right: number, merged: number): number[] {
  const result: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    const found = ids[i] === left && ids[i + 1] === right;
    result.push(found ? merged : ids[i]!);
    if (found) i++;
  }
  return result;
}

function tokenizerJson(
  tokens: readonly string[],
  merges: readonly [number, number][],
  pattern: string,
  specialTokens: readonly string[],
): TokenizerJson {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
        { ...byteLevel, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { ...byteLevel, use_regex: false },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map(([left, right]) => `${tokens[left]} ${tokens[right]}`),
    },
  };
}

function byteCharacters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = byte > 0x20 && byte < 0x7f || byte > 0xa0 && byte !== 0xad;
    return String.fromCharCode(printable ? byte : next++);
  });
}
