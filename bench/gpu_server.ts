/** A GPU server as a process of its own, for measurements. Leaves out what is asked of it. */
import { type ServerProcess, startServer } from "./server_process.ts";

/** Serves `folder` as the policy `m`. */
export async function startGpuServer(folder: string): Promise<ServerProcess> {
  const checkpoints = await Deno.makeTempDir({ prefix: "collm-bench-" });
  const model = ["--model", `m=${folder}`];
  const server = await startServer("gpu-node/main.ts", [...model, "--checkpoints", checkpoints]);
  return {
    ...server,
    async end() {
      const code = await server.end();
      await Deno.remove(checkpoints, { recursive: true });
      return code;
    },
  };
}
