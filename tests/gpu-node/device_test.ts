/**
 * Devices: choosing one, and every verb on the GPUs that are here (device_cases.ts, one process
 * per device). WebGPU needs a Vulkan driver; Debian's chromium brings one that runs on the CPU.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { openDevice } from "../../gpu-node/device.ts";
import type { DeviceChoice } from "../../gpu-node/verbs.ts";
import { openWorkerNode } from "../../gpu-node/worker_client.ts";
import { REPOSITORY } from "../support/data.ts";

const SOFTWARE_DRIVER = "/usr/lib/chromium/vk_swiftshader_icd.json";
const driver = Deno.env.get("VK_DRIVER_FILES") ??
  (existsSync(SOFTWARE_DRIVER) ? SOFTWARE_DRIVER : undefined);

/** Runs Deno in a process of its own, which a driver may end; what it printed and its exit code. */
async function deno(name: string, ...args: string[]): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: REPOSITORY,
    env: { NO_COLOR: "1", COLLM_TEST_DEVICE: name, ...driver && { VK_DRIVER_FILES: driver } },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  return { code, text: [stdout, stderr].map((x) => new TextDecoder().decode(x)).join("") };
}

const OPEN = new URL("../../gpu-node/device.ts", import.meta.url).href;

for (const name of ["webgpu", "cuda"]) {
  const required = Deno.env.get(`COLLM_REQUIRE_${name.toUpperCase()}`) === "1";
  const open = `const d = await import('${OPEN}'); await (await d.openDevice("${name}")).close();`;
  const missing = required
    ? undefined
    : /Cannot use device .*/.exec((await deno(name, "eval", open)).text)?.[0];
  Deno.test({
    name: `every verb on ${name} gives the CPU's numbers${missing ? ` (skipped: ${missing})` : ""}`,
    ignore: missing !== undefined,
    async fn() {
      const cases = "tests/gpu-node/device_cases.ts";
      const { code, text } = await deno(name, "test", "-A", "--no-check", cases);
      assert.equal(code, 0, text);
      assert.match(text, /ok \| [1-9]\d* passed \| 0 failed/);
    },
  });
}

Deno.test("openDevice refuses an unknown name with the nearest one", async () => {
  await assert.rejects(openDevice("webgp" as DeviceChoice), {
    code: "invalid_request",
    message: "Cannot use device 'webgp': did you mean 'webgpu'?",
  });
});

Deno.test("a node on a device that is not here answers every verb with what is missing", async () => {
  // The driver of this machine's process decides about WebGPU; CUDA is there or it is not.
  const node = openWorkerNode({ device: "cuda" });
  const answer = await node.health().catch((error) => error);
  if (answer.device !== "cuda") {
    assert.equal(answer.code, "unavailable");
    assert.match(answer.message, /^Cannot use device 'cuda': .*(libcuda|CUDA)/);
    await assert.rejects(node.list(), { code: "unavailable" });
  }
  await node.close().catch(() => {});
});
