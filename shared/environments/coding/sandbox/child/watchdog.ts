/**
 * The last resort against a program that no interrupt stops: a thread that ends the whole process
 * some time after the parent should have done so. It matters when the parent itself was killed,
 * for its sandbox processes would go on computing.
 */

/** Milliseconds that the parent has to end a process first. */
const PATIENCE_MS = 5000;
/** Milliseconds between looks. */
const PERIOD_MS = 1000;

const THREAD = `
import process from "node:process";
self.onmessage = ({ data }) => {
  const end = new Float64Array(data);
  setInterval(() => Date.now() > end[0] && process.kill(process.pid, "SIGKILL"), ${PERIOD_MS});
};`;

/** Starts the thread. @returns sets the milliseconds that this process may still compute */
export function startWatchdog(): (ms: number) => void {
  const end = new Float64Array(new SharedArrayBuffer(8));
  const shared = end.buffer;
  const url = URL.createObjectURL(new Blob([THREAD], { type: "text/javascript" }));
  new Worker(url, { type: "module" }).postMessage(shared);
  const now = Date.now.bind(Date);
  const set = (ms: number) => {
    end[0] = now() + ms + PATIENCE_MS;
  };
  set(Infinity);
  return set;
}
