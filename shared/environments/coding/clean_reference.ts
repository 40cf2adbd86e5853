/**
 * The published way from completions and tests to program text, to the letter: a scan of lines
 * that knows functions alone. It loses top-level imports, constants and classes, cuts a function
 * at its nested functions, and reads tests line by line. Leaves out the repaired way (clean.ts).
 */
import { splitLines, strip } from "../python_text.ts";

const PROSE = /^[A-Z][a-z].*[.!?:]$/;
const CODE_MARKS = ["def ", "return ", "if ", "for ", "while ", "=", "(", ")", "[", "]"];
const DEF = /^(\s*)def\s+\w+\s*\(/;

/** Functions of a completion, joined by blank lines; "" when it has none. */
export function cleanReference(text: string): string {
  const lines = text.replace(/```(?:python)?\s*/g, (fence) => fence.includes("\n") ? "\n" : "")
    .split("\n");
  const blocks: string[][] = [];
  let block: string[] | null = null;
  let base = 0;
  let quotes = "";
  for (const line of lines) {
    if (quotes !== "") {
      block!.push(line);
      if (line.includes(quotes)) quotes = "";
      continue;
    }
    const opens = DEF.exec(line);
    if (opens) {
      base = opens[1]!.length;
      blocks.push(block = [line]);
    } else if (block && isInside(line, base)) {
      block.push(line);
    } else if (block && quoteAt(line.slice(base)) && line.slice(0, base).trim() === "") {
      block.push(line);
      const mark = quoteAt(line.slice(base));
      if (!line.slice(base + 3).includes(mark)) quotes = mark;
    } else {
      block = null;
    }
  }
  const kept = blocks.map((lines) => lines.join("\n")).join("\n\n").split("\n")
    .filter((line) => !isProse(strip(line))).join("\n");
  return /def\s+\w+\s*\(/.test(kept) ? strip(kept) : "";
}

function isInside(line: string, base: number): boolean {
  return strip(line) === "" || line.startsWith(" ".repeat(base + 1)) || line.startsWith("\t");
}

function quoteAt(text: string): string {
  return text.startsWith('"""') ? '"""' : text.startsWith("'''") ? "'''" : "";
}

function isProse(line: string): boolean {
  return PROSE.test(line) && !CODE_MARKS.some((mark) => line.includes(mark));
}

/** The last function of a name in the cleaned text of a completion; "" when there is none. */
export function functionReference(text: string, name: string): string {
  return strip(lastFunction(cleanReference(text), name));
}

/** The last `def` of a name with all that is indented deeper, as it stands; "" for none. */
export function lastFunction(text: string, name: string): string {
  const lines = text.split("\n");
  const starts = (line: string) => DEF.test(line) && nameOf(line) === name;
  const start = lines.findLastIndex(starts);
  if (start < 0) return "";
  const base = indentOf(lines[start]!);
  const rest = lines.slice(start + 1).findIndex((line) =>
    strip(line) !== "" && indentOf(line) <= base
  );
  return lines.slice(start, rest < 0 ? undefined : start + 1 + rest).join("\n");
}

export const indentOf = (line: string): number => line.length - line.trimStart().length;

const nameOf = (line: string) => /def\s+(\w+)/.exec(line)![1]!;

/** Import lines of a problem's text, each once. */
export function importsReference(prompt: string): string {
  const lines = splitLines(prompt).map(strip).filter((line) =>
    /^from\s+[\w.]+\s+import\s+.*$/.test(line) || /^import\s[\w.,\s]+$/.test(line)
  );
  return [...new Set(lines)].join("\n");
}

/** The assert lines of `check(candidate)` that name the candidate, each once, for `entry`. */
export function testsReference(test: string, entry: string): string[] {
  const head = "def check(candidate):";
  const at = test.indexOf(head);
  if (at < 0) return [];
  const body = test.slice(at + head.length).split(/\n[^\S\n]*\ndef/, 1)[0]!;
  const lines = body.split("\n").map(strip).filter((line) =>
    /^assert\s/.test(line) && line.includes("candidate")
  );
  return [...new Set(lines)].map((line) => line.replaceAll("candidate", entry));
}

/**
 * A test as the published reward runs it: a simple comparison has its call and its expected value
 * evaluated once before the assert (so functions run twice), found by a pattern that a parenthesis
 * within an argument leads astray.
 */
export function runReference(test: string): string {
  const found = /^assert\s+(\w+)\(([^)]*)\)\s*==\s*(.+)/.exec(test);
  if (!found) return test;
  const [, name, args, rest] = found;
  // The message of an assert would make the expected value a tuple: evaluated all the same.
  return `(${name}(${args}))\n(${rest})\n${test}`;
}
