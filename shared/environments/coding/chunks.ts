/**
 * Python text as its top-level statements: which of them define, import, bind or change what.
 * Linear in the text. Leaves out which of them a program needs (needs.ts).
 */
import { type Line, linesOf, type Token } from "./python_lines.ts";
import {
  blockEnd,
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
  tokens: readonly Token[];
}

/** What goes on with a statement although it stands at the margin. */
const GOES_ON = new Set(["elif", "else", "except", "finally"]);
const OPENS = new Set(["if", "for", "while", "with", "try", "match", "async"]);

/** Names by which others reach a chunk. */
export const ownNames = ({ kind, name, binds }: Chunk): string[] =>
  kind === "function" || kind === "class" ? [name] : [...binds];

/** Whether two texts bind a name to different things. */
export function clash(one: string, other: string): boolean {
  const [bound, again] = [one, other].map((text) =>
    chunksOf(text, linesOf(text)).flatMap((chunk) =>
      ownNames(chunk).map((name) => ({ name, text: chunk.text }))
    )
  );
  const texts = new Map(bound!.map(({ name, text }) => [name, text]));
  return again!.some(({ name, text }) => (texts.get(name) ?? text) !== text);
}

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
        tokens: own.flatMap((line) => line.tokens),
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
    return [{
      ...names,
      kind: isImport ? "import" : "other",
      name: "",
      text: part,
      lines: [],
      tokens,
    }];
  });
}

/** Forms of an import, n for names. */
const IMPORT =
  /^(?:import n(?:\.n)*(?: as n)?(?:,n(?:\.n)*(?: as n)?)*|from [n.]+ import (?:\*|\(?n(?: as n)?(?:,n(?: as n)?)*,?\)?))$/;

const formOf = (tokens: readonly Token[]): string =>
  tokens.map(({ kind, text }) =>
    ["from", "import", "as"].includes(text) ? ` ${text} ` : kind === "name" ? "n" : text
  ).join("").trim();
