/** One range of temperatures: what messages take is what the kernel takes. */
import assert from "node:assert/strict";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { sampleRequest } from "../../shared/wire/gpu.ts";
import { TINY } from "./served.ts";

const request = (temperature: number) => ({
  ...{ policy: "tiny", prompts: [[1, 2]], seeds: [1], max_tokens: 2, temperature },
  stop_tokens: [],
});

Deno.test("Kernel.sample takes the temperatures that messages may have, and no others", async () => {
  const kernel = new Kernel(await cpuDevice());
  await kernel.load({ policy: "tiny", source: TINY });
  for (const temperature of [0, 1e-3, 1, 1e3]) {
    assert.ok(sampleRequest.safeParse(request(temperature)).success, `${temperature}`);
    const { completions } = await kernel.sample(request(temperature));
    assert.ok(completions[0]!.logprobs.every(Number.isFinite), `${temperature}`);
  }
  for (const temperature of [-1, 1e-4, 1001, NaN, Infinity]) {
    assert.ok(!sampleRequest.safeParse(request(temperature)).success, `${temperature}`);
    await assert.rejects(kernel.sample(request(temperature)), {
      code: "invalid_request",
      message: `Cannot sample policy 'tiny': temperature is ${temperature}, ` +
        "expected 0 (greedy) or a number from 0.001 to 1000",
    });
  }
  await kernel.close();
});
