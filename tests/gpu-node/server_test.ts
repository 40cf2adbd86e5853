/**
 * The GPU server's routes without a socket, over the real kernel on the small golden Llama:
 * PyTorch's numbers through JSON, write keys, refusals, checkpoints, tokens. Texts and the
 * OpenAI-compatible routes are in server_text_test.ts.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { existsSync } from "node:fs";
import type { GpuNode } from "../../gpu-node/verbs.ts";
import { CollmError } from "../../shared/errors.ts";
import { BODY_LIMIT } from "../../shared/wire/gpu.ts";
import { golden, sequences, withServer } from "./served.ts";

const close = (a: number, b: number, tolerance: number) =>
  assert.ok(Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)), `${a} is not near ${b}`);

const update = (extra: Record<string, unknown> = {}) => ({
  policy: "tiny",
  seq: 1,
  loss: "policy_gradient",
  batch: sequences.map((s, i) => ({ ...s, advantage: golden.batch.advantages[i] })),
  optimizer: { name: "adamw", learning_rate: 0.01, weight_decay: 0.01 },
  ...extra,
});

Deno.test("POST /v1/score gives PyTorch's log-probabilities and the policy version", () =>
  withServer(async ({ call }) => {
    const { status, body } = await call("POST", "/v1/score", { policy: "tiny", sequences });
    assert.equal(status, 200);
    (golden.response_logprobs as number[][]).forEach((row, i) => {
      assert.equal(body.logprobs[i].length, row.length);
      row.forEach((x, k) => close(body.logprobs[i][k], x, 1e-4));
    });
    assert.match(body.policy_version, /^0-[0-9a-f]{24}$/);
  }));

Deno.test("POST /v1/values gives PyTorch's values, read at a position or by default at the last", () =>
  withServer(async ({ call }) => {
    const at = sequences.map((s) => ({ tokens: s.tokens, read_at: s.prompt_length - 1 }));
    const { body } = await call("POST", "/v1/values", { policy: "tiny", sequences: at });
    (golden.critic.values as number[]).forEach((v, i) => close(body.values[i], v, 1e-4));
    const cut = sequences.map((s) => ({ tokens: s.tokens.slice(0, s.prompt_length) }));
    const last = await call("POST", "/v1/values", { policy: "tiny", sequences: cut });
    (golden.critic.values as number[]).forEach((v, i) => close(last.body.values[i], v, 1e-4));
  }));

Deno.test("POST /v1/update without apply gives PyTorch's gradients and changes nothing", () =>
  withServer(async ({ call }) => {
    const { status, body } = await call(
      "POST",
      "/v1/update",
      update({ apply: false, report: "gradients" }),
    );
    assert.equal(status, 200);
    const expected = golden.policy_gradient_full;
    close(body.loss, expected.loss, 1e-3);
    close(body.grad_norm, expected.grad_norm, 1e-3);
    for (const [name, g] of Object.entries(expected.grads as Record<string, { norm: number }>)) {
      close(body.gradients[name].norm, g.norm, 1e-3);
    }
    const { body: listed } = await call("GET", "/v1/policies");
    assert.equal(listed.policies[0].policy_version, body.policy_version);
  }));

Deno.test("POST /v1/update answers the same seq from the record and refuses another payload", () =>
  withServer(async ({ call }) => {
    const first = await call("POST", "/v1/update", update());
    assert.equal(first.status, 200);
    assert.match(first.body.policy_version, /^1-/);
    // Written in another order and with other blanks it is the same payload.
    const { seq, ...rest } = update();
    const again = await call("POST", "/v1/update", JSON.stringify({ seq, ...rest }, null, 2));
    assert.deepEqual(again, first);
    const other = await call("POST", "/v1/update", update({ max_grad_norm: 1 }));
    assert.equal(other.status, 409);
    assert.equal(other.body.code, "conflict");
    const { body } = await call("GET", "/v1/policies");
    assert.equal(body.policies[0].policy_version, first.body.policy_version);
  }));

Deno.test("POST /v1/sample gives PyTorch's greedy tokens and needs no tokenizer", () =>
  withServer(async ({ call }) => {
    const { status, body } = await call("POST", "/v1/sample", {
      policy: "tiny",
      prompts: [golden.greedy.prompt],
      max_tokens: 12,
      temperature: 0,
    });
    assert.equal(status, 200);
    const [completion] = body.completions;
    assert.deepEqual(completion.tokens, golden.greedy.new_tokens);
    assert.equal(completion.logprobs.length, 12);
    assert.equal(completion.text, null);
    assert.equal(completion.finish_reason, "length");
  }));

Deno.test("POST /v1/sample draws n completions per prompt that their seeds draw again", () =>
  withServer(async ({ call }) => {
    const request = { policy: "tiny", max_tokens: 8, temperature: 1 };
    const prompts = [[5, 6, 7], [8, 9]];
    const { body } = await call("POST", "/v1/sample", { ...request, prompts, n: 3, seed: 7 });
    const { completions } = body as { completions: Record<string, unknown>[] };
    assert.deepEqual(completions.map((c) => c["prompt_index"]), [0, 0, 0, 1, 1, 1]);
    assert.equal(completions[0]!["seed"], 7);
    assert.equal(new Set(completions.slice(0, 3).map((c) => String(c["tokens"]))).size, 3);
    const again = await call("POST", "/v1/sample", {
      ...request,
      prompts: completions.map((c) => prompts[c["prompt_index"] as number]),
      seeds: completions.map((c) => c["seed"]),
    });
    assert.deepEqual(
      again.body.completions.map((c: Record<string, unknown>) => c["tokens"]),
      completions.map((c) => c["tokens"]),
    );
    const unseeded = () => call("POST", "/v1/sample", { ...request, prompts });
    const [a, b] = [await unseeded(), await unseeded()];
    assert.notEqual(a.body.completions[0].seed, b.body.completions[0].seed);
  }));

Deno.test("POST /v1/sample ends a completion after any of the stop tokens", () =>
  withServer(async ({ call }) => {
    const tokens = golden.greedy.new_tokens as number[];
    const at = tokens.findIndex((token) => token !== tokens[0]);
    assert.ok(at > 0);
    const other = tokens[at];
    for (const stops of [{ stop: [other] }, { stop_tokens: [other] }]) {
      const { body } = await call("POST", "/v1/sample", {
        policy: "tiny",
        prompts: [golden.greedy.prompt],
        max_tokens: 12,
        temperature: 0,
        ...stops,
      });
      const [completion] = body.completions;
      assert.deepEqual(completion.tokens, tokens.slice(0, at + 1));
      assert.equal(completion.finish_reason, "stop");
    }
  }));

const sample = { policy: "tiny", prompts: [[1, 2]], max_tokens: 2 };
const sequence = { tokens: [1, 2, 3], prompt_length: 1 };
const REFUSED: [string, string, unknown, number, RegExp][] = [
  ["an unknown policy", "/v1/sample", { ...sample, policy: "tyni" }, 404, /did you mean 'tiny'/],
  ["an out-of-vocabulary token", "/v1/sample", { ...sample, prompts: [[97]] }, 400, /token 97/],
  ["a prompt without tokens", "/v1/sample", { ...sample, prompts: [[]] }, 400, /no tokens/],
  ["a text without a tokenizer", "/v1/sample", { ...sample, prompts: ["a"] }, 400, /no tokenizer/],
  [
    "a norm of 0",
    "/v1/update",
    update({ max_grad_norm: 0 }),
    400,
    /'max_grad_norm' is 0, expected more than 0/,
  ],
  ["top_p", "/v1/sample", { ...sample, top_p: 1.5 }, 400, /'top_p' is 1.5, expected at most 1/],
  [
    "top_k",
    "/v1/sample",
    { ...sample, top_k: 0.5 },
    400,
    /'top_k' is 0.5, expected a whole number/,
  ],
  ["a misspelt field", "/v1/sample", { ...sample, sead: 1 }, 400, /'sead', did you mean 'seed'/],
  ["a negative temperature", "/v1/sample", { ...sample, temperature: -1 }, 400, /is -1, expected/],
  ["seed and seeds", "/v1/sample", { ...sample, seed: 1, seeds: [1] }, 400, /both seed and seeds/],
  ["too few seeds", "/v1/sample", { ...sample, seeds: [] }, 400, /1 prompts but 0 seeds/],
  [
    "too many completions",
    "/v1/sample",
    {
      ...sample,
      prompts: [[1], [1]],
      n: 4096,
    },
    400,
    /4096 completions/,
  ],
  ["too many tokens", "/v1/sample", { ...sample, max_tokens: 9999 }, 400, /positions/],
  ["a broken body", "/v1/score", "{", 400, /not valid JSON/],
  ["a list as body", "/v1/score", [], 400, /the body is a list of 0, expected an object/],
  [
    "a fractional token",
    "/v1/score",
    {
      policy: "tiny",
      sequences: [{ tokens: [1.5], prompt_length: 1 }],
    },
    400,
    /'sequences\[0\].tokens' is a list of 1, expected a list of token ids/,
  ],
  [
    "a prompt longer than its sequence",
    "/v1/score",
    {
      policy: "tiny",
      sequences: [{ tokens: [1], prompt_length: 2 }],
    },
    400,
    /prompt_length 2 is outside a sequence of 1 tokens/,
  ],
  [
    "a value outside its sequence",
    "/v1/values",
    {
      policy: "tiny",
      sequences: [{ tokens: [1], read_at: 1 }],
    },
    400,
    /read_at 1 is outside a sequence of 1 tokens/,
  ],
  ["an unknown loss", "/v1/update", update({ loss: "ppo" }), 400, /'loss' is "ppo", expected/],
  ["an empty batch", "/v1/update", update({ batch: [] }), 400, /'batch' .* at least 1 entries/],
  [
    "a missing advantage",
    "/v1/update",
    update({ batch: [sequence] }),
    400,
    /batch\[0\] needs either/,
  ],
  [
    "a batch without responses",
    "/v1/update",
    {
      ...update(),
      loss: "cross_entropy",
      batch: [{ tokens: [1], prompt_length: 1 }],
    },
    400,
    /no sequence has a token after its prompt/,
  ],
  [
    "a target read elsewhere",
    "/v1/update",
    {
      ...update(),
      loss: "value_mse",
      batch: [{ ...sequence, target: 1, read_at: 3 }],
    },
    400,
    /batch\[0\] is read at 3 but has 3 tokens/,
  ],
  [
    "a path as source",
    "/v1/policies",
    { policy: "x", source: "../tiny" },
    400,
    /expected the name of a model/,
  ],
  [
    "a parent as source",
    "/v1/policies",
    { policy: "x", source: ".." },
    400,
    /expected the name of a model/,
  ],
  ["an unknown source", "/v1/policies", { policy: "x", source: "tny" }, 404, /did you mean 'tiny'/],
  ["an unknown policy to save", "/v1/checkpoints", { policy: "x" }, 404, /Cannot find policy 'x'/],
];

Deno.test("POST refuses what it cannot do with one clear sentence, and serves the next request", () =>
  withServer(async ({ call }) => {
    for (const [what, path, body, status, detail] of REFUSED) {
      const answer = await call("POST", path, body);
      assert.equal(answer.status, status, `${what}: ${JSON.stringify(answer.body)}`);
      assert.match(answer.body.detail, detail, what);
      assert.equal(answer.body.status, status);
    }
    assert.equal((await call("POST", "/v1/sample", sample)).status, 200);
  }));

Deno.test("POST /v1/sample truncates: the one most likely token is the greedy one", () =>
  withServer(async ({ call }) => {
    const drawn = async (more: object) => {
      const body = { policy: "tiny", prompts: [[5, 6, 7]], seed: 3, max_tokens: 12, ...more };
      return (await call("POST", "/v1/sample", body)).body.completions[0];
    };
    const greedy = await drawn({ temperature: 0 });
    assert.deepEqual(
      await drawn({ temperature: 2, top_k: 2 ** 40 }),
      await drawn({ temperature: 2 }),
      "more than there are is all",
    );
    for (const more of [{ top_k: 1 }, { top_p: 1e-6 }]) {
      const { tokens, logprobs } = await drawn({ temperature: 2, ...more });
      assert.deepEqual(tokens, greedy.tokens);
      assert.ok(logprobs.every((x: number) => Math.abs(x) < 1e-5), "the only token is certain");
    }
    assert.notDeepEqual((await drawn({ temperature: 2 })).tokens, greedy.tokens);
  }));

Deno.test("a bad request among good ones fails itself only", () =>
  withServer(async ({ call }) => {
    const answers = await Promise.all(
      [[1, 2], [96, 97], [3]].map((prompt) =>
        call("POST", "/v1/sample", { ...sample, prompts: [prompt], seed: 1 })
      ),
    );
    assert.deepEqual(answers.map((a) => a.status), [200, 400, 200]);
  }));

Deno.test("POST /v1/policies loads a model under further names, each with weights of its own", () =>
  withServer(async ({ call }) => {
    const loaded = await call("POST", "/v1/policies", {
      policy: "critic-main",
      source: "tiny",
      value_head: {},
    });
    assert.equal(loaded.status, 201);
    assert.equal(loaded.body.source, "tiny");
    assert.equal(loaded.body.can_learn, true);
    await call("POST", "/v1/update", update({ policy: "critic-main" }));
    const { body } = await call("GET", "/v1/policies");
    const versions = body.policies.map((p: { policy_version: string }) => p.policy_version[0]);
    assert.deepEqual(versions, ["0", "1"]);
    assert.equal((await call("DELETE", "/v1/policies/critic-main")).status, 204);
    assert.equal((await call("DELETE", "/v1/policies/critic-main")).status, 404);
    assert.equal((await call("GET", "/v1/policies")).body.policies.length, 1);
  }));

Deno.test("POST /v1/checkpoints saves a version that loads again and goes on the same way", () =>
  withServer(async ({ call, root }) => {
    const first = await call("POST", "/v1/update", update());
    const saved = await call("POST", "/v1/checkpoints", { policy: "tiny" });
    assert.equal(saved.status, 201);
    const id: string = saved.body.id;
    assert.equal(id, `tiny-${first.body.policy_version}`);
    assert.equal((await call("POST", "/v1/checkpoints", { policy: "tiny" })).status, 200);
    const described = await call("GET", `/v1/checkpoints/${id}`);
    assert.deepEqual(described.body.files, saved.body.files);
    assert.deepEqual([...Deno.readDirSync(root)].map((entry) => entry.name), [id]);

    const back = await call("POST", "/v1/policies", { policy: "copy", source: id });
    assert.equal(back.body.policy_version, first.body.policy_version);
    const next = await call("POST", "/v1/update", update({ seq: 2 }));
    const copy = await call("POST", "/v1/update", update({ seq: 2, policy: "copy" }));
    assert.deepEqual(copy.body, next.body);

    const kept = await call("DELETE", `/v1/checkpoints/${id}`);
    assert.equal(kept.status, 409);
    await call("DELETE", "/v1/policies/copy");
    assert.equal((await call("DELETE", `/v1/checkpoints/${id}`)).status, 204);
    assert.equal((await call("GET", `/v1/checkpoints/${id}`)).status, 404);
  }));

Deno.test("GET /v1/checkpoints serves files of a checkpoint and nothing beside it", () =>
  withServer(async ({ app, call, root }) => {
    const { id } = (await call("POST", "/v1/checkpoints", { policy: "tiny" })).body;
    await Deno.writeTextFile(join(root, "..", "secret.json"), "{}");
    await Deno.writeTextFile(join(root, "secret.json"), "{}");
    const file = await app.request(`/v1/checkpoints/${id}/files/onnx/model.onnx`);
    assert.deepEqual(await file.bytes(), await Deno.readFile(join(root, id, "onnx/model.onnx")));
    for (
      const path of [
        "..%2Fsecret.json",
        "%2E%2E%2Fsecret.json",
        "onnx",
        "onnx%2F..%2F..%2Fsecret.json",
      ]
    ) {
      const answer = await app.request(`/v1/checkpoints/${id}/files/${path}`);
      assert.equal(answer.status, 404, path);
      await answer.body?.cancel();
    }
    for (const other of ["..", "%2E%2E", "..%2F..", "."]) {
      assert.notEqual((await app.request(`/v1/checkpoints/${other}`)).status, 200, other);
    }
  }));

Deno.test("PUT /v1/checkpoints takes known files of an upload only", () =>
  withServer(async ({ app, root }) => {
    const put = async (id: string, name: string) =>
      (await app.request(`/v1/checkpoints/${id}/files/${name}`, { method: "PUT", body: "{}" }))
        .status;
    const id = `upload.${"0".repeat(32)}`;
    assert.equal(await put(id, "config.json"), 204);
    assert.deepEqual([...Deno.readDirSync(join(root, id))].map((e) => e.name), ["config.json"]);
    for (const name of ["evil.sh", "..%2Fconfig.json", "model.safetensors%2Fx", ".config.json"]) {
      assert.equal(await put(id, name), 400, name);
    }
    assert.equal(await put("tiny-0-0123456789abcdef", "config.json"), 400);
    assert.equal(existsSync(join(root, "tiny-0-0123456789abcdef")), false);
  }));

Deno.test("a token opens everything; without it only /health and /openapi.json are open", () =>
  withServer(async ({ app, call }) => {
    assert.equal((await call("GET", "/v1/policies")).status, 200);
    assert.equal((await app.request("/health")).status, 200);
    assert.equal((await app.request("/openapi.json")).status, 200);
    for (const path of ["/metrics", "/v1/models", "/v1/ws", "/v1/checkpoints/x"]) {
      assert.equal((await app.request(path)).status, 401, path);
    }
    for (const authorization of ["", "Bearer", "Bearer wrong", "Basic secret", "secret"]) {
      const response = await app.request("/v1/policies", { headers: { authorization } });
      assert.equal(response.status, 401, authorization);
      assert.equal(response.headers.get("www-authenticate"), "Bearer");
      assert.equal((await response.json()).code, "unauthorized");
    }
    const upload = await app.request("/v1/checkpoints/x/files/config.json", { method: "PUT" });
    assert.equal(upload.status, 401);
  }, { token: "secret" }));

Deno.test("a body above the limit is answered with 413", () =>
  withServer(async ({ app }) => {
    const response = await app.request("/v1/score", {
      method: "POST",
      body: "{}",
      headers: { "content-length": String(BODY_LIMIT + 1) },
    });
    assert.equal(response.status, 413);
    assert.equal((await response.json()).code, "payload_too_large");
  }));

Deno.test("GET of an unknown path is a problem document with 404", () =>
  withServer(async ({ app }) => {
    const response = await app.request("/v1/polices");
    assert.equal(response.status, 404);
    assert.equal(response.headers.get("content-type"), "application/problem+json");
    assert.equal((await response.json()).detail, "Cannot find route GET /v1/polices");
  }));

Deno.test("a worker that died is answered with 503 on every verb", async () => {
  const dead = () =>
    Promise.reject(new CollmError("unavailable", "Cannot reach the GPU worker: it ended"));
  const node = { list: dead, health: dead, score: dead, sample: dead } as unknown as GpuNode;
  await withServer(async ({ call }) => {
    for (const path of ["/health", "/v1/policies"]) {
      const { status, body } = await call("GET", path);
      assert.equal(status, 503);
      assert.equal(body.detail, "Cannot reach the GPU worker: it ended");
    }
    const score = await call("POST", "/v1/score", { policy: "tiny", sequences: [] });
    assert.equal(score.status, 503);
  }, { models: {}, node });
});
