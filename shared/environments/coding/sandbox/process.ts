/**
 * One sandbox process as its parent sees it: lines in, lines out, and an end by force.
 * Nothing is read before it is asked for, so a process that floods its output only waits.
 * Leaves out what the lines mean (lane.ts).
 */
import { fileURLToPath } from "node:url";
import { CollmError } from "../../../errors.ts";
import type { Image } from "./image.ts";

/** Most bytes of one line; more is treated as a crash. */
const MAX_LINE = 16 * 2 ** 20;
/** Milliseconds for a process to start; without a snapshot that takes seconds. */
const START_MS = 180_000;
/** Milliseconds for a process to put its memory back: longer than the start of a spare one. */
const RESET_MS = 2000;
/** Lines that may be left unread: a judge's plan and its word that a job is done. */
const LEFT_LINES = 2;
/**
 * How much the interpreter runs before the engine compiles its functions anew, 23 times as much as
 * the engine would wait: for a process that judges short programs, compiling takes longer than it
 * saves, and long programs still get it.
 */
const TIERING_BUDGET = 300_000_000;
const NEWLINE = 10;

/** A sandbox process ended or was ended; the message says why. */
export class Gone extends Error {}

export class Process {
  #child: Deno.ChildProcess;
  #input: WritableStreamDefaultWriter<Uint8Array>;
  #output: ReadableStreamDefaultReader<Uint8Array>;
  #pending = new Uint8Array(0);
  /**
   * Starting and resetting (putting the memory back) both end with the line R, resting (letting go
   * of the last job) with one that says done.
   */
  #state: "starting" | "resetting" | "resting" | "clean" | "busy" = "starting";
  #fed: Promise<void>;
  /** Set once it is of no use any more. */
  gone: Gone | null = null;

  private constructor(child: Deno.ChildProcess, image: Image) {
    this.#child = child;
    this.#input = child.stdin.getWriter();
    this.#output = child.stdout.getReader();
    child.unref();
    this.#fed = this.#feed(image);
    this.#fed.catch(() => {});
  }

  /**
   * Starts a process without permissions, environment or module graph.
   * @param cache Folder for what Deno keeps about the process's own program.
   * @throws CollmError `unavailable` when this process may not or cannot start another.
   */
  static start(image: Image, cache: string): Process {
    const script = fileURLToPath(new URL("./child/main.ts", import.meta.url));
    const fences = ["--no-prompt", "--no-remote", "--cached-only", "--no-npm", "--no-config"];
    const engine = `--max-old-space-size=256,--wasm-tiering-budget=${TIERING_BUDGET}`;
    const flags = ["--no-lock", "--no-check", `--v8-flags=${engine}`];
    try {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--quiet", ...fences, ...flags, script],
        clearEnv: true,
        env: { DENO_DIR: cache, DENO_NO_UPDATE_CHECK: "1" },
        stdin: "piped",
        stdout: "piped",
        stderr: "null",
      }).spawn();
      return new Process(child, image);
    } catch (error) {
      const why = (error as Error).message;
      throw new CollmError("unavailable", `Cannot start a sandbox process: ${why}`);
    }
  }

  async #feed(image: Image): Promise<void> {
    const sizes = image.map(([name, bytes]) => [name, bytes.length]);
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify(sizes)}\n`));
    for (const [, bytes] of image) await this.#input.write(bytes);
  }

  /** Resolves when the process waits for a program; throws `Gone` when it never will. */
  async ready(): Promise<void> {
    if (this.gone) throw this.gone;
    if (this.#state === "clean") return;
    // Lines of the last program may still be on their way.
    const end = performance.now() + (this.#state === "starting" ? START_MS : RESET_MS);
    if (this.#state === "resting") {
      const line = await this.#line(end - performance.now());
      if (!line.startsWith('P{"done"')) throw this.#end("it broke its protocol");
    } else {
      for (let extra = 0; await this.#line(end - performance.now()) !== "R"; extra++) {
        // Waiting for the end of a flood takes longer than a spare process.
        if (extra > LEFT_LINES) throw this.#end("it wrote more than it was asked");
      }
    }
    this.#state = "clean";
  }

  /** Sends lines, such as `L500` (limit in milliseconds) or a job as JSON. */
  send(...lines: string[]): void {
    this.#state = "busy";
    // What cannot be delivered shows in the next answer.
    this.#input.write(new TextEncoder().encode(lines.map((line) => `${line}\n`).join("")))
      .catch(() => {});
  }

  /** Ends a program: the process puts its memory back while nobody waits for it. */
  reset(): void {
    if (this.gone || this.#state !== "busy") return;
    this.send("E");
    this.#state = "resetting";
  }

  /** Declares that a job leaves nothing behind once it is done: the memory may stay as it is. */
  rest(): void {
    if (!this.gone) this.#state = "resting";
  }

  /**
   * Next JSON line of Python within `ms`, else the process is killed and `Gone` thrown; the same
   * when `read` does not take it, for a program may write any line in the harness's place.
   */
  async answer<T>(ms: number, read: (value: unknown) => T | undefined): Promise<T> {
    const line = await this.#line(ms);
    let value: T | undefined;
    try {
      value = line.startsWith("P") ? read(JSON.parse(line.slice(1))) : undefined;
    } catch {
      value = undefined;
    }
    if (value === undefined) throw this.#end("it broke its protocol");
    return value;
  }

  /** Snapshot of a process that was started to make one. */
  async snapshot(): Promise<Uint8Array<ArrayBuffer>> {
    const line = await this.#line(START_MS);
    const size = Number(/^S([0-9]+)$/.exec(line)?.[1] ?? 0);
    if (!size) throw this.#end(`it answered ${line.slice(0, 100)}`);
    while (this.#pending.length < size) await this.#more(START_MS);
    const made = this.#pending.slice(0, size);
    await this.kill();
    return made;
  }

  async kill(): Promise<void> {
    this.#end("it was closed");
    // Until here a process is no reason for its parent to go on living.
    this.#child.ref();
    await this.#child.status;
  }

  async #line(ms: number): Promise<string> {
    const end = performance.now() + ms;
    for (let from = 0;;) {
      const at = this.#pending.indexOf(NEWLINE, from);
      if (at >= 0) {
        const line = new TextDecoder().decode(this.#pending.subarray(0, at));
        this.#pending = this.#pending.slice(at + 1);
        if (line.startsWith("X")) throw this.#end(`it ended with ${line.slice(1)}`);
        return line;
      }
      from = this.#pending.length;
      if (from > MAX_LINE) throw this.#end("its output was too large");
      await this.#more(end - performance.now());
    }
  }

  async #more(ms: number): Promise<void> {
    if (this.gone) throw this.gone;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), Math.max(ms, 0));
    });
    const found = await Promise.race([this.#output.read(), late]).finally(() =>
      clearTimeout(timer)
    );
    if (found === "late") throw this.#end("it did not stop at its time limit and was killed");
    if (found.done) throw this.#end("its process died");
    const joined = new Uint8Array(this.#pending.length + found.value.length);
    joined.set(this.#pending);
    joined.set(found.value, this.#pending.length);
    this.#pending = joined;
  }

  #end(why: string): Gone {
    if (!this.gone) {
      this.gone = new Gone(why);
      try {
        this.#child.kill("SIGKILL");
      } catch {
        // it has ended on its own
      }
      // Its pipes are handles of this process, which would keep them.
      this.#output.cancel().catch(() => {});
      this.#input.abort().catch(() => {});
    }
    return this.gone;
  }
}
