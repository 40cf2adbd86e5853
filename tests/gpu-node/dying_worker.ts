/**
 * The real worker, which dies of an uncaught error in the middle of chosen calls: those whose text
 * contains a line of the file that the environment variable COLLM_TEST_DEATHS names. A line is used
 * up by a death.
 */
/// <reference lib="deno.worker" />
import type { WorkerRequest } from "../../gpu-node/worker.ts";
import "../../gpu-node/worker.ts";

// What kills it is printed by the runtime: in one line.
Error.stackTraceLimit = 0;
const file = Deno.env.get("COLLM_TEST_DEATHS")!;
const work = self.onmessage!.bind(self as never);

self.onmessage = (event: MessageEvent<WorkerRequest>) => {
  const deaths = Deno.readTextFileSync(file).split("\n");
  const text = JSON.stringify(event.data);
  const at = deaths.findIndex((line) => line !== "" && text.includes(line));
  if (at < 0) return work(event);
  deaths.splice(at, 1);
  Deno.writeTextFileSync(file, deaths.join("\n"));
  // It dies with the call begun, as a worker without memory would.
  work(event);
  throw new Error(`dead of ${event.data.verb}`);
};
