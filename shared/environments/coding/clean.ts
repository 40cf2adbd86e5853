/**
 * From a completion to program text: the wanted function whole, with nested functions and
 * comments, and of what stands beside it the imports and what it needs by name, so that neither
 * examples of its use nor prose become a part of the program.
 * One pass over the lines; leaves out the published way (clean_reference.ts).
 */
import { strip } from "../python_text.ts";
import { indentOf, lastFunction } from "./clean_reference.ts";

/** A top-level statement with all its lines. */
interface Chunk {
  kind: "function" | "import" | "constant" | "class";
  name: string;
  text: string;
}

const HEADS: readonly [Chunk["kind"], RegExp][] = [
  ["function", /^(?:async\s+)?def\s+(\w+)\s*\(/],
  ["class", /^class\s+(\w+)\s*[(:]/],
  ["import", /^import\s+(\w[\w.]*)(?:\s+as\s|\s*[,;#]|\s*$)/],
  ["import", /^from\s+(\w[\w.]*)\s+import\s/],
  [
    "constant",
    /^([\p{L}_][\p{L}\p{N}_]{0,99}(?:\s?,\s?[\p{L}_][\p{L}\p{N}_]{0,99}){0,20})\s{0,9}(?::[^=]{1,200})?=(?!=)/u,
  ],
];

/** A value that begins with two words beside each other, as prose does and Python hardly. */
function isProse(line: string): boolean {
  const [, first, second] = /=\s*([\w.]+)[ \t]+([A-Za-z_]\w*)/.exec(line.slice(0, 1000)) ?? [];
  return second !== undefined && !["not", "lambda", "await", "yield"].includes(first!) &&
    !["if", "and", "or", "in", "is", "not", "for"].includes(second);
}

/** The wanted function and what stands beside it; `code` is "" when it is not there. */
export interface Extracted {
  /** The function alone. */
  code: string;
  /** Imports, and constants, functions and classes that it needs, in their order. */
  beside: string;
}

/** The last top-level function `name` of a completion; failing that, one inside a class. */
export function extract(completion: string, name: string): Extracted {
  const text = codeOf(completion);
  const chunks = chunksOf(text);
  const found = chunks.findLast((chunk) => chunk.kind === "function" && chunk.name === name);
  const code = found ? found.text : strip(dedent(lastFunction(text, name)));
  const beside = neededBy(code, chunks.filter((chunk) => !isOthers(name, chunk)));
  return { code, beside: beside.map((chunk) => chunk.text).join("\n") };
}

/** A main function's helper is the other agent's; a definition of the same name is not used. */
const isOthers = (wanted: string, { kind, name }: Chunk): boolean =>
  kind !== "import" && (name === wanted || wanted !== "aux" && namesOf(name).includes("aux"));

const namesOf = (name: string): string[] => name.split(",").map((one) => one.trim());

/** All imports, and the chunks whose names the code uses, or those that are used use. */
function neededBy(code: string, chunks: readonly Chunk[]): Chunk[] {
  const byName = Map.groupBy(
    chunks.flatMap((chunk) => namesOf(chunk.name).map((name) => ({ name, chunk }))),
    ({ name }) => name,
  );
  const needed = new Set(chunks.filter(({ kind }) => kind === "import"));
  const seen = new Set<string>();
  const look = [code];
  for (let text = look.pop(); text !== undefined; text = look.pop()) {
    for (const [name] of text.matchAll(/[\p{L}_][\p{L}\p{N}_]*/gu)) {
      if (seen.has(name)) continue;
      seen.add(name);
      for (const { chunk } of byName.get(name) ?? []) {
        if (needed.has(chunk)) continue;
        needed.add(chunk);
        look.push(chunk.text);
      }
    }
  }
  return chunks.filter((chunk) => needed.has(chunk));
}

/** What a problem's text defines for its function: imports, constants, helpers, classes. */
export function contextOf(prompt: string, entry: string): string {
  const called = new RegExp(`\\b${entry}\\s*\\(`);
  return chunksOf(prompt).filter(({ kind, name, text }) =>
    kind === "function" ? name !== entry : kind !== "constant" || !called.test(text)
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

/** A line that begins or ends fenced code. */
const FENCE = /^\s*```[\w+.-]*\s*$/;

/** Fenced code when there is any, else everything. */
function codeOf(completion: string): string {
  const [inside, all]: [string[], string[]] = [[], []];
  let fenced = false;
  // Line by line: a pattern over the whole text would begin anew at every one of a million marks.
  for (const line of completion.replaceAll("\r\n", "\n").split("\n")) {
    if (FENCE.test(line)) {
      fenced = !fenced;
      continue;
    }
    if (fenced) inside.push(line);
    all.push(line);
  }
  const code = inside.join("\n");
  const found = /\bdef\s/.test(code) ? code : all.join("\n");
  // Marks on a line with code.
  return found.replaceAll(/```(?:python)?[^\S\n]*/g, "");
}

function chunksOf(text: string): Chunk[] {
  const chunks: Chunk[] = [];
  let open: { chunk: Omit<Chunk, "text">; lines: string[] } | null = null;
  let decorators: string[] = [];
  /** Comments at the margin: part of the statement if it goes on after them. */
  let held: string[] = [];
  let quotes = "";
  const close = () => {
    if (open) chunks.push({ ...open.chunk, text: open.lines.join("\n").trimEnd() });
    open = null;
    held = [];
  };
  for (const line of text.split("\n")) {
    const goesOn: boolean = quotes !== "" || line === "" || indentOf(line) > 0 ||
      /^[)\]}]/.test(line) || strip(line) === "";
    if (open && goesOn) {
      for (const comment of held) open.lines.push(comment);
      open.lines.push(line);
      held = [];
    } else if (open && (line.startsWith("#") || /^("""|''')/.test(line))) {
      held.push(line);
    } else {
      close();
      const head = HEADS.flatMap(([kind, pattern]) => {
        const name = pattern.exec(line)?.[1];
        return name === undefined ? [] : [{ kind, name }];
      })[0];
      if (line.startsWith("@")) decorators.push(line);
      else {
        if (head && !(head.kind === "constant" && isProse(line))) {
          open = { chunk: head, lines: [...decorators, line] };
        }
        decorators = [];
      }
    }
    quotes = quotesAfter(line, quotes);
  }
  close();
  return chunks;
}

/** The triple quotes that are open after a line. */
function quotesAfter(line: string, quotes: string): string {
  for (const [mark] of line.matchAll(/"""|'''/g)) {
    if (quotes === "") quotes = mark;
    else if (quotes === mark) quotes = "";
  }
  return quotes;
}

function dedent(text: string): string {
  const margin = indentOf(text);
  return text.split("\n").map((line) => strip(line) === "" ? "" : line.slice(margin)).join("\n");
}
