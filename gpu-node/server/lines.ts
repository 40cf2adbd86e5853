/**
 * Lines of JSON between two processes. A line ends at "\n" alone: node:readline also ends one at
 * U+2028, which texts hold and JSON does not escape.
 */
import type { Readable } from "node:stream";

export function onLines(stream: Readable, take: (line: string) => void): void {
  const decoder = new TextDecoder();
  /** Pieces of the line that has not ended. */
  let begun: string[] = [];
  stream.on("data", (bytes: Uint8Array) => {
    const [first, ...others] = decoder.decode(bytes, { stream: true }).split("\n");
    begun.push(first!);
    for (const next of others) {
      const line = begun.join("");
      begun = [next];
      take(line);
    }
  });
}
