/**
 * Which names Python statements bind, change, call and read, as far as their tokens show.
 * Linear in the text. Leaves out what the names stand for.
 */
import type { Line, Token } from "./python_lines.ts";

/** What some statements do to the names around them. */
export interface Names {
  /** Defined, assigned or imported. */
  binds: Set<string>;
  /** What is behind them is changed: `D[k] = v`, `a.b = v`, `D.update(v)`, `del D[k]`. */
  changes: Set<string>;
  /** Functions called by a statement of their own. */
  calls: Set<string>;
  reads: Set<string>;
  /** Those of `reads` that functions read when they are called. */
  later: Set<string>;
  /** Bound within comprehensions and lambdas. */
  inner: Set<string>;
  /** Declared `global` in functions. */
  global: Set<string>;
}

const KEYWORDS = new Set(
  ("False None True and as assert async await break class continue def del elif else except " +
    "finally for from global if import in is lambda nonlocal not or pass raise return try while " +
    "with yield").split(" "),
);
/** Names that begin a statement with another name after them. */
const SOFT = new Set(["match", "case", "type"]);
const UPDATE = /^(?:\*\*|\/\/|<<|>>|[-+*\/%@&|^])=$/;

export const isName = (token: Token | undefined, name: string): boolean =>
  token?.kind === "name" && token.text === name;

export const isWord = (token: Token | undefined): boolean =>
  token?.kind === "name" && !KEYWORDS.has(token.text);

/** Statements that a line holds beside each other, without the `;` between them. */
export function statementsOf(tokens: readonly Token[]): Token[][] {
  const statements: Token[][] = [[]];
  for (const token of tokens) {
    if (token.text === ";" && token.depth === 0) statements.push([]);
    else statements.at(-1)!.push(token);
  }
  return statements.filter((statement) => statement.length > 0);
}

/** Whether tokens are no Python: words beside each other, lone quotes, signs of other languages. */
export function isProse(tokens: readonly Token[]): boolean {
  return tokens.some((token, i) => {
    const next = tokens[i + 1];
    if (token.kind === "odd") return true;
    if (!next || (i === 0 && SOFT.has(token.text))) return false;
    const pair = [token, next].map((one) => one.kind === "op" || KEYWORDS.has(one.text));
    return !pair[0] && !pair[1] && !(token.kind === "string" && next.kind === "string");
  });
}

/** Name that a line defines as a function or a class, and as which of them. */
export function definedBy(tokens: readonly Token[]): { kind: string; name: string } | undefined {
  const at = isName(tokens[0], "async") ? 1 : 0;
  const [kind, name, next] = tokens.slice(at, at + 3);
  const ends = isName(kind, "def") ? ["(", "["] : isName(kind, "class") ? ["(", "[", ":"] : [];
  const found = name && isWord(name) && next && ends.includes(next.text);
  return found ? { kind: kind!.text, name: name.text } : undefined;
}

/** Index of the first token outside of brackets with a text; -1 for none. */
export const outside = (tokens: readonly Token[], text: string): number =>
  tokens.findIndex((token) => token.depth === tokens[0]!.depth && token.text === text);

/** Lines of the block that line `at` opens: those after it that are indented deeper. */
export function blockEnd(lines: readonly Line[], at: number): number {
  let end = at + 1;
  while (end < lines.length && lines[end]!.indent > lines[at]!.indent) end++;
  return end;
}

/** Blocks in one another that Python reads. */
const MOST_BLOCKS = 100;

const add = (to: Set<string>, from: Iterable<string>): void => {
  for (const name of from) to.add(name);
};

const emptyNames = (): Names => ({
  ...{ binds: new Set(), changes: new Set(), calls: new Set(), reads: new Set() },
  ...{ later: new Set(), inner: new Set(), global: new Set() },
});

/** What lines from `at` to `end` do, read as those of a module. */
export function namesOf(lines: readonly Line[], at: number, end: number, depth = 0): Names {
  const names = emptyNames();
  for (let i = at; i < end;) {
    const { tokens } = lines[i]!;
    const defined = definedBy(tokens);
    const stop = defined ? Math.min(blockEnd(lines, i), end) : i + 1;
    if (!defined) { for (const statement of statementsOf(tokens)) readStatement(statement, names); }
    else {
      names.binds.add(defined.name);
      if (depth < MOST_BLOCKS) {
        const own = blockNames(lines, i, stop, depth + 1);
        add(names.reads, own.reads);
        add(names.later, own.later);
        add(names.changes, own.changes);
        add(names.global, own.global);
      }
    }
    i = stop;
  }
  return names;
}

/** What the function or class that line `at` begins reads, changes and binds around it. */
export function blockNames(lines: readonly Line[], at: number, end: number, depth = 0): Names {
  const { tokens } = lines[at]!;
  const colon = outside(tokens, ":");
  const head = headOf(tokens.slice(0, colon < 0 ? undefined : colon));
  const own = namesOf(lines, at + 1, end, depth);
  const rest = colon < 0 ? [] : statementsOf(tokens.slice(colon + 1));
  for (const statement of rest) readStatement(statement, own);
  const local = new Set([...own.binds, ...own.inner, ...head.local]);
  for (const name of own.global) local.delete(name);
  const free = (names: Set<string>) => new Set([...names].filter((name) => !local.has(name)));
  // A class is no scope for its methods: what they read is looked up around it.
  const isClass = isName(tokens[0], "class");
  const later = isClass ? own.later : free(own.reads);
  const reads = free(own.reads).union(later).union(head.reads);
  return { ...own, reads, later, changes: free(own.changes), binds: new Set(own.global) };
}

/** Parameters of a head, those of types included, and what its defaults and annotations read. */
function headOf(tokens: readonly Token[]): { local: Set<string>; reads: Set<string> } {
  const opens = tokens.findIndex(({ text }) => text === "(" || text === "[");
  const head = opens < 0 ? [] : tokens.slice(opens);
  const [types, local] = [new Set<string>(), new Set<string>()];
  let [outer, inLambda] = ["", false];
  const rest = head.filter((token, i) => {
    const { depth, text } = token;
    if (depth === 0 && outer !== "->") outer = text;
    else if (depth === 1 && (inLambda ? text === ":" : isName(token, "lambda"))) {
      inLambda = !inLambda;
    }
    const isParameter = depth === 1 && !inLambda && isWord(token) && OPENS.has(head[i - 1]!.text) &&
      (outer === "[" || !isName(tokens[0], "class"));
    if (isParameter) (outer === "[" ? types : local).add(text);
    return !isParameter;
  });
  const names = emptyNames();
  readExpressions(rest, names);
  const reads = names.reads.difference(names.inner).difference(types);
  return { local: local.union(types), reads };
}

/** What stands before a parameter of a function. */
const OPENS = new Set(["(", "[", ",", "*", "**"]);

/** Whether a token is a name that is looked up: no attribute, no argument's name, no conversion. */
function isRead(tokens: readonly Token[], i: number): boolean {
  const before = tokens[i - 1]?.text ?? "";
  const named = tokens[i + 1]?.text === "=" && (before === "(" || before === ",") &&
    tokens[i]!.depth > tokens[0]!.depth;
  // `!` stands before the conversion of a field: `f"{n!r}"`.
  return isWord(tokens[i]) && before !== "." && before !== "!" && !named;
}

function readStatement(tokens: readonly Token[], names: Names): void {
  const [first, second] = tokens;
  if (!first) return;
  if (isName(first, "import") || isName(first, "from")) return readImport(tokens, names);
  // `x: int` alone reads no x.
  readExpressions(isWord(first) && second?.text === ":" ? tokens.slice(2) : tokens, names);
  if (isName(first, "global")) return add(names.global, tokens.slice(1).map((one) => one.text));
  if (isName(first, "del")) return readTargets(tokens.slice(1), { ...names, binds: names.changes });
  const colon = HEADS.has(first.text) && second?.text !== "=" ? outside(tokens, ":") : -1;
  if (colon < 0) return readSimple(tokens, names);
  const each = tokens.findIndex((token) => isName(token, "for"));
  if (each === 0 || each === 1 && isName(first, "async")) {
    readTargets(tokens.slice(each + 1, outside(tokens, "in")), names);
  }
  if (isName(first, "case")) readPattern(tokens.slice(0, colon), names);
  const rest = tokens.slice(colon + 1);
  if (isName(rest[0], "import") || isName(rest[0], "from")) readImport(rest, names);
  else readSimple(rest, names);
}

/** What begins a statement that holds others. */
const HEADS = new Set(
  "if elif else for while with try except finally async match case".split(" "),
);

/** Names that the pattern of a `case` binds. */
function readPattern(tokens: readonly Token[], { binds }: Names): void {
  const guard = outside(tokens, "if");
  for (const [i, token] of tokens.slice(0, guard < 0 ? undefined : guard).entries()) {
    const isPart = tokens[i - 1]?.text === "." ||
      [".", "(", "="].includes(tokens[i + 1]?.text ?? "");
    if (i > 0 && isWord(token) && !isPart) binds.add(token.text);
  }
}

/** An assignment, or an expression that stands alone. */
function readSimple(tokens: readonly Token[], names: Names): void {
  const [first, second] = tokens;
  if (!first) return;
  const lambda = outside(tokens, "lambda");
  const given = (lambda < 0 ? tokens : tokens.slice(0, lambda)).findLastIndex((token) =>
    token.depth === first.depth && (token.text === "=" || UPDATE.test(token.text))
  );
  const typed = outside(tokens, ":");
  if (typed > 0 && typed < given && outside(tokens, "=") > typed) {
    readTargets(tokens.slice(0, typed), names);
  } else if (given > 0) readTargets(tokens.slice(0, given), names);
  else if (isWord(first) && second?.text === "(") names.calls.add(first.text);
  else if (isWord(first) && second?.text === "." && tokens.at(-1)!.text === ")") {
    names.changes.add(first.text);
  }
}

/** Names that targets bind, and those whose parts they change; no names within subscripts. */
function readTargets(tokens: readonly Token[], { binds, changes }: Names): void {
  let skipped = Infinity;
  for (const [i, token] of tokens.entries()) {
    if (token.depth > skipped) continue;
    skipped = Infinity;
    const before = tokens[i - 1];
    const follows = before && (isWord(before) || before.text === ")" || before.text === "]");
    if ((token.text === "[" || token.text === "(") && follows) skipped = token.depth;
    else if (isWord(token) && before?.text !== ".") {
      const part = [".", "[", "("].includes(tokens[i + 1]?.text ?? "");
      (part ? changes : binds).add(token.text);
    }
  }
}

function readImport(tokens: readonly Token[], { binds }: Names): void {
  const at = isName(tokens[0], "from") ? tokens.findIndex((token) => isName(token, "import")) : 0;
  for (let i = at + 1; i < tokens.length && at >= 0; i++) {
    const first = ["import", "as", ",", "("].includes(tokens[i - 1]!.text);
    if (first && isWord(tokens[i]) && !isName(tokens[i + 1], "as")) binds.add(tokens[i]!.text);
  }
}

/** Names that expressions read, and those that they bind: `:=`, `as`, comprehensions, lambdas. */
function readExpressions(tokens: readonly Token[], { binds, reads, inner }: Names): void {
  let [collects, outer] = ["", 0];
  for (const [i, token] of tokens.entries()) {
    const { text, depth } = token;
    if (isName(token, "lambda") || i > 0 && isName(token, "for")) [collects, outer] = [text, depth];
    else if (depth === outer && (text === ":" || isName(token, "in"))) collects = "";
    if (!isWord(token)) continue;
    const before = tokens[i - 1]?.text ?? "";
    if (isRead(tokens, i)) reads.add(text);
    if (tokens[i + 1]?.text === ":=" || before === "as") binds.add(text);
    if (collects === "for" || collects === "lambda" && (before === "lambda" || OPENS.has(before))) {
      inner.add(text);
    }
  }
}
