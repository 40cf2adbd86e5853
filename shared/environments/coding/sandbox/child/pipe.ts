/**
 * Standard streams of a sandbox process, blocking. The handles are taken here, first of all,
 * because the global objects that offer them are removed before Python starts.
 */
const { stdin, stdout } = Deno;
/** Ends this process. */
export const exit: (code: number) => never = Deno.exit;

const NEWLINE = 10;
let pending = new Uint8Array(0);

/** Next line with its newline; ends the process when the parent has gone. */
export function readLine(): Uint8Array<ArrayBuffer> {
  for (let from = 0;;) {
    const at = pending.indexOf(NEWLINE, from);
    if (at >= 0) {
      const line = pending.slice(0, at + 1);
      pending = pending.subarray(at + 1);
      return line;
    }
    from = pending.length;
    const chunk = new Uint8Array(65_536);
    const size = stdin.readSync(chunk) ?? exit(0);
    const joined = new Uint8Array(from + size);
    joined.set(pending);
    joined.set(chunk.subarray(0, size), from);
    pending = joined;
  }
}

/** The next `size` bytes. */
export function readExactly(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  let at = Math.min(size, pending.length);
  bytes.set(pending.subarray(0, at));
  pending = pending.subarray(at);
  while (at < size) at += stdin.readSync(bytes.subarray(at)) ?? exit(0);
  return bytes;
}

export function writeAll(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += stdout.writeSync(bytes.subarray(at));
}

/** Writes one line of JavaScript's own; Python's lines start with 'P' and cannot pass for it. */
export function tell(line: string): void {
  writeAll(new TextEncoder().encode(`${line}\n`));
}
