/**
 * Code in a completion amid prose: what stands in fences, also indented ones of lists.
 * One pass over the lines. Leaves out what the code is.
 */

/** A line that begins fenced code, which may be an item of a list. */
const OPENING =
  /^([^\S\n]*(?:(?:[-*+]|[0-9]{1,9}[.)])[^\S\n]+)?)(`{3,}|~{3,})[^\S\n]*([\w+.#-]*)[^\S\n]*(?:\{[^}`]*\})?[^\S\n]*$/;

interface Fence {
  mark: string;
  indent: number;
  lines: string[];
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
    fence = undefined;
  };
  // Line by line: a pattern over the whole text would begin anew at every one of a million marks.
  for (const line of completion.replaceAll(/\r\n?/g, "\n").split("\n")) {
    const [, before = "", mark = "", language = ""] = OPENING.exec(line) ?? [];
    // Marks that are indented much deeper belong to the code, as those of a docstring.
    const isMark = mark !== "" && (!fence || before.length < fence.indent + 4);
    if (!isMark) (fence?.lines ?? all).push(line);
    else if (!fence || language !== "") {
      close();
      fence = { mark, indent: before.length, lines: [] };
    } else if (mark.startsWith(fence.mark)) close();
    else fence.lines.push(line);
  }
  close();
  const texts = blocks.some((block) => /\bdef\s/.test(block)) ? [blocks.join("\n")] : [];
  // Marks on a line with code.
  return [...texts, dedent(all)].map((text) => text.replaceAll(/```(?:python)?[^\S\n]*/g, ""));
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
