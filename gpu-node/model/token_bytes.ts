/**
 * The bytes that tokens stand for, where a token may be a part of a character: vocabularies write
 * them as letters of their own (byte-level BPE) or as `<0xE2>` (byte fallback).
 */

/** Reads bytes off a token's name; null for a token that is text. */
export type TokenBytes = (token: string) => Uint8Array | null;

/** For the tokenizer that a tokenizer.json describes. */
export function tokenBytes({ decoder }: Record<string, unknown>): TokenBytes {
  const kinds = kindsOf(decoder);
  return (token) => {
    const hex = kinds.includes("ByteFallback") ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1] : null;
    if (hex) return Uint8Array.of(Number.parseInt(hex, 16));
    if (!kinds.includes("ByteLevel")) return null;
    const bytes = [...token].map((letter) => BYTE_OF.get(letter));
    return bytes.every((byte) => byte !== undefined) ? Uint8Array.from(bytes) : null;
  };
}

/** Types of a decoder and its parts. */
function kindsOf(decoder: unknown): unknown[] {
  if (typeof decoder !== "object" || decoder === null) return [];
  const { type, decoders } = decoder as { type?: unknown; decoders?: unknown };
  return [type, ...Array.isArray(decoders) ? decoders.flatMap(kindsOf) : []];
}

/**
 * Byte-level vocabularies (GPT-2's) write a byte as the letter of its code where that is printable
 * in Latin-1, the others in order as the letters from U+0100.
 */
const BYTE_OF: ReadonlyMap<string, number> = (() => {
  const printable = (byte: number) =>
    byte >= 0x21 && byte <= 0x7e || byte >= 0xa1 && byte <= 0xac || byte >= 0xae;
  const letters = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    letters.set(String.fromCharCode(printable(byte) ? byte : next++), byte);
  }
  return letters;
})();
