/**
 * A process that loads the checkpoint in Deno.args[0] and prints by how many bytes its largest
 * resident memory exceeds what it was with everything but the checkpoint in memory.
 */
import { cpuDevice } from "../../gpu-node/device.ts";
import { loadPolicy } from "../../gpu-node/load.ts";

/** Most resident bytes so far (Linux). */
function peak(): number {
  const line = /VmHWM:\s+(\d+) kB/.exec(Deno.readTextFileSync("/proc/self/status"));
  return 1024 * Number(line![1]);
}

const device = await cpuDevice();
await loadPolicy(device, { policy: "warm", source: "models/collm-tiny" }, new Map());
const before = peak();
const policy = await loadPolicy(device, { policy: "p", source: Deno.args[0]! }, new Map());
console.log(JSON.stringify({ grown: peak() - before, version: policy.version }));
