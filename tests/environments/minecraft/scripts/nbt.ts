/** Reads the part of NBT that schematics are written with. Leaves out lists, floats and longs. */

export async function readNbt(gzipped: Uint8Array) {
  const stream = new Blob([new Uint8Array(gzipped)]).stream().pipeThrough(
    new DecompressionStream("gzip"),
  );
  const view = new DataView(await new Response(stream).arrayBuffer());
  let at = 0;
  const int = (bytes: 1 | 2 | 4): number => {
    const value = bytes === 1
      ? view.getInt8(at)
      : bytes === 2
      ? view.getInt16(at)
      : view.getInt32(at);
    at += bytes;
    return value;
  };
  const text = (): string => {
    const bytes = new Uint8Array(view.buffer, at + 2, int(2));
    at += bytes.length;
    return new TextDecoder().decode(bytes);
  };
  const many = (bytes: 1 | 4) => Array.from({ length: int(4) }, () => int(bytes));
  const payload = (tag: number): unknown => {
    if (tag === 2) return int(2);
    if (tag === 3) return int(4);
    if (tag === 7) return many(1);
    if (tag === 8) return text();
    if (tag === 11) return many(4);
    if (tag !== 10) throw new TypeError(`tag ${tag} is not read`);
    const fields: Record<string, unknown> = {};
    for (let child = int(1); child !== 0; child = int(1)) {
      const name = text();
      fields[name] = payload(child);
    }
    return fields;
  };
  const tag = int(1);
  const name = text();
  return { name, value: payload(tag) as Record<string, unknown> };
}
