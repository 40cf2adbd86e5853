/**
 * The reward of a helper function `aux` and a main function (arXiv 2601.21972, coding domain):
 * both defined, the program parses, tests pass, the helper is of use. Stops at the first level
 * that fails and keeps what was earned; at most 4, for a single agent 2.1.
 */
import { CollmError } from "../../errors.ts";
import {
  hasReturn,
  hasReturnReference,
  ignoredReference,
  isWrapper,
  isWrapperReference,
  usesAux,
  usesAuxReference,
} from "./analysis.ts";
import { clash } from "./chunks.ts";
import { contextOf, extract, withFutureFirst } from "./clean.ts";
import {
  functionReference,
  importsReference,
  runReference,
  testsReference,
} from "./clean_reference.ts";
import type { Sandbox, Verdict } from "./sandbox/index.ts";
import type { CodingTask } from "./task.ts";

export const AUX_DEFINED = 0.4;
export const MAIN_DEFINED = 0.6;
export const PARSED = 0.5;
export const ALL_PASSED = 1;
export const AUX_USED = 0.5;
export const NO_WRAPPER = 1;
export const AUX_IGNORED = -0.5;

/** Least and greatest reward by the number of agents. */
export const RANGE = {
  1: [0, MAIN_DEFINED + PARSED + ALL_PASSED],
  2: [0, AUX_DEFINED + MAIN_DEFINED + PARSED + ALL_PASSED + AUX_USED + NO_WRAPPER],
} as const;

export interface Setting {
  /** Whether things are done as published, defects included. */
  reference: boolean;
  /** Seconds for loading and for each test. */
  time_limit_s: number;
}

export interface TestReport {
  text: string;
  passed: boolean;
  /** Why it failed, such as `AssertionError` or `TimeoutError`; `null` when it passed. */
  why: string | null;
}

/** All that is known about one joint action; a JSON value. */
export interface Report {
  /** Extracted functions; "" where there is none. */
  aux: string;
  main: string;
  aux_defined: boolean;
  main_defined: boolean;
  parsed: boolean;
  /** Why the program does not parse, does not load, or was ended. */
  problem: string | null;
  tests: TestReport[];
  passed: number;
  timeouts: number;
  uses_aux: boolean;
  wrapper: boolean;
  /** Calls of `aux` whose result is lost, as they count for the reward. */
  ignored: string[];
  reward: number;
}

/** Functions, program and tests of a joint action, before anything is run. */
interface Prepared {
  aux: string;
  main: string;
  /** The main function with what it needs of its completion. */
  program: string;
  /** What the main part is to see and not to bind anew; "" where both fit into one text. */
  before: string;
  code: string;
  tests: { text: string; run: string }[];
}

/** Judges completions; `aux` is "" for a single agent. */
export async function judge(
  sandbox: Sandbox,
  task: CodingTask,
  completions: { aux: string; main: string },
  setting: Setting,
): Promise<Report> {
  const { reference } = setting;
  const { aux, main, program, before, code, tests } = reference
    ? prepareReference(task, completions)
    : await prepare(sandbox, task, completions);
  const returns = reference ? hasReturnReference : hasReturn;
  const report: Report = {
    ...{ aux, main, aux_defined: returns(aux), main_defined: returns(main) },
    ...{ parsed: false, problem: null, passed: 0, timeouts: 0, uses_aux: false, wrapper: false },
    ...{ tests: tests.map(({ text }) => ({ text, passed: false, why: "NotRun" })) },
    ...{ ignored: [], reward: 0 },
  };
  if (report.main_defined) {
    const verdict = await sandbox.run({
      ...{ before, code, entry: task.entry_point, tests: tests.map((test) => test.run) },
      // As published, tests have the imports of a problem's text alone, not its helpers.
      setup: reference ? importsReference(task.prompt) : task.prompt,
      time_limit_s: setting.time_limit_s,
    });
    readVerdict(report, verdict);
    if (report.passed > 0 && aux !== "") {
      report.uses_aux = reference ? usesAuxReference(main) : usesAux(program);
      report.wrapper = (reference ? isWrapperReference : isWrapper)(main);
      report.ignored = reference ? ignoredReference(main) : await notes(sandbox, main);
    }
  }
  report.reward = rewardOf(report).total;
  return report;
}

const join = (...parts: string[]): string => parts.filter((part) => part !== "").join("\n\n");

function prepareReference(task: CodingTask, completions: { aux: string; main: string }): Prepared {
  const aux = functionReference(completions.aux, "aux");
  const main = functionReference(completions.main, task.entry_point);
  const tests = testsReference(task.test, task.entry_point);
  return {
    ...{
      aux,
      main,
      program: main,
      before: "",
      code: join(importsReference(task.prompt), aux, main),
    },
    tests: tests.map((text) => ({ text, run: runReference(text) })),
  };
}

async function prepare(
  sandbox: Sandbox,
  task: CodingTask,
  completions: { aux: string; main: string },
): Promise<Prepared> {
  const aux = extract(completions.aux, "aux");
  const main = extract(completions.main, task.entry_point);
  const context = contextOf(task.prompt, task.entry_point);
  // Names that both agents bind stay each one's own.
  const apart = clash(aux.program, main.program);
  const first = join(context, aux.program);
  const read = await sandbox.ask<{ tests: string[]; error: unknown }>({
    ...{ op: "split", test: task.test, entry: task.entry_point },
  });
  // A task that no program can pass would be a false reward for all.
  const why = !read
    ? "the task's tests are too deep or too long"
    : read.error
    ? "the task's tests do not parse"
    : read.tests.length === 0
    ? "the task has no test"
    : null;
  if (!read || why) {
    throw new CollmError("invalid_request", `Cannot judge functions '${task.entry_point}': ${why}`);
  }
  return {
    ...{ aux: aux.code, main: main.code, program: main.program },
    ...{ before: apart ? withFutureFirst(first) : "" },
    code: withFutureFirst(apart ? main.program : join(first, main.program)),
    tests: read.tests.map((text) => ({ text, run: text })),
  };
}

/** Most characters of a main function that is read for notes: the time for it is bounded. */
const MOST_NOTED = 50_000;

/**
 * Results of `aux` that main throws away; `reference` as the published feedback sees them. None
 * for a main function that is too long or too deep to be read.
 */
export async function notes(sandbox: Sandbox, main: string, reference = false): Promise<string[]> {
  if (main.length > MOST_NOTED) return [];
  const question = { op: "notes", code: main, helper: "aux", reference };
  return (await sandbox.ask<{ notes: string[] }>(question))?.notes ?? [];
}

function readVerdict(report: Report, verdict: Verdict): void {
  const { error, cause } = verdict;
  report.parsed = verdict.parsed;
  report.problem = cause ?? (error && `${error.type}: ${error.message}`);
  report.passed = verdict.passed;
  report.timeouts = verdict.timeouts;
  report.tests = report.tests.map(({ text }, i) => {
    const { passed, error } = verdict.tests[i]!;
    return { text, passed, why: error?.type ?? null };
  });
}

/** The parts of the reward that a report earns. */
export function rewardOf(report: Report) {
  const share = report.tests.length === 0 ? 0 : report.passed / report.tests.length;
  const used = report.uses_aux;
  const parts = {
    aux_definition: report.aux_defined ? AUX_DEFINED : 0,
    main_definition: report.main_defined ? MAIN_DEFINED : 0,
    syntax: report.parsed ? PARSED : 0,
    tests: report.parsed ? ALL_PASSED * share : 0,
    aux_usage: used ? AUX_USED : 0,
    no_wrapper: used && !report.wrapper ? NO_WRAPPER : 0,
    ignored_call: used && report.ignored.length > 0 ? AUX_IGNORED : 0,
  };
  return { ...parts, total: Object.values(parts).reduce((sum, part) => sum + part, 0) };
}
