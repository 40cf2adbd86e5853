/**
 * Values on the command line: numbers, quoted strings, lists, tuples and dictionaries as Python
 * writes them; true, false, none and null alone in any case; anything else is its own text.
 * Leaves out f-strings, bytes, sets and complex numbers, which stay text.
 */

/** Value of the text after `=`. */
export function parseValue(text: string): unknown {
  const trimmed = text.trim();
  const word = trimmed.toLowerCase();
  if (word === "true" || word === "false") return word === "true";
  if (word === "none" || word === "null") return null;
  try {
    return new LiteralReader(trimmed).whole();
  } catch (error) {
    if (error instanceof NotALiteral) return trimmed;
    throw error;
  }
}

class NotALiteral extends Error {}

const NUMBER = /[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y;
const NAMES = new Map<string, unknown>([["True", true], ["False", false], ["None", null]]);
const ESCAPES = new Map([["n", "\n"], ["t", "\t"], ["r", "\r"], ["\n", ""]]);
const MAX_DEPTH = 32;

/** Recursive descent over one literal, left to right, every character read once. */
class LiteralReader {
  #at = 0;
  constructor(readonly text: string) {}

  /** The whole text as one value; values with commas between them are a tuple. */
  whole(): unknown {
    const items = this.#items("", 0);
    if (items.length === 0) throw new NotALiteral();
    return items.length === 1 && !this.text.endsWith(",") ? items[0] : items;
  }

  #value(depth: number): unknown {
    if (depth > MAX_DEPTH) throw new NotALiteral();
    const start = this.#peek();
    if (start === "[") return this.#open(() => this.#items("]", depth + 1));
    if (start === "{") return this.#open(() => this.#entries(depth + 1));
    if (start === "(") return this.#open(() => this.#tuple(depth + 1));
    if (start === "'" || start === '"') return this.#open(() => this.#string(start));
    for (const [name, value] of NAMES) if (this.#take(name)) return value;
    NUMBER.lastIndex = this.#at;
    const digits = NUMBER.exec(this.text)?.[0];
    if (digits === undefined || /^[+-]?0\d/.test(digits)) throw new NotALiteral();
    this.#at += digits.length;
    return Number(digits);
  }

  /** Values up to `end`, which is consumed; a comma may follow the last. */
  #items(end: string, depth: number): unknown[] {
    const items: unknown[] = [];
    while (!this.#closes(end)) {
      items.push(this.#value(depth));
      if (!this.#take(",") && this.#peek() !== end) throw new NotALiteral();
    }
    return items;
  }

  #tuple(depth: number): unknown {
    const items = this.#items(")", depth);
    const comma = /,\s*\)$/.test(this.text.slice(0, this.#at).slice(-64));
    return items.length === 1 && !comma ? items[0] : items;
  }

  #entries(depth: number): Record<string, unknown> {
    const entries: [string, unknown][] = [];
    while (!this.#closes("}")) {
      const key = this.#value(depth);
      if (typeof key !== "string" || !this.#take(":")) throw new NotALiteral();
      entries.push([key, this.#value(depth)]);
      if (!this.#take(",") && this.#peek() !== "}") throw new NotALiteral();
    }
    return Object.fromEntries(entries);
  }

  #string(quote: string): string {
    let value = "";
    while (this.#at < this.text.length) {
      const char = this.text[this.#at++]!;
      if (char === quote) return value;
      if (char !== "\\") value += char;
      else {
        const next = this.text[this.#at++] ?? "";
        const plain = next === "\\" || next === "'" || next === '"' ? next : "\\" + next;
        value += ESCAPES.get(next) ?? plain;
      }
    }
    throw new NotALiteral();
  }

  #open<T>(read: () => T): T {
    this.#at++;
    return read();
  }

  #closes(end: string): boolean {
    return end === "" ? this.#peek() === "" : this.#take(end);
  }

  /** Next character that is no space; "" at the end. */
  #peek(): string {
    while (/\s/.test(this.text[this.#at] ?? "")) this.#at++;
    return this.text[this.#at] ?? "";
  }

  #take(token: string): boolean {
    this.#peek();
    if (!this.text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }
}
