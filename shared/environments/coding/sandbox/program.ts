/**
 * What goes into a sandbox and what comes out: programs, tests, verdicts.
 * Leaves out how they are run.
 */

export interface Program {
  /** Module of Python that defines the functions under test. */
  code: string;
  /** Module whose names the program sees and cannot bind anew for it (default: none). */
  before?: string;
  /** Function that the tests are about. */
  entry: string;
  /** Statements of Python, each checked on its own and in order, in one namespace. */
  tests: readonly string[];
  /** Trusted definitions that tests may use besides; the program never sees them. */
  setup?: string;
  /** Seconds for loading and for each test, from 0.01 to 600 (default 10). */
  time_limit_s?: number;
  /** Tests that may take too long before the others are skipped, which is a failure (default 3). */
  most_timeouts?: number;
}

export interface PythonError {
  /** Name of the exception's class. */
  type: string;
  /** At most 500 characters. */
  message: string;
  /** Line of the program, for syntax errors. */
  line?: number | null;
}

export interface TestVerdict {
  passed: boolean;
  timed_out: boolean;
  /** Why it failed; `null` when it passed. */
  error: PythonError | null;
}

export interface Verdict {
  /** Whether the program could be parsed. */
  parsed: boolean;
  /** Why the program could not be loaded; no test has run then. */
  error: PythonError | null;
  /**
   * Why the program was ended from outside: all its tests failed after a crash or a hard time limit,
   * and those that were left when the time for the whole program was over.
   */
  cause: string | null;
  /** One per test, in order. */
  tests: TestVerdict[];
  passed: number;
  timeouts: number;
}

/** Verdict on a program none of whose tests passed, all for one reason. */
export function failure(
  program: Program,
  why: { parsed: boolean; error: PythonError | null; cause: string | null },
): Verdict {
  const error = why.error ?? { type: "Ended", message: why.cause ?? "" };
  const tests = program.tests.map(() => ({ passed: false, timed_out: false, error }));
  return { ...why, tests, passed: 0, timeouts: 0 };
}
