/** A process that runs a program which no interrupt stops, to be killed itself. */
import { openSandbox } from "../../shared/environments/coding/sandbox/index.ts";

const sandbox = openSandbox({ lanes: 1 });
const program = { entry: "solve", tests: ["assert solve(1) == 1"], time_limit_s: 5 };
await sandbox.run({ ...program, code: "def solve(x):\n    return x\n" });
// By then the program below is in its loop.
setTimeout(() => console.log("looping"), 1000);
await sandbox.run({ ...program, code: "def solve(x):\n    return sum(range(10 ** 12))\n" });
