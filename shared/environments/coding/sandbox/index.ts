/**
 * A sandbox for untrusted Python: `run` gives a verdict on a program and its tests, in lanes side
 * by side. Programs run in CPython compiled to WebAssembly, in processes of their own without
 * permissions, apart from the tests (lane.ts); each starts from the same memory.
 * Leaves out what programs and tests are about.
 */
import { join } from "node:path";
import { CollmError } from "../../../errors.ts";
import { engineImage, type Image, snapshotImage } from "./image.ts";
import { Lane } from "./lane.ts";
import { Gone, Process } from "./process.ts";
import type { Program, Verdict } from "./program.ts";

export type { Program, PythonError, TestVerdict, Verdict } from "./program.ts";

const LEAST_TIME_S = 0.01;
const MOST_TIME_S = 600;

export interface SandboxOptions {
  /** Programs at a time, two processes each (default: cores of the machine). */
  lanes?: number;
  /** Folder of the interpreter's snapshot (default: `collm` in the user's cache folder). */
  cache?: string;
}

export interface Sandbox {
  /**
   * Verdict on a program; programs beyond the lanes wait in order.
   * @throws CollmError `invalid_request` for limits out of range, `unavailable` when it is closed.
   */
  run(program: Program): Promise<Verdict>;
  /**
   * Answer to a question about source text (`split`, `notes` or `syntax` of harness.ts);
   * `undefined` for a text that cannot be read to its end: nested too deeply, or too long.
   */
  ask<T extends object>(question: Record<string, unknown>): Promise<T | undefined>;
  /** Ends all processes; programs that wait are refused. */
  close(): Promise<void>;
}

/**
 * Starts nothing before the first program.
 * @throws CollmError `invalid_request` for a bad number of lanes; `run` throws `unavailable` where
 * processes cannot be started.
 */
export function openSandbox(options: SandboxOptions = {}): Sandbox {
  const { lanes = navigator.hardwareConcurrency, cache = cacheFolder() } = options;
  if (!Number.isInteger(lanes) || lanes < 1 || lanes > 256) {
    throw new CollmError("invalid_request", `Cannot open sandbox: lanes is ${lanes}`);
  }
  const processes = processSupply(cache);
  const idle: Lane[] = [];
  const waiting: ((lane: Lane) => void)[] = [];
  const all: Lane[] = [];
  let closed = false;

  async function take(): Promise<Lane> {
    if (closed) throw new CollmError("unavailable", "Cannot use sandbox: it is closed");
    const lane = idle.pop();
    if (lane) return lane;
    if (all.length < lanes) {
      all.push(new Lane(processes.next));
      return all.at(-1)!;
    }
    return await new Promise<Lane>((resolve) => waiting.push(resolve));
  }

  async function use<T>(body: (lane: Lane) => Promise<T>): Promise<T> {
    const lane = await take();
    try {
      return await body(lane);
    } finally {
      const next = waiting.shift();
      if (next) next(lane);
      else idle.push(lane);
    }
  }

  return {
    async run(program) {
      checkLimits(program);
      return await use((lane) => lane.run(program));
    },
    ask: (question) => use((lane) => lane.ask(question)),
    async close() {
      closed = true;
      await Promise.all([...all.map((lane) => lane.close()), processes.close()]);
    },
  };
}

/** @throws CollmError `invalid_request` */
function checkLimits({ time_limit_s: seconds = 1, most_timeouts: most = 1 }: Program): void {
  // The first comparison is false for what is no number, too.
  if (!(seconds >= LEAST_TIME_S && seconds <= MOST_TIME_S)) {
    const range = `${LEAST_TIME_S} to ${MOST_TIME_S}`;
    const why = `time_limit_s is ${seconds}, not from ${range}`;
    throw new CollmError("invalid_request", `Cannot run program: ${why}`);
  }
  if (!Number.isInteger(most) || most < 1) {
    const why = `most_timeouts is ${most}, not a whole number from 1`;
    throw new CollmError("invalid_request", `Cannot run program: ${why}`);
  }
}

/** Starts processes, and keeps one started ahead from the first on. */
function processSupply(cache: string) {
  let image: Promise<Image> | undefined;
  /** Whether a process has started with the snapshot: the engine does not promise that any does. */
  let proved = false;
  let spare: Promise<Process> | undefined;
  let closed = false;

  async function load(): Promise<Image> {
    try {
      return await snapshotImage(
        cache,
        async (made) => await Process.start(made, cache).snapshot(),
      );
    } catch (error) {
      if (error instanceof Gone) return await engineImage();
      throw error;
    }
  }

  async function start(): Promise<Process> {
    image ??= load();
    // What could not be read is tried again, not remembered.
    image.catch(() => image = undefined);
    const loaded = await image.catch((error: Error) => {
      if (error instanceof CollmError) throw error;
      throw new CollmError("unavailable", `Cannot start a sandbox process: ${error.message}`);
    });
    const process = Process.start(loaded, cache);
    try {
      await process.ready();
      proved = true;
      return process;
    } catch (error) {
      const why = (error as Error).message;
      if (proved || !loaded.some(([name]) => name === "snapshot")) {
        throw new CollmError("unavailable", `Cannot start a sandbox process: ${why}`);
      }
      image = engineImage();
      return await start();
    }
  }

  return {
    async next(): Promise<Process> {
      if (closed) throw new CollmError("unavailable", "Cannot use sandbox: it is closed");
      const ready = spare;
      spare = undefined;
      const process = await (ready ?? start());
      if (!closed && !spare) {
        spare = start();
        spare.catch(() => {});
      }
      return process;
    },
    async close(): Promise<void> {
      closed = true;
      await spare?.then((process) => process.kill(), () => {});
    },
  };
}

/** The user's cache folder; a folder for temporary files where there is none. */
function cacheFolder(): string {
  const base = Deno.env.get("XDG_CACHE_HOME") ||
    (Deno.env.get("HOME")
      ? join(Deno.env.get("HOME")!, ".cache")
      : Deno.env.get("TMPDIR") ?? "/tmp");
  return join(base, "collm");
}
