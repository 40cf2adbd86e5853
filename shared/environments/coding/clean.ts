/**
 * From a completion to program text: the wanted function whole, and of what stands beside it what
 * it needs by name, so that neither examples of its use nor prose become a part of the program.
 * A function that is only a method is called on an object of its class.
 * Linear in the text; leaves out the published way (clean_reference.ts).
 */
import { textsOf } from "./fences.ts";
import { type Chunk, chunksOf } from "./chunks.ts";
import { neededBy, type Needy } from "./needs.ts";
import { type Line, linesOf } from "./python_lines.ts";
import { blockEnd, definedBy, isName, namesOf, outside } from "./python_names.ts";

/** The wanted function and what stands beside it; both are "" when it is not there. */
export interface Extracted {
  /** The function alone. */
  code: string;
  /** The function with what it needs: imports, constants, functions, classes, in their order. */
  program: string;
}

/** The last top-level function `name` of a completion; failing that, one inside a class. */
export function extract(completion: string, name: string): Extracted {
  for (const text of textsOf(completion)) {
    const lines = linesOf(text);
    const chunks = chunksOf(text, lines);
    const at = chunks.findLastIndex((chunk) => chunk.kind === "function" && chunk.name === name);
    const found: Found | undefined = at >= 0
      ? { ...chunks[at]!, code: chunks[at]!.text }
      : methodOf(text, chunks, name) ?? nestedOf(text, lines, name);
    if (!found) continue;
    const needed = neededBy(found, name, chunks);
    const whole = chunks.filter((chunk, i) => i === at || needed.has(chunk)).map(({ text }) =>
      text
    );
    if (at < 0) whole.push(found.text);
    return { code: found.code, program: whole.join("\n").trim() };
  }
  return { code: "", program: "" };
}

/** The wanted function, as text that can be run and as it stands there. */
type Found = Needy & { code: string };

/** A method of a class, by way of a function that calls it. */
function methodOf(
  text: string,
  chunks: readonly Chunk[],
  name: string,
): Found | undefined {
  for (const { name: owner, lines } of chunks.filter(({ kind }) => kind === "class").reverse()) {
    const head = lines.findIndex(({ tokens }) => definedBy(tokens));
    const indent = lines[head + 1]?.indent;
    const at = lines.findLastIndex((line, i) =>
      i > head && line.indent === indent && isFunction(line, name)
    );
    if (at < 0) continue;
    const { tokens } = lines[at]!;
    const isBound = isName(tokens[outside(tokens, "(") + 1], "self");
    return {
      code: blockText(text, lines, at),
      text: `def ${name}(*args, **named):\n` +
        `    return ${owner}${isBound ? "()" : ""}.${name}(*args, **named)`,
      reads: new Set([owner]),
    };
  }
  return undefined;
}

/** A function within anything else, on its own. */
function nestedOf(
  text: string,
  lines: readonly Line[],
  name: string,
): Found | undefined {
  const at = lines.findLastIndex((line) => isFunction(line, name));
  if (at < 0) return undefined;
  const code = blockText(text, lines, at);
  return { code, text: code, reads: namesOf(lines, at, blockEnd(lines, at)).reads };
}

function isFunction({ tokens }: Line, name: string): boolean {
  const defined = definedBy(tokens);
  return defined?.kind === "def" && defined.name === name;
}

/** Text of the block that a line opens, moved to the margin. */
function blockText(text: string, lines: readonly Line[], at: number): string {
  const block = text.slice(lines[at]!.start, lines[blockEnd(lines, at) - 1]!.end);
  const margin = block.length - block.trimStart().length;
  return block.split("\n").map((line) => {
    const blanks = line.length - line.trimStart().length;
    return line.slice(Math.min(blanks, margin));
  }).join("\n");
}

/** What a problem's text defines for its function: imports, constants, helpers, classes. */
export function contextOf(prompt: string, entry: string): string {
  return chunksOf(prompt, linesOf(prompt)).filter(({ kind, name, reads, binds, changes }) =>
    kind === "function"
      ? name !== entry
      : kind !== "other" || !reads.has(entry) && binds.size + changes.size > 0
  ).map((chunk) => chunk.text).join("\n\n");
}

/** A program whose `from __future__` lines stand first, where Python wants them. */
export function withFutureFirst(code: string): string {
  if (!code.includes("__future__")) return code;
  const lines = linesOf(code);
  const isFuture = ({ indent, tokens }: Line) =>
    indent === 0 && isName(tokens[0], "from") && isName(tokens[1], "__future__");
  const future = lines.filter(isFuture).map(({ start, end }) => code.slice(start, end));
  let at = 0;
  const rest = lines.filter(isFuture).map(({ start, end }) => {
    const text = code.slice(at, start);
    at = end + 1;
    return text;
  });
  return [...new Set(future), rest.join("") + code.slice(at)].join("\n");
}
