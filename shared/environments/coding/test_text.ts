/**
 * Whether the text of a task's tests can hold one: a statement of `check`, or beside functions and
 * classes, that is about the wanted function. What only a runner of unittest or pytest would call is
 * none. A text refused here has no test for sure; of others the sandbox has the last word, which
 * splits them in Python (sandbox/python/split.ts).
 */
import { type Line, linesOf } from "./python_lines.ts";
import { blockEnd, definedBy, isName, outside, statementsOf } from "./python_names.ts";

/** What is said of a text that holds none. */
export const NO_TEST =
  "checks nothing: there is no assert in check(candidate) or outside of functions and classes";

/** With these a check function is one test, whatever it says. */
const UNSPLIT = ["return", "global", "nonlocal", "yield"];

/** @param entry Name of the wanted function. */
export function holdsTest(test: string, entry: string): boolean {
  const lines = linesOf(test.replaceAll(/\r\n?/g, "\n"));
  const tokens = lines.flatMap((line) => line.tokens);
  // What does not parse is told by the sandbox; a lambda may be a test's helper by any name.
  if (tokens.some((token) => token.kind === "odd" || isName(token, "lambda"))) return true;
  const defined = lines.flatMap((line) => definedBy(line.tokens)?.name ?? []);
  const names = new Set([entry, ...defined, ...UNSPLIT]);
  const at = lines.findLastIndex((line) =>
    line.indent === lines[0]!.indent && definedBy(line.tokens)?.name === "check"
  );
  if (at < 0) return concerns(lines, names);
  const { tokens: head } = lines[at]!;
  const colon = outside(head, ":");
  for (const token of head.slice(0, colon)) if (token.depth > 0) names.add(token.text);
  const beside = { ...lines[at]!, tokens: head.slice(colon + 1) };
  return concerns([beside], names) || concerns(lines.slice(at + 1, blockEnd(lines, at)), names);
}

/** What begins a statement that is no test: a decorator, an import. */
const NO_TESTS = ["@", "import", "from"];

/** Whether a statement beside definitions has one of these names. */
function concerns(lines: readonly Line[], names: ReadonlySet<string>): boolean {
  for (let at = 0; at < lines.length;) {
    const { tokens, indent } = lines[at]!;
    const defines = indent === lines[0]!.indent && definedBy(tokens) !== undefined;
    const found = statementsOf(tokens).some((statement) =>
      !NO_TESTS.includes(statement[0]!.text) &&
      statement.some(({ kind, text }) => kind === "name" && names.has(text))
    );
    if (found && !defines) return true;
    at = defines ? blockEnd(lines, at) : at + 1;
  }
  return false;
}
