/**
 * A long-running command of the project for tests: starts it, waits for its first line, collects
 * what it says, ends it by its own process. Leaves out what it serves.
 */
import { REPOSITORY } from "./data.ts";
import { until } from "./process.ts";

export interface ServerProcess {
  /** Lines of standard output so far, then those of standard error. */
  readonly stdout: string[];
  readonly stderr: string[];
  /** Address in the first line. */
  readonly url: string;
  /** Ends it with a signal (default SIGTERM); resolves to its exit code. */
  end(signal?: Deno.Signal): Promise<number>;
}

export interface ProcessOptions {
  env?: Record<string, string>;
  permissions?: string[];
}

/** Starts `script` and waits until it has printed a line. */
export async function startProcess(
  script: string,
  args: string[],
  { env = {}, permissions = ["-A"] }: ProcessOptions = {},
): Promise<ServerProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--no-prompt", ...permissions, script, ...args],
    cwd: REPOSITORY,
    env: { COLLM_TOKEN: "", COLLM_SECRET: "", NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [stdout, stderr]: [string[], string[]] = [[], []];
  const reading = [collect(child.stdout, stdout), collect(child.stderr, stderr)];
  let ended = false;
  child.status.then(() => ended = true);
  const end = async (signal: Deno.Signal = "SIGTERM") => {
    if (!ended) child.kill(signal);
    const { code } = await child.status;
    await Promise.all(reading);
    return code;
  };
  await until(`the first line of ${script}`, () => ended || stdout.length > 0, 60);
  if (stdout.length === 0) {
    await end();
    throw new Error(`${script} ended before it printed a line: ${stderr.join(" ")}`);
  }
  return { stdout, stderr, url: /https?:\/\/[^\s]+/.exec(stdout[0]!)?.[0] ?? "", end };
}

async function collect(stream: ReadableStream<Uint8Array>, lines: string[]): Promise<void> {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop()!;
    lines.push(...parts);
  }
  if (rest !== "") lines.push(rest);
}
