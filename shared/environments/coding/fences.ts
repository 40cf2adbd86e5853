/**
 * Code in a completion amid prose: what stands in fences, also indented ones of lists.
 * One pass over the lines. Leaves out what the code is.
 */

/** A line that begins fenced code, which may be an item of a list. */
const OPENING =
  /^([^\S\n]*(?:(?:[-*+]|[0-9]{1,9}[.)])[^\S\n]+)?)(`{3,}|~{3,})[^\S\n]*([\w+.#-]*)[^\S\n]*(?:\{[^}`]*\})?[^\S\n]*$/;

/** Lines that are a mark and nothing else. */
const MARK = /^\s*(?:`{3,}|~{3,})\S*\s*$/;

/** A line without the marks that it shares with code; those in the middle are in its texts. */
const withoutMarks = (line: string): string =>
  !line.includes("```") || MARK.test(line)
    ? line
    : line.replace(/^(\s*)```(?:python)?\s*/, "$1").replace(/```(?:python)?\s*$/, "");

interface Fence {
  mark: string;
  indent: number;
  lines: string[];
}

/** A line without the signs before it that nobody sees and Python refuses. */
const visible = (line: string): string => line.replace(/^[\u200b-\u200f\ufeff]+/, "");

/** Triple quotes that are open after a line. */
function quotesAfter(line: string, quotes: string): string {
  for (const [mark] of line.matchAll(/"""|'''/g)) {
    if (quotes === "") quotes = mark;
    else if (quotes === mark) quotes = "";
  }
  return quotes;
}

/** Texts in which functions are looked for, best first: all fenced code, then everything. */
export function textsOf(completion: string): string[] {
  const blocks: string[] = [];
  const all: string[] = [];
  let fence: Fence | undefined;
  const close = () => {
    if (!fence) return;
    const block = dedent(fence.lines);
    blocks.push(block);
    all.push(block);
    [fence, quotes] = [undefined, ""];
  };
  /** Triple quotes of the string that is open, else "". */
  let quotes = "";
  const add = (line: string) => {
    quotes = quotesAfter(line, quotes);
    (fence?.lines ?? all).push(line);
  };
  const lines = completion.replaceAll(/\r\n?/g, "\n").split("\n").map(visible);
  const last = new Map(
    ['"""', "'''"].map((quotes) => [quotes, lines.findLastIndex((line) => line.includes(quotes))]),
  );
  // Line by line: a pattern over the whole text would begin anew at every one of a million marks.
  for (const [at, line] of lines.entries()) {
    const [, before = "", mark = "", language = ""] = OPENING.exec(line) ?? [];
    // Marks that are indented much deeper, or stand in a docstring, belong to the code.
    const isQuoted = (last.get(quotes) ?? -1) > at;
    const isMark = mark !== "" &&
      (fence
        ? before.length < fence.indent + 4 && !isQuoted
        : !isQuoted || before === "" || language !== "");
    if (!isMark) add(line);
    else if (!fence || language !== "") {
      close();
      [fence, quotes] = [{ mark, indent: before.length, lines: [] }, ""];
    } else if (mark.startsWith(fence.mark)) close();
    else add(line);
  }
  close();
  const texts = blocks.some((block) => /\bdef\s/.test(block)) ? [blocks.join("\n")] : [];
  return [...texts, dedent(all)].map((text) => text.split("\n").map(withoutMarks).join("\n"));
}

/** Lines without the blanks that all of them begin with. */
function dedent(lines: readonly string[]): string {
  let margin = Infinity;
  for (const line of lines) {
    const blanks = line.length - line.trimStart().length;
    if (blanks < line.length) margin = Math.min(margin, blanks);
  }
  return lines.map((line) => line.slice(margin)).join("\n");
}
