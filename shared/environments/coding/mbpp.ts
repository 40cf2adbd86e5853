/**
 * Rows of MBPP as coding tasks: `prompt` (or `text`), `code`, `test_list`, and `test_imports` or
 * `test_setup_code`. The wanted function is the one of the solution that its tests are about; of it
 * agents see the head, and what of the rest the head or the tests need.
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
  const head = headOf(entry, chunks);
  const setup = [row["test_imports"], row["imports"], row["test_setup_code"]].flatMap(textsOf);
  const tests = [...setup, ...asserts].join("\n");
  // What binds the wanted name is the solution, be it a lambda or an import.
  const others = chunks.filter(({ binds }) => !binds.has(entry));
  const needed = neededBy([`${head} pass`, tests], others);
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

/**
 * The function that tests are about: of those of the solution one that every test names; of several
 * the one that most tests compare, outside of the others; then the last defined. Without a solution
 * the first that is called.
 */
function entryOf(asserts: readonly string[], chunks: readonly Chunk[]): string | undefined {
  const tokens = asserts.map((text) => linesOf(text).flatMap((line) => line.tokens));
  const called = new Set(tokens.flatMap(callsIn));
  const defined = chunks.flatMap(({ kind, name, binds }) =>
    kind === "function"
      ? [name]
      : kind === "other"
      ? [...binds].filter((bound) => called.has(bound))
      : []
  );
  const found = tokens.map((test) => usesIn(test, new Set(defined))).filter(({ size }) => size > 0);
  if (found.length === 0) return [...called].find((name) => !AROUND.has(name));
  const everywhere = defined.filter((name) => found.every((uses) => uses.has(name)));
  const wanted = everywhere.length > 0 ? everywhere : defined;
  const outermost = found.map((uses) =>
    [...uses].filter(([name]) => wanted.includes(name)).reduce((a, b) => b[1] < a[1] ? b : a)[0]
  );
  const tests = (name: string) => outermost.filter((one) => one === name).length;
  return wanted.toReversed().reduce((best, name) => tests(name) > tests(best) ? name : best);
}

/** Names that are called, no methods. */
const callsIn = (tokens: readonly Token[]): string[] =>
  tokens.filter((token, i) =>
    token.kind === "name" && tokens[i + 1]?.text === "(" && tokens[i - 1]?.text !== "." &&
    namesOf([{ start: 0, end: 0, indent: 0, tokens: [token] }], 0, 1).reads.size > 0
  ).map(({ text }) => text);

/** Names that a test uses, in order, each with the least number of calls of such names around it. */
function usesIn(tokens: readonly Token[], names: ReadonlySet<string>): Map<string, number> {
  const uses = new Map<string, number>();
  const open: number[] = [];
  for (const [i, token] of tokens.entries()) {
    while (open.length > 0 && token.depth <= open.at(-1)! && token.text !== "(") open.pop();
    if (token.kind !== "name" || !names.has(token.text) || tokens[i - 1]?.text === ".") continue;
    uses.set(token.text, Math.min(uses.get(token.text) ?? Infinity, open.length));
    if (tokens[i + 1]?.text === "(") open.push(token.depth);
  }
  return uses;
}

/** Head of a solution's function up to its colon, without decorators; a lambda's as one. */
function headOf(entry: string, chunks: readonly Chunk[]): string {
  for (const { kind, text } of chunks.filter(({ binds }) => binds.has(entry)).toReversed()) {
    if (kind === "class") continue;
    const lines = linesOf(text);
    const tokens = lines.find((line) => definedBy(line.tokens)?.name === entry)?.tokens;
    if (tokens) {
      return text.slice(tokens[0]!.start, tokens[outside(tokens, ":")]?.end ?? tokens.at(-1)!.end);
    }
    const parameters = lambdaOf(lines[0]!.tokens, text);
    if (parameters !== undefined) return `def ${entry}(${parameters}):`;
  }
  return `def ${entry}(*args):`;
}

/** Parameters of the lambda that a statement gives to a name. */
function lambdaOf(statement: readonly Token[], text: string): string | undefined {
  const at = statement.findIndex((token) => isName(token, "lambda"));
  const tokens = statement.slice(at);
  const before = statement.slice(0, Math.max(at, 0)).findLast((token) => token.text !== "(");
  const colon = tokens[outside(tokens, ":")];
  return before?.text === "=" && colon ? text.slice(tokens[0]!.end, colon.start).trim() : undefined;
}

/** Of a solution's imports, definitions and constants those that some texts need, with their own. */
function neededBy(texts: readonly string[], chunks: readonly Chunk[]): Chunk[] {
  const readBy = (text: string): Set<string> => {
    const lines = linesOf(text);
    return namesOf(lines, 0, lines.length).reads;
  };
  const look = texts.map(readBy);
  const needed = new Set<Chunk>();
  for (let reads = look.pop(); reads !== undefined; reads = look.pop()) {
    for (const chunk of chunks) {
      const names = chunk.name === "" ? [...chunk.binds] : [chunk.name];
      if (needed.has(chunk) || !names.some((name) => reads!.has(name))) continue;
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
