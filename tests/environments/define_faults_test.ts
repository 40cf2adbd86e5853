/** Environments of one's own whose functions break or give what is no JSON: a sentence for each. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { defineEnvironment, type Definition } from "../../shared/environments/define.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import { finish } from "../support/process.ts";

const SMALL: Definition<unknown, unknown> = {
  ...{ id: "small", turns: 2, rewardRange: [0, 1], items: { train: [1] } },
  prompt: () => "",
  step: () => 0,
};

/** Plays an item to the end of its first turn. */
async function played(changes: object, joint = { agent_1: "", agent_2: "" }) {
  const environment = defineEnvironment({ ...SMALL, ...changes }).create({});
  const { task } = environment.item("train", 0);
  const { state } = await environment.reset(task, 0);
  return await environment.step(task, state, joint);
}

const fails = (changes: object, reason: string, code: ErrorCode = "internal") =>
  assert.rejects(() => played(changes), { code, message: `Cannot play 'small': ${reason}` });

const breaks = () => {
  throw new TypeError("x is not\n  a function.");
};

Deno.test("a function that throws is one sentence with the environment and its name", async () => {
  const text = "failed: x is not a function";
  await fails({ prompt: breaks }, `prompt ${text}`);
  await fails({ start: breaks }, `start ${text}`);
  await fails({ step: breaks }, `step ${text}`);
  await fails({ step: () => Promise.reject("no") }, 'step failed: "no"');
  await fails({ items: { train: breaks } }, `item 0 of split 'train' ${text}`);
  await fails({ agents: breaks }, `agents ${text}`, "invalid_request");
  const { create } = defineEnvironment({ ...SMALL, readTask: breaks });
  assert.throws(() => create({}).task({}), {
    code: "invalid_request",
    message: `Cannot play 'small': readTask ${text}`,
  });
});

Deno.test("evaluate tells it without a stack", async () => {
  const folder = await Deno.makeTempDir({ prefix: "collm-define-" });
  try {
    const define = import.meta.resolve("../../shared/environments/define.ts");
    const module = join(folder, "broken.ts");
    await Deno.writeTextFile(
      module,
      `import { defineEnvironment } from ${JSON.stringify(define)};
      export default defineEnvironment({
        id: "broken", rewardRange: [0, 1], items: { train: [1], eval: [1] },
        prompt() { throw new Error("out of words"); },
        step: () => 0,
      });`,
    );
    const { code, stderr } = await finish(
      "train/evaluate.ts",
      ...["--checkpoint", "models/collm-tiny", "--env", module, "--episodes", "2"],
    );
    assert.equal(code, 1);
    const [last] = stderr.trim().split("\n").slice(-1);
    assert.equal(last, "Error: Cannot play 'broken': prompt failed: out of words");
    assert.doesNotMatch(stderr, /^\s+at /m);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("tasks and states are any JSON value, and nothing else", async () => {
  for (const value of ["three", 3, null, [1, [null]], { a: { b: false, left: undefined } }]) {
    const environment = defineEnvironment({
      ...SMALL,
      items: { train: [value] },
      start: () => value,
      step: ({ task, state }) => ({ reward: Number(task === value), state }),
    }).create({});
    const { task } = environment.item("train", 0);
    const { state } = await environment.reset(task, 0);
    const { rewards } = await environment.step(task, state, { agent_1: "", agent_2: "" });
    assert.equal(rewards["agent_1"], 1);
  }
  const loop: unknown[] = [];
  loop.push({ loop });
  let deep: unknown = 1;
  for (let i = 0; i < 10_000; i++) deep = [deep];
  for (
    const [value, why] of [
      [{ n: 3n }, "'n' is a bigint"],
      [3n, "it is a bigint"],
      [loop, "'0.loop' holds itself"],
      [deep, "it is nested more than 64 deep"],
      [{ a: [1, NaN] }, "'a.1' is NaN"],
      [[undefined], "'0' is undefined"],
      [{ at: new Date(0) }, "'at' is a Date of its own kind"],
      [() => 1, "it is a function"],
    ] as const
  ) {
    const reason = `must be JSON, but ${why}`;
    await fails({ items: { train: [value] } }, `item 0 of split 'train' ${reason}`);
    await fails({ start: () => value }, `the state of start ${reason}`);
    await fails({ step: () => ({ reward: 0, state: value }) }, `the state of step ${reason}`);
  }
  await assert.rejects(() => played({ items: { train: () => undefined } }), {
    code: "not_found",
    message: "Cannot find item 0 of split 'train': its function gave none",
  });
});

Deno.test("a joint reward outside of rewardRange fails its step", async () => {
  const range = "but rewardRange is 0 to 1";
  await fails({ step: () => 1.5 }, `step gave the joint reward 1.5, ${range}`);
  await fails({ step: () => -0.1 }, `step gave the joint reward -0.1, ${range}`);
  // The mean counts: one agent may earn what another loses.
  await played({ step: () => ({ reward: { agent_1: 3, agent_2: -2 } }) });
  await played({ step: () => 1 + 1e-12 });
});

Deno.test("a key __proto__ is refused in options and in tasks", () => {
  const { create } = defineEnvironment({ ...SMALL, readTask: () => 1 });
  assert.throws(() => create(JSON.parse('{"__proto__":1}')), {
    message: "Cannot create environment 'small': unknown option '__proto__', known: turns",
  });
  assert.throws(() => create({}).task(JSON.parse('{"__proto__":1}')), {
    message: "Cannot play environment 'small': unknown field '__proto__'",
  });
});
