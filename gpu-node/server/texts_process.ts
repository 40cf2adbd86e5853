/**
 * The process of one policy's texts (texts_child.ts), as its caller sees it: jobs in, replies out.
 * A process, because it can be killed: a thread of ours that is busy cannot.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { onLines } from "./lines.ts";
import type { TextJob, TextReply } from "./texts_worker.ts";

export interface TextsProcess {
  /** Takes what comes back for the job sent last. */
  onReply: (reply: TextReply) => void;
  /** Takes why it ended, unless `kill` ended it. */
  onEnd: (why: string) => void;
  send(job: TextJob): void;
  kill(): void;
}

export function startTexts(folder: string): TextsProcess {
  const script = fileURLToPath(new URL("./texts_child.ts", import.meta.url));
  const child = spawn(Deno.execPath(), ["run", "--quiet", "-A", script, folder], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  let killed = false;
  const end = (why: string) => {
    if (!killed) texts.onEnd(why);
    killed = true;
  };
  const texts: TextsProcess = {
    onReply: () => {},
    onEnd: () => {},
    send: (job) => void child.stdin.write(JSON.stringify(job) + "\n"),
    kill() {
      killed = true;
      child.kill("SIGKILL");
    },
  };
  child.on("error", ({ message }) => end(message));
  child.on("exit", (code, signal) => end(`its process ended with ${signal ?? `code ${code}`}`));
  // What is written to a process that has just ended; `exit` tells.
  child.stdin.on("error", () => {});
  onLines(child.stdout, (line) => {
    if (killed) return;
    let reply: TextReply;
    try {
      reply = JSON.parse(line);
    } catch {
      end("its answer cannot be read");
      return texts.kill();
    }
    texts.onReply(reply);
  });
  return texts;
}
