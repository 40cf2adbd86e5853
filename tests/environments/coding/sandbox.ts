/** One sandbox for all tests of a file; its processes end with the test process. */
import { openSandbox, type Sandbox } from "../../../shared/environments/coding/sandbox/index.ts";

const sandbox = openSandbox({ lanes: 2 });

/** A test with the sandbox, which outlives it: hence no count of open processes. */
export function sandboxTest(name: string, body: (sandbox: Sandbox) => Promise<void>): void {
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn: () => body(sandbox) });
}
