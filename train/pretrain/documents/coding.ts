/**
 * Coding documents: a compact prompt of the small set and an expression, of the helper or of the
 * main function. A *precise* document does its part of the task, a *random* one any step of any
 * task, at times cut off, and its main function often does without the helper. Pairs of steps of the
 * evaluation split never occur.
 */
import { compactPrompt } from "../../../shared/environments/coding/prompts.ts";
import { SMALL_SET, solutionOf } from "../../../shared/environments/coding/small_set.ts";
import { integerBelow } from "../../../shared/random.ts";
import { type Document, pick, turnOf } from "./document.ts";

const TASKS = SMALL_SET.train!;
/** Share of main functions that call the helper. */
const CALLS = { precise: 0.9, random: 0.5 };
/** Share of random expressions that are cut off. */
const CUT_OFF = 0.15;

/** @param precise Share of documents that do what their prompt asks. */
export function codingDocument(random: () => number, precise: number): Document {
  const task = pick(TASKS, random);
  const agent = integerBelow(random, 2);
  const { turn, reward } = turnOf(random, 0, 4);
  const aims = random() < precise;
  const shown = solutionOf(aims ? task : pick(TASKS, random))!;
  const calls = agent === 1 && random() < (aims ? CALLS.precise : CALLS.random);
  const plain = agent === 0 ? shown.first : shown.second;
  const code = calls ? onHelper(plain, random) : plain;
  const cut = !aims && random() < CUT_OFF;
  return {
    prompt: compactPrompt(task, agent, turn, reward),
    response: `${cut ? code.slice(0, 1 + integerBelow(random, code.length)) : code}\n`,
  };
}

/** The expression on what the helper returns, in brackets or not: both ways are Python. */
export function onHelper(code: string, random: () => number): string {
  // The argument x, not a letter between quotes.
  const called = code.replaceAll(/\bx\b(?!')/g, "aux(x)");
  return random() < 0.5 ? `(${called})` : called;
}
