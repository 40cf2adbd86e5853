/**
 * Writing of NBT, the game's binary format (big-endian), and gzip around it. Values carry their
 * type, because the format tells a short from an int. Leaves out reading and the rarer types.
 */

export type Nbt =
  | { short: number }
  | { int: number }
  | { string: string }
  | { bytes: Uint8Array }
  | { ints: readonly number[] }
  | { compound: Readonly<Record<string, Nbt>> };

const TAGS = { short: 2, int: 3, bytes: 7, string: 8, compound: 10, ints: 11 } as const;

/** File content: one named compound. */
export function encodeNbt(name: string, root: Readonly<Record<string, Nbt>>): Uint8Array {
  const out: number[] = [TAGS.compound];
  writeText(out, name);
  writePayload(out, { compound: root });
  return Uint8Array.from(out);
}

/** Bytes compressed as gzip. */
export async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([new Uint8Array(bytes)]).stream().pipeThrough(
    new CompressionStream("gzip"),
  );
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function writePayload(out: number[], value: Nbt): void {
  if ("short" in value) writeBig(out, value.short, 2);
  else if ("int" in value) writeBig(out, value.int, 4);
  else if ("string" in value) writeText(out, value.string);
  else if ("bytes" in value) {
    writeBig(out, value.bytes.length, 4);
    for (const byte of value.bytes) out.push(byte);
  } else if ("ints" in value) {
    writeBig(out, value.ints.length, 4);
    for (const int of value.ints) writeBig(out, int, 4);
  } else {
    for (const [name, child] of Object.entries(value.compound)) {
      out.push(TAGS[Object.keys(child)[0] as keyof typeof TAGS]);
      writeText(out, name);
      writePayload(out, child);
    }
    out.push(0);
  }
}

/** A whole number in big-endian two's complement. */
function writeBig(out: number[], value: number, bytes: number): void {
  for (let shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out.push((value >> shift) & 0xff);
}

/** Length and UTF-8 text; the names written here are ASCII, where the game's own variant agrees. */
function writeText(out: number[], text: string): void {
  const bytes = new TextEncoder().encode(text);
  writeBig(out, bytes.length, 2);
  for (const byte of bytes) out.push(byte);
}
