/**
 * From a completion to program text: the wanted function whole, and of what stands beside it what
 * it needs by name, so that neither examples of its use nor prose become a part of the program.
 * A function that is only a method is called on an object of its class.
 * Linear in the text; leaves out the published way (clean_reference.ts).
 */
import { textsOf } from "./fences.ts";
import { type Line, linesOf, type Token } from "./python_lines.ts";
import {
  blockEnd,
  blockNames,
  definedBy,
  isName,
  isProse,
  type Names,
  namesOf,
  outside,
  statementsOf,
} from "./python_names.ts";

/** A top-level statement with all its lines. */
export interface Chunk extends Names {
  kind: "function" | "class" | "import" | "other";
  /** Name of a function or class, else "". */
  name: string;
  text: string;
  /** Its lines, decorators included; none where it shares its line. */
  lines: Line[];
}

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
    const others = chunks.filter((chunk) => !isOthers(name, chunk));
    const at = chunks.findLastIndex((chunk) => chunk.kind === "function" && chunk.name === name);
    if (at >= 0) {
      const code = chunks[at]!.text;
      const needed = neededBy(chunks[at]!, others);
      const whole = chunks.filter((chunk, i) => i === at || needed.has(chunk));
      return { code, program: join(whole) };
    }
    const found = methodOf(text, chunks, name) ?? nestedOf(text, lines, name);
    if (found) {
      const needed = neededBy(found, others);
      return {
        code: found.code,
        program: [join(others.filter((chunk) => needed.has(chunk))), found.text].join("\n").trim(),
      };
    }
  }
  return { code: "", program: "" };
}

const join = (chunks: readonly Chunk[]): string => chunks.map((chunk) => chunk.text).join("\n");

/** A main function's helper is the other agent's; what else defines or imports it is not used. */
const isOthers = (wanted: string, { kind, name, binds }: Chunk): boolean =>
  kind === "function" || kind === "class"
    ? name === wanted || wanted !== "aux" && name === "aux"
    : binds.has(wanted) || wanted !== "aux" && binds.has("aux");

/** Code whose needs are looked for. */
type Needy = Pick<Chunk, "text" | "reads">;

/**
 * The chunks that bind, fill or change names that the code reads, or that those read that are
 * needed. Imports also for names in texts and comments: `eval` and annotations may use them.
 */
function neededBy(code: Needy, chunks: readonly Chunk[]): Set<Chunk> {
  const having = Map.groupBy(
    chunks.flatMap((chunk) => effectsOf(chunk).map((name) => ({ name, chunk }))),
    ({ name }) => name,
  );
  const calling = Map.groupBy(
    chunks.flatMap((chunk) => [...chunk.calls].map((name) => ({ name, chunk }))),
    ({ name }) => name,
  );
  const needed = new Set(chunks.filter(({ kind, text }) => kind === "import" && isAlways(text)));
  const seen = new Set<string>();
  const words = new Set<string>();
  const look = [code];
  const take = (chunk: Chunk) => {
    if (needed.has(chunk)) return;
    needed.add(chunk);
    look.push(chunk);
  };
  for (let one = look.pop(); one !== undefined; one = look.pop()) {
    for (const [word] of one.text.matchAll(/[\p{L}_][\p{L}\p{N}\p{M}_]*/gu)) words.add(word);
    for (const name of one.reads) {
      if (seen.has(name)) continue;
      seen.add(name);
      for (const { chunk } of having.get(name) ?? []) {
        if (chunk.kind !== "function" || chunk.name === name) {
          take(chunk);
          continue;
        }
        // A function that changes what the name stands for: its calls do, and there once is enough.
        for (const call of calling.get(chunk.name) ?? []) take(call.chunk);
        calling.delete(chunk.name);
      }
    }
  }
  for (const chunk of chunks) {
    if (chunk.kind === "import" && [...chunk.binds].some((name) => words.has(name))) {
      needed.add(chunk);
    }
  }
  return needed;
}

/** Imports whose names do not show. */
const isAlways = (text: string): boolean => text.includes("*") || text.includes("__future__");

/** Names that a chunk binds, fills or changes: a function by itself, and when it is called. */
function effectsOf({ kind, name, binds, changes, lines }: Chunk): string[] {
  if (kind === "class") return [name];
  if (kind !== "function") return [...binds.union(changes)];
  const at = lines.findIndex(({ tokens }) => definedBy(tokens));
  const called = blockNames(lines, at, lines.length);
  return [...new Set([name]).union(called.binds).union(called.changes)];
}

/** A method of a class, by way of a function that calls it. */
function methodOf(
  text: string,
  chunks: readonly Chunk[],
  name: string,
): Needy & { code: string } | undefined {
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
): Needy & { code: string } | undefined {
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

const FUTURE = "from __future__ import ";

/** A program whose `from __future__` lines stand first, where Python wants them. */
export function withFutureFirst(code: string): string {
  if (!code.includes(FUTURE)) return code;
  const lines = code.split("\n");
  const future = lines.filter((line) => line.startsWith(FUTURE));
  return [...new Set(future), ...lines.filter((line) => !line.startsWith(FUTURE))].join("\n");
}

/** What goes on with a statement although it stands at the margin. */
const GOES_ON = new Set(["elif", "else", "except", "finally"]);
const OPENS = new Set(["if", "for", "while", "with", "try", "match", "async"]);

/** Statements at the margin that bind or change something; prose is none. */
export function chunksOf(text: string, lines: readonly Line[]): Chunk[] {
  const chunks: Chunk[] = [];
  for (let at = 0; at < lines.length;) {
    let head = at;
    while (head < lines.length - 1 && lines[head]!.tokens[0]!.text === "@") head++;
    const { tokens, indent } = lines[head]!;
    let end = blockEnd(lines, head);
    const first = tokens[0]!.text;
    const defined = definedBy(tokens);
    const colon = defined || !OPENS.has(first) ? -1 : outside(tokens, ":");
    const opens = colon > 0 && (first !== "try" || colon === 1) &&
      (first !== "for" || outside(tokens, "in") > 1);
    while (opens && end < lines.length && GOES_ON.has(lines[end]!.tokens[0]!.text)) {
      end = blockEnd(lines, end);
    }
    if (indent === 0 && (defined || opens && !isProse(tokens))) {
      const own = lines.slice(at, end);
      chunks.push({
        ...namesOf(own, 0, own.length),
        kind: defined ? defined.kind === "def" ? "function" : "class" : "other",
        name: defined?.name ?? "",
        text: text.slice(own[0]!.start, own.at(-1)!.end),
        lines: own,
      });
    } else if (indent === 0 && !opens) {
      for (const chunk of simpleChunks(text, lines[head]!)) chunks.push(chunk);
    }
    at = end;
  }
  return chunks;
}

/** Statements of one line that bind or change something. */
function simpleChunks(text: string, line: Line): Chunk[] {
  return statementsOf(line.tokens).flatMap((tokens): Chunk[] => {
    const isImport = isName(tokens[0], "import") || isName(tokens[0], "from");
    if (isProse(tokens) || isImport && !IMPORT.test(formOf(tokens))) return [];
    const names = namesOf([{ ...line, tokens }], 0, 1);
    if (!isImport && names.binds.size + names.changes.size + names.calls.size === 0) return [];
    const part = text.slice(tokens[0]!.start, tokens.at(-1)!.end);
    return [{ ...names, kind: isImport ? "import" : "other", name: "", text: part, lines: [] }];
  });
}

/** Forms of an import, n for names. */
const IMPORT =
  /^(?:import n(?:\.n)*(?: as n)?(?:,n(?:\.n)*(?: as n)?)*|from [n.]+ import (?:\*|\(?n(?: as n)?(?:,n(?: as n)?)*,?\)?))$/;

const formOf = (tokens: readonly Token[]): string =>
  tokens.map(({ kind, text }) =>
    ["from", "import", "as"].includes(text) ? ` ${text} ` : kind === "name" ? "n" : text
  ).join("").trim();
