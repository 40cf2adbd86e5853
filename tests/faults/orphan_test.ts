/** What becomes of sandbox processes whose parent was killed. */
import assert from "node:assert/strict";
import { command, until } from "../support/process.ts";

/** Ids of processes whose parent is `pid`, from the kernel's table. */
function childrenOf(pid: number): number[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    if (!/^[0-9]+$/.test(name)) return [];
    try {
      const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
      return Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]) === pid
        ? [Number(name)]
        : [];
    } catch {
      return []; // it has ended meanwhile
    }
  });
}

const isAlive = (pid: number) => {
  try {
    return !/^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
};

Deno.test({
  name: "openSandbox leaves no process behind when its own process is killed amid a program",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const parent = command("tests/faults/endless.ts").spawn();
    const reader = parent.stdout.getReader();
    const { value } = await reader.read();
    assert.equal(new TextDecoder().decode(value), "looping\n");
    const children = childrenOf(parent.pid);
    assert.ok(children.length >= 2, `${children}`);
    parent.kill("SIGKILL");
    await Promise.all([parent.status, reader.cancel(), parent.stderr.cancel()]);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.ok(children.some(isAlive), "one is still in its loop");
    await until("the sandbox processes to end", () => !children.some(isAlive));
  },
});
