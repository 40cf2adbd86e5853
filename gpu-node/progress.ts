/** A bar for downloads, one line that is written over; only where a person watches a terminal. */
import type { Progress } from "./hub.ts";

const WIDTH = 24;

/** Draws through `write`; a finished file keeps its line. */
export function progressBar(write: (text: string) => void): Progress {
  let shown = "";
  return (file, loaded, total) => {
    const share = total > 0 ? Math.min(1, loaded / total) : 0;
    const bar = "#".repeat(Math.round(share * WIDTH)).padEnd(WIDTH, ".");
    const size = `${(loaded / 1e6).toFixed(1)}${
      total > 0 ? ` of ${(total / 1e6).toFixed(1)}` : ""
    }`;
    const line = `\r${file} [${bar}] ${size} MB${loaded === total ? "\n" : ""}`;
    if (line !== shown) write(line);
    shown = line;
  };
}

/** The bar on standard error; undefined where that is no terminal. */
export function terminalBar(): Progress | undefined {
  if (!Deno.stderr.isTerminal()) return undefined;
  const encoder = new TextEncoder();
  return progressBar((text) => void Deno.stderr.writeSync(encoder.encode(text)));
}
