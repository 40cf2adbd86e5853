/** A server of ours as a process of its own, for measurements. Leaves out what is asked of it. */

export interface ServerProcess {
  readonly url: string;
  readonly pid: number;
  /** Ends it by SIGTERM; resolves to its exit code. */
  end(): Promise<number>;
}

/** Starts a command of the project, such as `routes/main.ts`, on any free port. */
export async function startServer(command: string, args: string[]): Promise<ServerProcess> {
  const script = new URL(`../${command}`, import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, "--port", "0", ...args],
    env: { COLLM_TOKEN: "" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let printed = "";
  while (!printed.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`${command} ended before it listened`);
    printed += value;
  }
  return {
    url: /http:\S+/.exec(printed)![0],
    pid: child.pid,
    async end() {
      child.kill("SIGTERM");
      const { code } = await child.status;
      await reader.cancel();
      return code;
    },
  };
}
