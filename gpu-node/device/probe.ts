/**
 * Whether WebGPU works here, tried in a process of its own: a graphics driver writes lines of its
 * own to the terminal where it fails, and a bad one ends the process that asks. Leaves out CUDA,
 * whose libraries are looked for before anything is loaded.
 */
import { fileURLToPath } from "node:url";

/** Null where a program ran on WebGPU, otherwise the reason why none did. Takes half a second. */
export async function probeWebGpu(): Promise<string | null> {
  const trial = fileURLToPath(new URL("./webgpu_trial.ts", import.meta.url));
  const { code, signal, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", trial],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).output();
  if (code === 0) return null;
  const why = new TextDecoder().decode(stdout).trim();
  return why || `the driver ended a trial of it with ${signal ?? `code ${code}`}`;
}
