/**
 * Which names Python statements bind, change, call and read, as far as their tokens show.
 * Linear in the text. Leaves out what the names stand for.
 */
import type { Token } from "./python_lines.ts";

export const isName = (token: Token | undefined, name: string): boolean =>
  token?.kind === "name" && token.text === name;

/** Statements that a line holds beside each other, without the `;` between them. */
export function statementsOf(tokens: readonly Token[]): Token[][] {
  const statements: Token[][] = [[]];
  for (const token of tokens) {
    if (token.text === ";" && token.depth === 0) statements.push([]);
    else statements.at(-1)!.push(token);
  }
  return statements.filter((statement) => statement.length > 0);
}
