/**
 * Rows of MBPP as coding tasks: `prompt` (or `text`), `code`, `test_list`, and `test_imports` or
 * `test_setup_code`. The wanted function is the one of the solution that its tests call; of the
 * solution agents see its head, and imports and classes that the head or the tests need.
 * Leaves out `challenge_test_list`, by which MBPP's own scores do not go.
 */
import type { Row } from "../data/data_set.ts";
import { type Chunk, chunksOf } from "./chunks.ts";
import { type Line, linesOf, type Token } from "./python_lines.ts";
import { definedBy, isName, namesOf, outside } from "./python_names.ts";
import type { CodingTask } from "./task.ts";

/** A task of a row of MBPP; `undefined` for other rows. */
export function mbppTask(row: Row): CodingTask | undefined {
  const words = row["prompt"] ?? row["text"];
  const asserts = textsOf(row["test_list"]);
  if (typeof words !== "string" || asserts.length === 0) return undefined;
  const code = textsOf(row["code"]).join("\n");
  const chunks = chunksOf(code, linesOf(code));
  const entry = entryOf(asserts, chunks);
  if (entry === undefined) return undefined;
  const solution = chunks.findLast(({ kind, name }) => kind === "function" && name === entry);
  const head = solution ? headOf(code, solution) : `def ${entry}(*args):`;
  const setup = [row["test_imports"], row["imports"], row["test_setup_code"]].flatMap(textsOf);
  const tests = [...setup, ...asserts].join("\n");
  const needed = neededBy([`${head} pass`, tests], chunks);
  const imports = needed.filter(({ kind }) => kind === "import").map(({ text }) => text);
  const given = needed.map(({ text }) => `${text}\n\n`).join("");
  const lines = [...imports.filter((line) => !setup.includes(line)), tests].join("\n");
  return {
    prompt: `${given}${head}\n    """${quoted(words.trim())}"""\n`,
    test: `def check(candidate):\n${asBody(lines, entry)}\n`,
    entry_point: entry,
  };
}

/** Texts of a field that holds one or a list of them, with lines that end in one way. */
function textsOf(field: unknown): string[] {
  const all = Array.isArray(field) ? field : typeof field === "string" ? [field] : [];
  return all.map((text) => String(text).replaceAll(/\r\n?/g, "\n").trim())
    .filter((text) => text !== "");
}

/** Words of a docstring. */
const quoted = (words: string): string =>
  words.replaceAll("\\", "\\\\").replaceAll('"""', '\\"\\"\\"').replace(/"$/, '\\"');

/** Functions of Python's own that tests put around a call. */
const AROUND = new Set(
  ("abs all any bool dict enumerate float frozenset int isinstance len list map max min next print " +
    "range repr reversed round set sorted str sum tuple type zip").split(" "),
);

/** The last function of the solution that a test calls; without a solution, the first call. */
function entryOf(asserts: readonly string[], chunks: readonly Chunk[]): string | undefined {
  const called = asserts.flatMap((text) => linesOf(text)).flatMap(({ tokens }) =>
    tokens.filter((token, i) =>
      token.kind === "name" && tokens[i + 1]?.text === "(" && tokens[i - 1]?.text !== "." &&
      namesOf([{ start: 0, end: 0, indent: 0, tokens: [token] }], 0, 1).reads.size > 0
    ).map((token) => token.text)
  );
  const defined = chunks.findLast(({ kind, name }) => kind === "function" && called.includes(name));
  return defined?.name ?? called.find((name) => !AROUND.has(name));
}

/** Head of a function up to its colon, without decorators. */
function headOf(code: string, { lines }: Chunk): string {
  const { tokens } = lines.find((line) => definedBy(line.tokens))!;
  return code.slice(tokens[0]!.start, tokens[outside(tokens, ":")]?.end ?? tokens.at(-1)!.end);
}

/** Imports, classes and constants of a solution that some texts need, with what these need. */
function neededBy(texts: readonly string[], chunks: readonly Chunk[]): Chunk[] {
  const readBy = (text: string): Set<string> => {
    const lines = linesOf(text);
    return namesOf(lines, 0, lines.length).reads;
  };
  const look = texts.map(readBy);
  const needed = new Set<Chunk>();
  for (let reads = look.pop(); reads !== undefined; reads = look.pop()) {
    for (const chunk of chunks) {
      const names = chunk.kind === "class" ? [chunk.name] : [...chunk.binds];
      const known = chunk.kind === "function" || needed.has(chunk);
      if (known || !names.some((name) => reads!.has(name))) continue;
      needed.add(chunk);
      look.push(chunk.reads);
    }
  }
  return chunks.filter((chunk) => needed.has(chunk));
}

/** Statements as the body of a check function, in which the wanted one is its candidate. */
function asBody(text: string, entry: string): string {
  const isEntry = (token: Token, i: number, { tokens }: Line) =>
    isName(token, entry) && tokens[i - 1]?.text !== "." && tokens[i + 1]?.text !== "=";
  let body = "";
  let at = 0;
  for (const line of linesOf(text)) {
    // Only the first of a statement's lines is moved: the others may be within a text.
    body += `${text.slice(at, line.start)}    `;
    at = line.start;
    for (const [i, token] of line.tokens.entries()) {
      if (!isEntry(token, i, line)) continue;
      body += `${text.slice(at, token.start)}candidate`;
      at = token.end;
    }
  }
  return body + text.slice(at);
}
