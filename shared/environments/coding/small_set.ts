/**
 * A small set of tasks of our own: functions of one line over numbers and texts, each of two steps,
 * so that a helper can take the first. For policies too small for the published sets, and offline.
 * Train and eval share the steps but no pair of them.
 */
import { seedOf } from "../../random.ts";
import type { Splits } from "../data/splits.ts";
import type { CodingTask } from "./task.ts";

interface Step {
  words: string;
  /** Python expression of `x`. */
  code: string;
  run: (x: never) => unknown;
}

const step = <In, Out>(words: string, code: string, run: (x: In) => Out): Step => ({
  words,
  code,
  run: run as (x: never) => unknown,
});

const DIGITS = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const NUMBER: readonly Step[] = [
  ...DIGITS.map((n) => step(`add ${n}`, `x + ${n}`, (x: number) => x + n)),
  ...DIGITS.map((n) => step(`subtract ${n}`, `x - ${n}`, (x: number) => x - n)),
  ...DIGITS.slice(1).map((n) => step(`multiply by ${n}`, `x * ${n}`, (x: number) => x * n)),
  step("square", "x * x", (x: number) => x * x),
  step("negate", "-x", (x: number) => -x),
  step("take the absolute value", "abs(x)", (x: number) => Math.abs(x)),
];
const TEXT: readonly Step[] = [
  step("reverse", "x[::-1]", (x: string) => [...x].reverse().join("")),
  step("make upper case", "x.upper()", (x: string) => x.toUpperCase()),
  step("make lower case", "x.lower()", (x: string) => x.toLowerCase()),
  step("double", "x + x", (x: string) => x + x),
  step("drop the first letter", "x[1:]", (x: string) => x.slice(1)),
  step("drop the last letter", "x[:-1]", (x: string) => x.slice(0, -1)),
  ...[..."abcxyz"].map((c) => step(`append ${c}`, `x + '${c}'`, (x: string) => x + c)),
  ...[..."abcxyz"].map((c) => step(`prepend ${c}`, `'${c}' + x`, (x: string) => c + x)),
];
const NUMBERS = [0, 1, 2, 7, -3];
const TEXTS = ["", "a", "Dog", "hello", "xYz"];
/** One pair in so many is held out. */
const HELD_OUT_IN = 8;

function task(first: Step, second: Step, inputs: readonly unknown[]): CodingTask {
  const asserts = inputs.map((x) => {
    const value = second.run(first.run(x as never) as never);
    return `    assert candidate(${JSON.stringify(x)}) == ${JSON.stringify(value)}`;
  });
  return {
    prompt: `def f(x):\n    """${wordsOf(first, second)}"""\n`,
    test: `def check(candidate):\n${asserts.join("\n")}\n`,
    entry_point: "f",
  };
}

const capital = (words: string) => words[0]!.toUpperCase() + words.slice(1);
/** What a task asks for, as its docstring says it. */
const wordsOf = (first: Step, second: Step) => `${capital(first.words)}, then ${second.words}.`;

const PAIRS = [
  ...NUMBER.flatMap((a) => NUMBER.map((b) => ({ a, b, inputs: NUMBERS }))),
  ...TEXT.flatMap((a) => TEXT.map((b) => ({ a, b, inputs: TEXTS }))),
].map((pair) => ({ ...pair, order: seedOf("coding small set", pair.a.words, pair.b.words) }))
  .sort((p, q) => p.order - q.order);

/** Tasks of both kinds in a fixed shuffled order. */
export const SMALL_SET: Splits<CodingTask> = {
  train: PAIRS.filter((_, i) => i % HELD_OUT_IN !== 0).map(({ a, b, inputs }) =>
    task(a, b, inputs)
  ),
  eval: PAIRS.filter((_, i) => i % HELD_OUT_IN === 0).map(({ a, b, inputs }) => task(a, b, inputs)),
};

const SOLUTIONS = new Map(
  PAIRS.map(({ a, b, inputs }) => [
    wordsOf(a, b),
    { first: a.code, second: b.code, of: inputs === NUMBERS ? "numbers" : "texts" },
  ]),
);

const solution = ({ prompt }: CodingTask) => SOLUTIONS.get(/"""([^"]*)"""/.exec(prompt)?.[1] ?? "");

/** The two expressions that solve a task of this set, for its helper and on the helper's result. */
export function solutionOf(task: CodingTask): { first: string; second: string } | undefined {
  const known = solution(task);
  return known && { first: known.first, second: known.second };
}

/** Whether both are tasks of this set over the same kind of values. */
export function alike(a: CodingTask, b: CodingTask): boolean {
  const kind = solution(a)?.of;
  return kind !== undefined && kind === solution(b)?.of;
}
