/**
 * Which top-level statements of a completion its wanted function needs: those that bind, fill or
 * change the names that it reads, and what is done beside it to what it uses. Examples of its use
 * and what reads input are none of them. Linear in the text.
 */
import { type Chunk, ownNames } from "./chunks.ts";
import { blockNames, definedBy, isName, isWord, namesOf } from "./python_names.ts";

/** Code whose needs are looked for. */
export type Needy = Pick<Chunk, "text" | "reads">;

/**
 * The chunks that function `wanted` needs, and in turn those that they need. Imports also for names
 * in texts and comments: `eval` and annotations may use them.
 */
export function neededBy(code: Needy, wanted: string, all: readonly Chunk[]): Set<Chunk> {
  const functions = new Set(all.filter(({ kind }) => kind === "function").map(({ name }) => name));
  const asking = spread(all, [], asksMachine, (chunk) => usedBy(chunk, functions));
  const chunks = all.filter((chunk) => !isOthers(wanted, chunk) && !isStep(chunk, asking));
  const examples = spread(
    all,
    [wanted, "aux"],
    (chunk) => asking.has(chunk) || isExample(chunk),
    outerReads,
  );
  const owned = new Set(all.filter(({ kind }) => kind !== "import").flatMap(ownNames));
  const known = BUILTINS.union(new Set(all.flatMap(ownNames)));
  const isSafe = (chunk: Chunk) => !examples.has(chunk) && outerReads(chunk).isSubsetOf(known);
  const settable = new Set(all.filter(isSettable).flatMap(ownNames));

  const having = byName(chunks, effectsOf);
  const calling = byName(chunks, (chunk) => [...chunk.calls.union(decoratorReads(chunk))]);
  const beside = byName(chunks, (chunk) => {
    const { reads, later } = besideOf(chunk);
    return reads.isSubsetOf(known) && (later || isSafe(chunk))
      ? [...reads.intersection(owned)]
      : [];
  });
  const needed = new Set(
    chunks.filter((chunk) =>
      chunk.kind === "import" ? isHidden(chunk) : isSetting(chunk, settable) && isSafe(chunk)
    ),
  );
  const look: Needy[] = [code, ...needed];
  const take = (chunk: Chunk) => {
    if (needed.has(chunk)) return;
    needed.add(chunk);
    look.push(chunk);
  };

  const words = new Set<string>();
  const seen = new Set<string>();
  const read = (name: string) => {
    if (seen.has(name)) return;
    seen.add(name);
    for (const chunk of having.get(name) ?? []) {
      if (chunk.kind !== "function" || chunk.name === name) {
        take(chunk);
        continue;
      }
      // A function that changes what the name stands for: its calls do, and there once is enough.
      for (const call of calling.get(chunk.name) ?? []) take(call);
      calling.delete(chunk.name);
    }
    for (const chunk of beside.get(name) ?? []) take(chunk);
  };
  read(wanted);
  for (let one = look.pop(); one !== undefined; one = look.pop()) {
    for (const [word] of one.text.matchAll(WORD)) words.add(word);
    for (const name of one.reads) read(name);
    // Names in texts are looked up as well.
    if (one.reads.isDisjointFrom(BY_TEXT)) continue;
    for (const [word] of one.text.matchAll(WORD)) read(word);
  }
  for (const chunk of chunks) {
    if (chunk.kind === "import" && [...chunk.binds].some((name) => words.has(name))) {
      needed.add(chunk);
    }
  }
  return needed;
}

function byName(chunks: readonly Chunk[], namesOf: (chunk: Chunk) => readonly string[]) {
  const found = new Map<string, Chunk[]>();
  for (const chunk of chunks) {
    for (const name of namesOf(chunk)) {
      const list = found.get(name);
      if (list) list.push(chunk);
      else found.set(name, [chunk]);
    }
  }
  return found;
}

/** Chunks that fulfil `starts`, use one of `names`, or use what such chunks bind. */
function spread(
  chunks: readonly Chunk[],
  names: readonly string[],
  starts: (chunk: Chunk) => boolean,
  uses: (chunk: Chunk) => Set<string>,
): Set<Chunk> {
  const found = new Set<Chunk>();
  const users = byName(chunks, (chunk) => [...uses(chunk)]);
  const look = [...names];
  const add = (chunk: Chunk) => {
    if (found.has(chunk)) return;
    found.add(chunk);
    for (const name of ownNames(chunk)) look.push(name);
  };
  for (const chunk of chunks) if (starts(chunk)) add(chunk);
  for (let name = look.pop(); name !== undefined; name = look.pop()) {
    for (const chunk of users.get(name) ?? []) add(chunk);
    users.delete(name);
  }
  return found;
}

/** Names that stand around a chunk. */
const outerReads = ({ reads, inner, binds }: Chunk): Set<string> =>
  reads.difference(inner).difference(binds);

/** The same without functions that are no more than named, as in a table of them. */
function usedBy(chunk: Chunk, functions: Set<string>): Set<string> {
  const { kind, tokens } = chunk;
  const called = new Set(tokens.filter((_, i) => tokens[i + 1]?.text === "(").map((t) => t.text));
  const runs = (name: string) => kind !== "other" || called.has(name) || !functions.has(name);
  return new Set([...outerReads(chunk)].filter(runs));
}

/** A main function's helper is the other agent's; what else defines or imports it is not used. */
function isOthers(wanted: string, { kind, name, binds, tokens }: Chunk): boolean {
  if (kind === "function" || kind === "class") {
    return name === wanted || wanted !== "aux" && name === "aux";
  }
  // What wraps the function anew is its own: `f = cache(f)`.
  const wraps = isName(tokens[0], wanted) && tokens[1]?.text === "=" &&
    tokens.some((token, i) => i > 1 && isName(token, wanted) && tokens[i + 1]?.text !== "(");
  return binds.has(wanted) && !wraps || wanted !== "aux" && binds.has("aux");
}

/** Whether a chunk does something when it is read, which is not to be done. */
const isStep = (chunk: Chunk, unwanted: Set<Chunk>): boolean =>
  chunk.kind === "other" && unwanted.has(chunk);

const words = (...texts: string[]) => new Set(texts.join(" ").split(" "));
const WORD = /[\p{L}_][\p{L}\p{N}\p{M}_]*/gu;
const BY_TEXT = words("eval exec globals locals vars");
const MACHINE = words("input open exit quit breakpoint");
const EXAMPLES = words("print pprint assert help doctest unittest pytest timeit");

/** What the machine would have to answer: input, files, arguments of a command. */
const asksMachine = (chunk: Chunk): boolean =>
  !outerReads(chunk).isDisjointFrom(MACHINE) ||
  chunk.tokens.some(({ kind, text }) => kind === "name" && (text === "stdin" || text === "argv"));

const isExample = ({ tokens }: Chunk): boolean =>
  tokens.some(({ kind, text }) => kind === "name" && EXAMPLES.has(text));

/** Imports whose names do not show. */
const isHidden = ({ text }: Chunk): boolean => text.includes("*") || text.includes("__future__");

const SETTINGS = words(
  "setrecursionlimit set_int_max_str_digits getcontext setcontext seed filterwarnings simplefilter",
);

const isSettable = ({ kind, text }: Chunk): boolean =>
  kind === "import" && /\b(?:sys|decimal|random|warnings)\b/.test(text);

/** Settings, such as `sys.setrecursionlimit(9999)` or `exec(text)`: no name tells who needs them. */
function isSetting({ kind, tokens, calls, changes }: Chunk, settable: Set<string>): boolean {
  const root = tokens[0]!.text;
  if (kind !== "other" || !(calls.has(root) || changes.has(root))) return false;
  return root === "exec" || root === "globals" ||
    settable.has(root) && tokens.some((token) => isWord(token) && SETTINGS.has(token.text));
}

/**
 * Names that a chunk acts on when it is read: `heapify(heap)` fills heap, `@register` enters a
 * function, whose own text is of use only `later`.
 */
function besideOf(chunk: Chunk): { reads: Set<string>; later: boolean } {
  const { kind, tokens, lines } = chunk;
  if (kind === "import") return { reads: new Set(), later: false };
  if (kind === "other") {
    return { reads: tokens.some(isCall) ? outerReads(chunk) : new Set(), later: false };
  }
  const around = decoratorReads(chunk);
  const head = lines.findIndex(({ tokens }) => definedBy(tokens));
  return kind === "function" ? { reads: around, later: true } : {
    reads: around.union(blockNames(lines, head, head + 1).reads),
    later: false,
  };
}

function decoratorReads({ lines }: Chunk): Set<string> {
  const head = lines.findIndex(({ tokens }) => definedBy(tokens));
  return head > 0 && lines[0]!.tokens[0]!.text === "@" ? namesOf(lines, 0, head).reads : new Set();
}

const isCall = ({ text }: Chunk["tokens"][number], i: number, tokens: Chunk["tokens"]): boolean => {
  const before = tokens[i - 1];
  return text === "(" && (isWord(before) || before?.text === ")" || before?.text === "]");
};

/** Names that a chunk binds, fills or changes: a function by itself, and when it is called. */
function effectsOf({ kind, name, binds, changes, lines }: Chunk): string[] {
  if (kind === "class") return [name];
  if (kind !== "function") return [...binds.union(changes)];
  const at = lines.findIndex(({ tokens }) => definedBy(tokens));
  const called = blockNames(lines, at, lines.length);
  return [...new Set([name]).union(called.binds).union(called.changes)];
}

/** Names that Python gives to every program and that statements beside a function use. */
const BUILTINS = words(
  "abs all any ascii bin bool bytearray bytes callable chr classmethod complex delattr dict dir",
  "divmod enumerate eval exec filter float format frozenset getattr globals hasattr hash hex id int",
  "isinstance issubclass iter len list map max memoryview min next oct ord pow property",
  "range repr reversed round set setattr slice sorted staticmethod str sum super tuple type vars",
  "zip Exception ValueError TypeError KeyError IndexError RuntimeError RecursionError",
  "ArithmeticError ZeroDivisionError OverflowError AttributeError ImportError LookupError",
  "NameError NotImplementedError StopIteration BaseException ModuleNotFoundError object __name__",
);
