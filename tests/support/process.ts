/**
 * Child processes for tests that start the project's own commands: the Deno binary itself, so that
 * a signal reaches it and no wrapper.
 */
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** A command of the project, such as `command("train/main.ts", "--dry-run")`. */
export function command(script: string, ...args: string[]): Deno.Command {
  return start("piped", script, args);
}

/** Starts a command whose output nobody reads. */
export const spawnQuietly = (script: string, ...args: string[]): Deno.ChildProcess =>
  start("null", script, args).spawn();

function start(output: "piped" | "null", script: string, args: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: output,
    stderr: output,
  });
}

export interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs to the end. */
export async function finish(script: string, ...args: string[]): Promise<Finished> {
  const { code, stdout, stderr } = await command(script, ...args).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Polls until `ready` holds; gives up after `seconds` with the name of what was waited for. */
export async function until(
  what: string,
  ready: () => boolean | Promise<boolean>,
  seconds = 120,
): Promise<void> {
  const end = performance.now() + 1000 * seconds;
  while (!await ready()) {
    if (performance.now() > end) throw new Error(`Waited ${seconds} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
