/**
 * From a completion to program text: the wanted function whole, with nested functions and
 * comments, and the imports and constants beside it. Prose and other functions are left out.
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
  ["import", /^(?:import|from)\s+(\w[\w.]*)(?:\s+import\s|\s+as\s|\s*,|\s*$)/],
  ["constant", /^([A-Za-z_]\w*)\s*(?::[^=]{1,200})?=(?!=)/],
];

/** The wanted function and what stands beside it; `code` is "" when it is not there. */
export interface Extracted {
  /** The function alone. */
  code: string;
  /** Imports and constants of the completion, in their order. */
  beside: string;
}

/** The last top-level function `name` of a completion; failing that, one inside a class. */
export function extract(completion: string, name: string): Extracted {
  const text = codeOf(completion);
  const chunks = chunksOf(text);
  const found = chunks.findLast((chunk) => chunk.kind === "function" && chunk.name === name);
  const beside = chunks.filter(({ kind }) => kind === "import" || kind === "constant");
  return {
    code: found ? found.text : strip(dedent(lastFunction(text, name))),
    beside: beside.map((chunk) => chunk.text).join("\n"),
  };
}

/** What a problem's text defines for its function: imports, constants, helpers, classes. */
export function contextOf(prompt: string, entry: string): string {
  return chunksOf(prompt).filter(({ kind, name }) => kind !== "function" || name !== entry)
    .map((chunk) => chunk.text).join("\n\n");
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
        if (head) open = { chunk: head, lines: [...decorators, line] };
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
