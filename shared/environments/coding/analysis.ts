/**
 * What is read off program text: whether the main function uses its helper, merely wraps it, or
 * ignores what it returns; each as it is meant, and as published.
 * Leaves out what needs a parser (questions to the sandbox).
 */
import { strip } from "../python_text.ts";
import { chunksOf } from "./chunks.ts";
import { linesOf, type Token } from "./python_lines.ts";
import { isName, statementsOf } from "./python_names.ts";

/** Whether a function returns something, as far as its text shows: a last `return` alone does not. */
export const hasReturn = (code: string): boolean =>
  linesOf(code).some(({ tokens }) =>
    tokens.some((token) => isName(token, "return") && token.end < code.length)
  );

/** The same as published: `return` and white space. */
export const hasReturnReference = (code: string): boolean => /return\s/.test(code);

/**
 * Whether a program calls the helper: `aux(` outside of strings and comments, in what reads an `aux`
 * that is none of its own: no method, parameter or function within.
 */
export const usesAux = (program: string): boolean =>
  chunksOf(program, linesOf(program)).some(({ reads, inner, tokens }) =>
    reads.has("aux") && !inner.has("aux") &&
    tokens.some((token, i) =>
      isName(token, "aux") && tokens[i + 1]?.text === "(" &&
      ![".", "def", "class"].includes(tokens[i - 1]?.text ?? "")
    )
  );

/** The same as published: anywhere, comments included. */
export const usesAuxReference = (code: string): boolean => /\baux\s*\(/.test(code);

/**
 * Whether a main function does nothing but return what `aux` returns for its arguments, at once or
 * by way of one variable. Adding 0 is nothing; all else that is done to arguments or result is work.
 */
export function isWrapper(code: string): boolean {
  const [first, second, ...more] = bodyOf(code).filter((tokens) => !isIdle(tokens));
  if (!first || more.length > 0) return false;
  if (isName(first[0], "return")) return isPassedOn(first.slice(1));
  const given = first.findIndex(({ text, depth }) => depth === 0 && text === "=");
  const name = first[0]!.text;
  const plain = given === 1 || first[1]?.text === ":";
  return plain && given > 0 && first[0]!.kind === "name" && second !== undefined &&
    isName(second[0], "return") &&
    unwrapped(second.slice(1)).map((t) => t.text).join(" ") === name &&
    isPassedOn(first.slice(given + 1));
}

/** Statements of the first function in a text, without its head. */
function bodyOf(code: string): Token[][] {
  const lines = linesOf(code);
  const at = lines.findIndex(({ tokens }) => tokens.some((token) => isName(token, "def")));
  if (at < 0) return [];
  const { tokens } = lines[at]!;
  const colon = tokens.findIndex(({ text, depth }) => depth === 0 && text === ":");
  return [tokens.slice(colon + 1), ...lines.slice(at + 1).map((line) => line.tokens)]
    .flatMap(statementsOf);
}

/** A statement that does nothing: `pass`, `...`, texts. */
const isIdle = (tokens: readonly Token[]): boolean =>
  tokens.every(({ kind, text }) => kind === "string" || text === "...") ||
  tokens.length === 1 && isName(tokens[0], "pass");

/** An expression without the brackets around all of it. */
function unwrapped(tokens: readonly Token[]): readonly Token[] {
  const inner = tokens.findIndex(({ text }) => text !== "(");
  const last = tokens.findLastIndex(({ text }) => text !== ")");
  const outer = tokens[0]?.depth ?? 0;
  const most = Math.min(inner, tokens.length - 1 - last);
  const depth = tokens.slice(inner, last + 1).reduce(
    (least, t) => Math.min(least, t.depth),
    Infinity,
  );
  const pairs = Math.max(Math.min(most, depth - outer), 0);
  return tokens.slice(pairs, tokens.length - pairs);
}

/** Arguments as they are: names and constants, in their place or by name. */
const PLAIN_ARGUMENTS = /^(?:(?:\*|\*\*|v=)?v(?:,|$))*$/;

/** Whether an expression is a call of `aux` with arguments as they are, and at most 0 added. */
function isPassedOn(expression: readonly Token[]): boolean {
  const tokens = unwrapped(expression);
  const [called, open] = tokens;
  if (!called || !isName(called, "aux") || open?.text !== "(") return false;
  const close = tokens.findIndex((token, i) => i > 1 && token.depth === called.depth);
  const rest = tokens.slice(close + 1).map((token) => token.text).join(" ");
  const kinds = tokens.slice(2, close).map(({ kind, text }) => kind === "op" ? text : "v").join("");
  return close > 0 && ["", "+ 0", "- 0", "* 1"].includes(rest) && PLAIN_ARGUMENTS.test(kinds);
}

/** The same as published: by the first lines of the text. */
export function isWrapperReference(code: string): boolean {
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
