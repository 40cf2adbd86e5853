/** As a program: runs a small program on WebGPU, and prints why where it cannot (probe.ts). */
import { tryWebGpu } from "./choose.ts";

if (import.meta.main) {
  try {
    await tryWebGpu();
  } catch (cause) {
    console.log(cause instanceof Error ? cause.message : String(cause));
    Deno.exit(1);
  }
}
