/**
 * One program at a time on two processes: the player holds the program, the judge holds the tests
 * and alone decides. What the program can reach is its own code and the arguments it is called
 * with; what it can say is the value it returned. Leaves out waiting for a lane (index.ts).
 */
import { CollmError } from "../../../errors.ts";
import {
  type Call,
  type Outcome,
  readJudged,
  readLoaded,
  readObject,
  readOutcome,
  readPlan,
} from "./answers.ts";
import { Gone, type Process } from "./process.ts";
import { failure, type Program, type TestVerdict, type Verdict } from "./program.ts";

const TIME_LIMIT_S = 10;
const MOST_TIMEOUTS = 3;
/** Milliseconds after a time limit at which a process that did not obey is killed. */
const GRACE_MS = 1000;
/** Time limits that a whole program may take, however many tests it has. */
const WHOLE_LIMITS = 12;
/** Most characters of all outcomes of a program: they are sent to the judge in one line. */
const MOST_OUTCOMES = 32 * 2 ** 20;

/** Milliseconds for a question about source text: texts are short, this is for stalled machines. */
const QUESTION_MS = 30_000;

/** Gives a process that waits for a program. */
export type Supply = () => Promise<Process>;

export class Lane {
  #player: Promise<Process>;
  #judge: Promise<Process>;
  #closed = false;

  constructor(readonly supply: Supply) {
    this.#player = supply();
    this.#judge = supply();
    for (const process of [this.#player, this.#judge]) process.catch(() => {});
  }

  /**
   * Verdict on a program; crashes on the way are verdicts too.
   * @throws CollmError `unavailable` when the lane is closed on the way.
   */
  async run(program: Program): Promise<Verdict> {
    const judge = await this.#ready("judge");
    // The judge reads the tests while the player's memory is put back after the last program.
    judge.send(`L${judgeMs(program)}`, judgeJob(program));
    let player: Process | undefined;
    try {
      player = await this.#ready("player");
      return await check(program, player, judge);
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      this.#refuseClosed();
      const cause = `${judge.gone ? "Tests" : "Program"} stopped: ${error.message}`;
      return failure(program, { parsed: true, error: null, cause });
    } finally {
      player?.reset();
      judge.reset();
    }
  }

  /**
   * Answer to a question about source text, which is read but not run; `undefined` for a text that
   * cannot be read to its end.
   */
  async ask<T extends object>(question: Record<string, unknown>): Promise<T | undefined> {
    const judge = await this.#ready("judge");
    judge.send(`L${QUESTION_MS}`, JSON.stringify(question));
    try {
      return await judge.answer(QUESTION_MS + GRACE_MS, readObject<T>);
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      this.#refuseClosed();
      return undefined;
    } finally {
      // Texts of tasks are read as their tests are; of what agents write nothing may stay.
      if (question["op"] === "split") judge.rest();
      else judge.reset();
    }
  }

  /** A process that was closed says nothing about its program. */
  #refuseClosed(): void {
    if (this.#closed) throw new CollmError("unavailable", "Cannot use sandbox: it is closed");
  }

  async close(): Promise<void> {
    this.#closed = true;
    const all = await Promise.allSettled([this.#player, this.#judge]);
    await Promise.all(all.map((found) => found.status === "fulfilled" && found.value.kill()));
  }

  /** The process of a role, replaced when it is gone. */
  async #ready(role: "player" | "judge"): Promise<Process> {
    const process = role === "player" ? this.#player : this.#judge;
    try {
      const found = await process;
      await found.ready();
      return found;
    } catch (error) {
      if (!(error instanceof Gone)) {
        // It never started: the next program tries again.
        this.#replace(role);
        throw error;
      }
      const next = await this.#replace(role);
      await next.ready();
      return next;
    }
  }

  #replace(role: "player" | "judge"): Promise<Process> {
    const next = this.supply();
    next.catch(() => {});
    if (role === "player") this.#player = next;
    else this.#judge = next;
    return next;
  }
}

function limitMs({ time_limit_s = TIME_LIMIT_S }: Program): number {
  return 1000 * time_limit_s;
}

/** The judge does work of its own in a test, so it gets at least two seconds. */
function judgeMs(program: Program): number {
  return Math.max(limitMs(program), 2000);
}

function judgeJob(program: Program): string {
  const { entry, tests, setup = "", most_timeouts: most_late = MOST_TIMEOUTS } = program;
  const limit = judgeMs(program) / 1000;
  return JSON.stringify({ op: "judge", entry, tests, setup, most_late, limit });
}

/** Runs a program whose tests the judge has been given. @throws Gone when a process ends. */
async function check(program: Program, player: Process, judge: Process): Promise<Verdict> {
  const { code, before = "", tests, most_timeouts: most_late = MOST_TIMEOUTS } = program;
  const limit = limitMs(program) / 1000;
  const whole = Math.max(WHOLE_LIMITS * limitMs(program), judgeMs(program));
  const end = performance.now() + whole;
  /** Milliseconds to wait for the player: a time limit, and never past the program's end. */
  const patience = () => Math.min(limitMs(program), end - performance.now()) + GRACE_MS;
  player.send(`L${limitMs(program)}`, JSON.stringify({ op: "load", before, code, limit }));
  const loaded = await player.answer(patience(), readLoaded);
  if (loaded.error || loaded.late) {
    const late = { type: "TimeoutError", message: `loading took more than ${limit} s` };
    const error = loaded.late ? late : loaded.error;
    return failure(program, { parsed: !loaded.syntax, error, cause: null });
  }
  let room = MOST_OUTCOMES;
  const call = async (calls: Call[]): Promise<Outcome[]> => {
    if (calls.length === 0) return [];
    player.send(JSON.stringify({ op: "calls", calls, limit, most_late }));
    const outcomes: Outcome[] = [];
    while (outcomes.length < calls.length) {
      const outcome = await player.answer(patience(), readOutcome);
      room -= JSON.stringify(outcome).length;
      if (room < 0) throw new Gone(`its answers are more than ${MOST_OUTCOMES >> 20} MiB in all`);
      outcomes.push(outcome);
    }
    return outcomes;
  };
  const plan = await judge.answer(judgeMs(program) + GRACE_MS, readPlan);
  const outcomes = await call(plan.ahead);
  if (!plan.live) player.reset();
  judge.send(JSON.stringify({ outcomes }));
  const found: TestVerdict[] = [];
  let cause: string | null = null;
  try {
    while (found.length < tests.length) {
      const ms = Math.min(judgeMs(program) + GRACE_MS, end - performance.now());
      const line = await judge.answer(ms, readJudged);
      if (Array.isArray(line)) {
        const [outcome] = await call([line]);
        judge.send(JSON.stringify({ outcome }));
      } else found.push({ passed: line.ok, timed_out: line.late, error: line.error });
    }
  } catch (error) {
    if (!(error instanceof Gone) || performance.now() < end) throw error;
    cause = `Tests stopped: the whole program took more than ${whole / 1000} s`;
    const left = { passed: false, timed_out: false, error: { type: "Ended", message: cause } };
    found.push(...tests.slice(found.length).map(() => left));
  }
  // Tests that only compare leave nothing behind.
  if (plan.plain && !cause) judge.rest();
  return {
    ...{ parsed: true, error: null, cause, tests: found },
    passed: found.filter((test) => test.passed).length,
    timeouts: found.filter((test) => test.timed_out).length,
  };
}
