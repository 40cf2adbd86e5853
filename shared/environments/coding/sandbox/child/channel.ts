/**
 * The imports that a sandbox process provides itself: the file descriptor over which Python talks
 * to the parent, standard streams that lead nowhere, the limit of the memory, and the clock.
 * Leaves out what the lines mean (harness.ts).
 */
import { readLine, writeAll } from "./pipe.ts";
import { EBADF, type Import, Trap } from "./wall.ts";

/** File descriptor of the channel inside Python. */
const CHANNEL = 200;
/** Most bytes of one line from Python. */
const MAX_LINE = 8 * 2 ** 20;
/** Most bytes of Python's memory; asking for more is a MemoryError there. */
const MAX_MEMORY = 256 * 2 ** 20;
/** Memory above which a process is replaced rather than put back: a fresh one is small again. */
export const KEEP_BYTES = 96 * 2 ** 20;
/** Milliseconds between interrupts once a time limit is over. */
const AGAIN_MS = 200;
const NEWLINE = 10;

/** Thrown through Python's frames when the parent is done with a program. */
export class End extends Error {}

/** Python's memory, as the engine's module object shows it (replaced when it grows). */
export interface Memory {
  HEAPU8: Uint8Array;
  HEAPU32: Uint32Array;
}

const now = performance.now.bind(performance);
const decoder = new TextDecoder();

export class Channel {
  /** Set once the engine has started. */
  memory!: Memory;
  #limitMs = Infinity;
  #deadline = Infinity;
  #unread = new Uint8Array(0);
  #unsent: Uint8Array[] = [];
  #unsentSize = 0;

  /** What the engine polls for interrupts: slot 0 is 2 when the time of this line is over. */
  readonly interrupts: { 0: number };

  /** @param allow Told how many milliseconds Python may compute from now on. */
  constructor(readonly allow: (ms: number) => void) {
    const due = () => this.#interrupt();
    this.interrupts = {
      get 0() {
        return due();
      },
      set 0(_handled: number) {
        // The engine clears the slot when it has seen it; the clock needs no telling.
      },
    };
  }

  /** Forgets what a program left unread and unsent. */
  clear(): void {
    this.#deadline = Infinity;
    this.#unread = new Uint8Array(0);
    [this.#unsent, this.#unsentSize] = [[], 0];
  }

  /** Own form of an import, or `undefined` for imports that are none of the channel's business. */
  own(name: string, original: Import): Import | undefined {
    if (name === "fd_read") {
      return (fd, list, count, sizeAt) =>
        fd === CHANNEL || fd === 0
          ? this.#done(sizeAt!, fd === 0 ? 0 : this.#read(list!, count!))
          : original(fd!, list!, count!, sizeAt!);
    }
    if (name === "fd_write") {
      return (fd, list, count, sizeAt) =>
        fd === CHANNEL || fd === 1 || fd === 2
          ? this.#done(sizeAt!, this.#write(fd === CHANNEL, list!, count!))
          : EBADF;
    }
    if (name === "fd_close") {
      // Closed for good, their numbers would be given to the next program's files.
      return (fd) => fd! <= 2 ? 0 : original(fd!);
    }
    if (name === "emscripten_resize_heap") {
      return (size) => size! >>> 0 > MAX_MEMORY ? 0 : original(size!);
    }
    return undefined;
  }

  /** Given once per period: another interrupt within the handler of the first would be fatal. */
  #interrupt(): number {
    const time = now();
    if (time <= this.#deadline) return 0;
    this.#deadline = time + AGAIN_MS;
    return 2;
  }

  #done(sizeAt: number, size: number): number {
    this.memory.HEAPU32[sizeAt >>> 2] = size;
    return 0;
  }

  #read(list: number, count: number): number {
    if (this.#unread.length === 0) this.#unread = this.#nextLine();
    let size = 0;
    for (const [start, room] of this.#parts(list, count)) {
      const taken = this.#unread.subarray(0, room);
      this.memory.HEAPU8.set(taken, start);
      this.#unread = this.#unread.subarray(taken.length);
      size += taken.length;
    }
    this.#restartClock();
    return size;
  }

  #write(kept: boolean, list: number, count: number): number {
    let size = 0;
    for (const [start, length] of this.#parts(list, count)) {
      size += length;
      if (kept) this.#send(this.memory.HEAPU8.slice(start, start + length));
    }
    if (kept) this.#restartClock();
    return size;
  }

  /** Every line in or out starts the time limit anew. */
  #restartClock(): void {
    this.#deadline = now() + this.#limitMs;
    this.allow(this.#limitMs);
  }

  /** Next line for Python; lines for JavaScript are acted on here. */
  #nextLine(): Uint8Array<ArrayBuffer> {
    this.allow(Infinity);
    for (;;) {
      const line = readLine();
      const kind = String.fromCharCode(line[0]!);
      if (kind === "E") throw new End();
      if (kind !== "L") return line;
      this.#limitMs = Number(decoder.decode(line.subarray(1)));
    }
  }

  #send(bytes: Uint8Array): void {
    this.#unsentSize += bytes.length;
    if (this.#unsentSize > MAX_LINE) throw new Trap(`wrote a line of over ${MAX_LINE} bytes`);
    this.#unsent.push(bytes);
    if (bytes.at(-1) !== NEWLINE) return;
    const parts = this.#unsent;
    [this.#unsent, this.#unsentSize] = [[], 0];
    // 'P' marks every line inside as Python's.
    const text = parts.map((part) => decoder.decode(part, { stream: false })).join("");
    // A judge may stay as it is after a job, but not one that has grown.
    if (text.startsWith('{"done"') && this.memory.HEAPU8.length > KEEP_BYTES) {
      throw new Trap("used much memory");
    }
    const marked = text.slice(0, -1).replaceAll("\n", "\nP");
    writeAll(new TextEncoder().encode(`P${marked}\n`));
  }

  /** Parts of the memory that a scatter/gather list names. */
  *#parts(list: number, count: number): Generator<[start: number, size: number]> {
    for (let i = 0; i < count; i++) {
      const at = (list >>> 2) + 2 * i;
      yield [this.memory.HEAPU32[at]!, this.memory.HEAPU32[at + 1]!];
    }
  }
}
