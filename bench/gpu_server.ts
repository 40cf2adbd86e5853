/** A GPU server as a process of its own, for measurements. Leaves out what is asked of it. */

export interface GpuProcess {
  readonly url: string;
  readonly pid: number;
  /** Ends it by SIGTERM; resolves to its exit code. */
  end(): Promise<number>;
}

/** Serves `folder` as the policy `m`. */
export async function startGpuServer(folder: string): Promise<GpuProcess> {
  const checkpoints = await Deno.makeTempDir({ prefix: "collm-bench-" });
  const script = new URL("../gpu-node/main.ts", import.meta.url).pathname;
  const model = ["--model", `m=${folder}`];
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      script,
      "--port",
      "0",
      ...model,
      "--checkpoints",
      checkpoints,
    ],
    env: { COLLM_TOKEN: "" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let printed = "";
  while (!printed.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error("The GPU server ended before it listened");
    printed += value;
  }
  return {
    url: /http:\S+/.exec(printed)![0],
    pid: child.pid,
    async end() {
      child.kill("SIGTERM");
      const { code } = await child.status;
      await reader.cancel();
      await Deno.remove(checkpoints, { recursive: true });
      return code;
    },
  };
}
