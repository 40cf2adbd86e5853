/**
 * What is read off program text: whether the main function uses its helper, merely wraps it, or
 * ignores what it returns. Leaves out what needs a parser (questions to the sandbox).
 */
import { strip } from "../python_text.ts";

/** Whether a function returns something, as far as its text shows. */
export const hasReturn = (code: string): boolean => /\breturn[\s([{'"+~-]/.test(code);

/** The same as published: `return` and white space. */
export const hasReturnReference = (code: string): boolean => /return\s/.test(code);

/** Whether the text calls `aux` anywhere, comments included. */
export const usesAux = (code: string): boolean => /\baux\s*\(/.test(code);

/** Whether a main function does nothing but pass on what `aux` returns. */
export function isWrapper(code: string): boolean {
  if (code === "") return false;
  const lines = codeLines(code);
  if (lines.length === 0) return true;
  const [first, second] = lines as [string, string?];
  if (lines.length === 1) return first.startsWith("return ") && first.includes("aux");
  const name = /^(\w+)\s*=\s*aux\s*\(/.exec(first)?.[1];
  return lines.length === 2 && name !== undefined && second === `return ${name}`;
}

/** Lines that do something: no blanks, comments, docstrings or heads of functions. */
function codeLines(code: string): string[] {
  let quotes = "";
  return code.split("\n").map(strip).filter((line) => {
    if (quotes !== "") {
      if (line.includes(quotes)) quotes = "";
      return false;
    }
    const mark = ['"""', "'''"].find((mark) => line.startsWith(mark));
    if (mark !== undefined) {
      if (!line.slice(3).includes(mark)) quotes = mark;
      return false;
    }
    return line !== "" && !line.startsWith("#") && !line.startsWith("def ");
  });
}

/** Calls of `aux` whose result is lost, as published: one blank and one character in brackets. */
export function ignoredReference(code: string): string[] {
  return code.split("\n").flatMap((line, i) =>
    /^\s*aux\s\(.\)\s*$/.test(line) ? [`Line ${i + 1}: ${strip(line)}`] : []
  );
}

/** The tests that feedback may show: the first `slice`, all for 0, null or "all", else the last. */
export function visibleTests<T>(tests: readonly T[], slice: number | "all" | null): T[] {
  if (slice === null || slice === "all" || slice === 0) return [...tests];
  return slice > 0 ? tests.slice(0, slice) : tests.slice(slice);
}
