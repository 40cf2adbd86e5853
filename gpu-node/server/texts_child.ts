/**
 * Entry of the process that texts_process.ts starts: lines of JSON in, lines of JSON out. A thread
 * does the work, so that this one sees when its parent is gone, and ends both.
 */
import { stdin, stdout } from "node:process";
import { onLines } from "./lines.ts";

const worker = new Worker(new URL("./texts_worker.ts", import.meta.url), {
  type: "module",
  name: Deno.args[0]!,
});
worker.onmessage = ({ data }) => void stdout.write(JSON.stringify(data) + "\n");
onLines(stdin, (line) => worker.postMessage(JSON.parse(line)));
stdin.on("end", () => Deno.exit());
