/**
 * Every field of every valid request replaced by odd values, one at a time: whatever comes in, the
 * GPU server answers it or refuses it, and never fails.
 */
import assert from "node:assert/strict";
import { sequences, withServer } from "./served.ts";

const ODD: unknown[] = [
  null,
  true,
  -1,
  0,
  0.5,
  1e-30,
  1e30,
  2 ** 31,
  2 ** 53,
  "",
  "x",
  "../..",
  "__proto__",
  [],
  [[]],
  [0],
  [-1],
  [1e9],
  ["a", 1],
  [null],
  {},
  { a: 1 },
];

const tokens = sequences[0]!.tokens;
const adamw = {
  name: "adamw",
  learning_rate: 1e-3,
  betas: [0.9, 0.99],
  eps: 1e-8,
  weight_decay: 0,
};
const VALID: [string, Record<string, unknown>][] = [
  ["/v1/sample", {
    policy: "tiny",
    prompts: [tokens],
    n: 1,
    max_tokens: 2,
    temperature: 1,
    top_p: 1,
    top_k: 0,
    stop: [3],
    stop_tokens: [4],
    seed: 1,
  }],
  ["/v1/score", { policy: "tiny", sequences: [{ tokens, prompt_length: 2 }] }],
  ["/v1/values", { policy: "tiny", sequences: [{ tokens, read_at: 2 }] }],
  ["/v1/update", {
    policy: "tiny",
    seq: 0,
    loss: "policy_gradient",
    batch: [{ tokens, prompt_length: 2, advantage: 1, weight: 1 }],
    optimizer: adamw,
    max_grad_norm: 1,
    loss_scale: 1,
    apply: false,
    report: "gradients",
  }],
  ["/v1/update", {
    policy: "tiny",
    seq: 0,
    loss: "value_mse",
    batch: [{ tokens, prompt_length: 2, target: 1, read_at: 1 }],
    optimizer: adamw,
    apply: false,
  }],
  ["/v1/policies", { policy: "other", source: "tiny", value_head: { seed: 1 }, device: "cpu" }],
  ["/v1/policies", {
    policy: "adapted",
    source: "tiny",
    lora: { rank: 2, alpha: 4, target_modules: ["q_proj"], seed: 1 },
  }],
  ["/v1/checkpoints", { policy: "tiny", form: "adapter" }],
  ["/v1/completions", { model: "tiny", prompt: tokens, max_tokens: 2, stop: "a", n: 1 }],
  ["/v1/chat/completions", { model: "tiny", messages: [{ role: "user", content: "a" }] }],
];

/** Copies of `value` with one inner value replaced, added or left out. */
function* mutations(value: unknown): Generator<unknown> {
  yield* ODD;
  if (Array.isArray(value)) {
    yield [];
    for (const changed of mutations(value[0])) yield [changed, ...value.slice(1)];
  } else if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    for (const [key, inner] of entries) {
      const rest = Object.fromEntries(entries.filter(([k]) => k !== key));
      yield rest;
      yield { ...rest, [`${key}s`]: inner };
      for (const changed of mutations(inner)) yield { ...rest, [key]: changed };
    }
  }
}

Deno.test("POST answers or refuses every mutation of every valid request", () =>
  withServer(async ({ call }) => {
    let [count, refused] = [0, 0];
    for (const [path, valid] of VALID) {
      for (const body of mutations(valid)) {
        const answer = await call("POST", path, JSON.stringify(body));
        count++;
        if (answer.status < 300) continue;
        refused++;
        const told = `${path} ${JSON.stringify(body)}: ${JSON.stringify(answer.body)}`;
        assert.ok([400, 404, 409].includes(answer.status), told);
        assert.match(answer.body.detail, /^Cannot .*[^.]$/, told);
      }
    }
    assert.ok(count > 1000 && refused < count);
  }));
