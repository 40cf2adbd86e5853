/**
 * Python text as logical lines of tokens: strings of every kind, comments, brackets and lines that
 * go on are told apart, so that no word in a string or comment passes for code. It reads code amid
 * prose: quotes and brackets that are never closed do not take what follows with them.
 * One pass over the text, whatever it is. Leaves out syntax: what a line of tokens means.
 */

export interface Token {
  /** odd: what no Python program has outside of strings and comments, such as a lone quote. */
  kind: "name" | "number" | "string" | "op" | "odd";
  text: string;
  start: number;
  end: number;
  /** Brackets (and f-strings) it stands in; a bracket itself stands outside of its pair. */
  depth: number;
}

/** A line and those it goes on in; lines without a token are left out. */
export interface Line {
  /** Where it begins, blanks included. */
  start: number;
  /** Where its last physical line ends, comments included. */
  end: number;
  /** Columns of blanks before its first token. */
  indent: number;
  tokens: Token[];
}

const BLANKS = /[^\S\n]+|\\\n/y;
const NAME = /[\p{L}_][\p{L}\p{N}\p{M}_]*/uy;
const NUMBER = /\.?[0-9](?:[\w.])*/y;
const PREFIX = /^(?:[bruft]|[bft]r|r[bft])$/i;
const OPERATOR =
  /\*\*=|\/\/=|<<=|>>=|\.\.\.|->|:=|[=!<>+\-*\/%@&|^]=|\*\*|\/\/|<<|>>|[-+*\/%@&|^~<>=.,:;()[\]{}]/y;
/** What begins a statement and stands in no bracket: one before it was never closed. */
const BEGINS =
  /[^\S\n]*(?:(?:async[ \t]+)?def|class|return|import|from[ \t]+[\w.]+[ \t]+import|while|raise)\b/y;

/** What is open: a bracket, the text of an f-string (by its quotes), a field in it, its format. */
interface Open {
  kind: "bracket" | "text" | "field" | "format";
  mark: string;
}

/** Logical lines of a text; `\n` alone ends a line. */
export function linesOf(text: string): Line[] {
  return new Reader(text).read();
}

class Reader {
  #at = 0;
  #start = 0;
  #lines: Line[] = [];
  #tokens: Token[] = [];
  #open: Open[] = [];
  /** Triple quotes that are not closed in the rest of the text. */
  #unclosed = new Set<string>();

  constructor(readonly text: string) {}

  read(): Line[] {
    while (this.#at < this.text.length) {
      const top = this.#open.at(-1);
      if (top?.kind === "text" || top?.kind === "format") this.#literal(top);
      else this.#code(top);
    }
    this.#endLine(this.text.length);
    return this.#lines;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.text)?.[0];
  }

  #push(kind: Token["kind"], end: number): void {
    const { length: depth } = this.#open;
    const text = this.text.slice(this.#at, end);
    this.#tokens.push({ kind, text, start: this.#at, end, depth });
    this.#at = end;
  }

  #endLine(end: number): void {
    const [start, tokens] = [this.#start, this.#tokens];
    const first = tokens[0];
    if (first) this.#lines.push({ start, end, indent: this.#indent(first.start), tokens });
    [this.#start, this.#tokens, this.#open] = [end + 1, [], []];
  }

  #indent(end: number): number {
    let column = 0;
    for (let i = this.#start; i < end; i++) column += this.text[i] === "\t" ? 8 - column % 8 : 1;
    return column;
  }

  #code(top: Open | undefined): void {
    const { text } = this;
    const char = text[this.#at]!;
    if (char === "\n") {
      this.#at++;
      if (!top || this.#tokens.length === 0 || this.#match(BEGINS) !== undefined) {
        this.#endLine(this.#at - 1);
      }
      return;
    }
    const blanks = this.#match(BLANKS);
    if (blanks !== undefined) this.#at += blanks.length;
    else if (char === "#") this.#at = this.#lineEnd();
    else if (char === '"' || char === "'") this.#string("");
    else {
      const name = this.#match(NAME);
      const end = this.#at + (name?.length ?? 0);
      if (name !== undefined) {
        if (name.length <= 2 && PREFIX.test(name) && (text[end] === '"' || text[end] === "'")) {
          this.#string(name);
        } else this.#push("name", end);
      } else this.#operator(top);
    }
  }

  #operator(top: Open | undefined): void {
    const number = this.#match(NUMBER);
    if (number !== undefined) return this.#push("number", this.#at + number.length);
    const operator = this.#match(OPERATOR);
    const inField = top?.kind === "field";
    if (operator === undefined) {
      const size = this.text.codePointAt(this.#at)! > 0xffff ? 2 : 1;
      const isOp = inField && this.text[this.#at] === "!";
      return this.#push(isOp ? "op" : "odd", this.#at + size);
    }
    if (inField && operator[0] === ":") {
      this.#push("op", this.#at + 1);
      this.#open.push({ kind: "format", mark: top.mark });
      return;
    }
    const closes = ")]}".includes(operator);
    if (closes && top) this.#open.pop();
    this.#push(closes && !top ? "odd" : "op", this.#at + operator.length);
    if ("([{".includes(operator)) this.#open.push({ kind: "bracket", mark: "" });
  }

  #lineEnd(): number {
    const end = this.text.indexOf("\n", this.#at);
    return end < 0 ? this.text.length : end;
  }

  #string(prefix: string): void {
    const { text } = this;
    const from = this.#at + prefix.length;
    const triple = text.startsWith(text[from]!.repeat(3), from);
    const mark = triple ? text.slice(from, from + 3) : text[from]!;
    const end = this.#close(from + mark.length, mark);
    if (end < 0) this.#push("odd", triple ? from + 3 : this.#lineEnd());
    else if (!/[ft]/i.test(prefix)) this.#push("string", end);
    else {
      this.#push("string", from + mark.length);
      this.#open.push({ kind: "text", mark });
    }
  }

  /** End of a string that began before `from`, its quotes included; -1 when it has none. */
  #close(from: number, mark: string): number {
    if (this.#unclosed.has(mark)) return -1;
    for (let i = from; i < this.text.length; i++) {
      if (this.text[i] === "\\") i++;
      else if (this.text[i] === "\n" && mark.length === 1) return -1;
      else if (this.text.startsWith(mark, i)) return i + mark.length;
    }
    if (mark.length === 3) this.#unclosed.add(mark);
    return -1;
  }

  /** A piece of an f-string's text, or of the format in one of its fields. */
  #literal({ kind, mark }: Open): void {
    const { text } = this;
    const ends = kind === "text" ? mark : "}";
    let i = this.#at;
    for (; i < text.length && !text.startsWith(ends, i); i++) {
      const pair = text.slice(i, i + 2);
      if (kind === "text" && (pair === "{{" || pair === "}}")) i++;
      else if (pair[0] === "\\" && pair[1] !== "{") i++;
      else if (pair[0] === "{") break;
      else if (pair[0] === "\n" && mark.length === 1) break;
    }
    i = Math.min(i, text.length);
    if (i > this.#at) this.#push("string", i);
    if (text.startsWith(ends, i)) {
      this.#open.pop();
      // With a format its field ends as well.
      if (kind === "format") this.#open.pop();
      this.#push(kind === "text" ? "string" : "op", i + ends.length);
    } else if (text[i] === "{") {
      this.#push("op", i + 1);
      this.#open.push({ kind: "field", mark });
    } else if (text[i] === "\n") {
      this.#at++;
      this.#endLine(i);
    }
  }
}
