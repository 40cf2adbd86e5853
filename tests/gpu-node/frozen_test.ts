/**
 * Frozen policies: models that Transformers.js runs, against our own engine on the same weights,
 * in foreign architectures and number formats, one row against many.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { cpuDevice } from "../../gpu-node/device.ts";
import { Kernel } from "../../gpu-node/kernel.ts";
import { loadTokenizer } from "../../gpu-node/model/tokenizer.ts";
import type { Completion, LoadRequest, SampleRequest } from "../../gpu-node/verbs.ts";
import { openWorkerNode } from "../../gpu-node/worker_client.ts";
import { CollmError } from "../../shared/errors.ts";
import { dataTest, REPOSITORY } from "../support/data.ts";
import { close, FAMILIES, golden } from "./golden.ts";
import {
  toBlocks4,
  toDynamic8,
  toHalf,
  toMatMul,
  withExternalData,
  withoutPositions,
} from "./onnx_variants.ts";

const TINY = join(REPOSITORY, "models", "collm-tiny");
const PROMPTS = [[1, 40, 41], [1], Array.from({ length: 33 }, (_, i) => (i * 29) % 500 + 3), [
  7,
  8,
]];

const openKernel = async () => new Kernel(await cpuDevice());

/** A copy of the embedded model under another configuration, with other ONNX files. */
async function variant(
  config: Record<string, unknown> = {},
  files: Record<string, (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>> = {},
): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "frozen-" });
  const base = JSON.parse(await Deno.readTextFile(join(TINY, "config.json")));
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify({ ...base, ...config }));
  await Deno.mkdir(join(folder, "onnx"));
  const bytes = await Deno.readFile(join(TINY, "onnx", "model.onnx"));
  const all = Object.keys(files).length ? files : { "model.onnx": (same: Uint8Array) => same };
  for (const [name, change] of Object.entries(all)) {
    await Deno.writeFile(join(folder, "onnx", name), await change(bytes));
  }
  return folder;
}

const request = (extra: Partial<SampleRequest> = {}): SampleRequest => ({
  policy: "frozen",
  prompts: PROMPTS,
  seeds: PROMPTS.map((_, i) => 11 + i),
  max_tokens: 24,
  temperature: 0.9,
  stop_tokens: [],
  ...extra,
});

const asSequences = (prompts: number[][], completions: Completion[]) =>
  completions.map(({ tokens }, i) => ({
    tokens: [...prompts[i]!, ...tokens],
    prompt_length: prompts[i]!.length,
  }));

function sameCompletions(actual: Completion[], expected: Completion[], tolerance = 1e-4): void {
  assert.deepEqual(actual.map((c) => c.tokens), expected.map((c) => c.tokens));
  assert.deepEqual(actual.map((c) => c.finish_reason), expected.map((c) => c.finish_reason));
  expected.forEach(({ logprobs }, i) =>
    logprobs.forEach((x, t) => close(actual[i]!.logprobs[t]!, x, tolerance, `row ${i}, token ${t}`))
  );
}

async function refused(promise: Promise<unknown>, ...parts: (string | RegExp)[]): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof CollmError, String(error));
    for (const part of parts) {
      const found: boolean = typeof part === "string"
        ? error.message.includes(part)
        : part.test(error.message);
      assert.ok(found, `'${error.message}' lacks ${part}`);
    }
    return true;
  });
}

/** Loads the folder as `frozen`, with the request's further fields. */
async function frozenKernel(source: string, extra: Partial<LoadRequest> = {}) {
  const node = await openKernel();
  const info = await node.load({ policy: "frozen", source, ...extra });
  return { node, info };
}

Deno.test("load with frozen true runs a folder that could learn, and says why it does not", async () => {
  const { node, info } = await frozenKernel(TINY, { frozen: true });
  assert.equal(info.can_learn, false);
  assert.equal(info.why_frozen, "it was loaded with frozen true");
  assert.equal(info.architecture, "llama");
  assert.equal(info.vocab_size, 576);
  assert.equal(info.trainable_parameters, 0);
  assert.equal(info.device, "cpu");
  // Weights, plus the few constants of the graph (rotary tables among them).
  assert.ok(info.parameters >= 1_058_176 && info.parameters < 1_150_000, `${info.parameters}`);
  const file = await Deno.stat(join(TINY, "onnx", "model.onnx"));
  assert.equal(info.bytes, file.size);
  assert.match(info.policy_version, /^0-[0-9a-f]{24}$/);
  assert.deepEqual(await node.list(), [info]);
  const again = await node.load({ policy: "other", source: TINY, frozen: true });
  assert.equal(again.policy_version, info.policy_version);
  await node.close();
});

Deno.test("sample and score of a frozen policy equal our own engine's on the same weights", async () => {
  const { node } = await frozenKernel(TINY, { frozen: true });
  await node.load({ policy: "own", source: TINY });
  for (const extra of [{}, { temperature: 0 }, { stop_tokens: [385, 393], temperature: 1.3 }]) {
    const frozen = await node.sample(request(extra));
    const own = await node.sample(request({ ...extra, policy: "own" }));
    sameCompletions(frozen.completions, own.completions);
    const sequences = asSequences(PROMPTS, frozen.completions);
    const [a, b] = [await node.score("frozen", sequences), await node.score("own", sequences)];
    b.logprobs.forEach((row, i) =>
      row.forEach((x, t) => close(a.logprobs[i]![t]!, x, 1e-4, `score ${i}, ${t}`))
    );
  }
  await node.close();
});

for (const family of FAMILIES) {
  Deno.test(`score and sample of an exported ${family}, loaded frozen, give PyTorch's numbers`, async () => {
    const { folder, expected, sequences } = golden(family);
    const target = join(await Deno.makeTempDir(), family);
    const node = await openKernel();
    await node.load({ policy: "own", source: folder });
    await node.save("own", target);
    await node.load({ policy: "frozen", source: target, frozen: true });
    const { logprobs } = await node.score("frozen", sequences);
    (expected.response_logprobs as number[][]).forEach((row, i) => {
      assert.equal(logprobs[i]!.length, row.length);
      row.forEach((x, t) => close(logprobs[i]![t]!, x, 1e-4, `logprob ${i}, ${t}`));
    });
    const { prompt, new_tokens } = expected.greedy;
    const { completions } = await node.sample(
      request({ prompts: [prompt], seeds: [0], temperature: 0, max_tokens: new_tokens.length }),
    );
    assert.deepEqual(completions[0]!.tokens, new_tokens);
    await node.close();
  });
}

dataTest(
  "tinystories-260k: a frozen export gives the golden log-probabilities and greedy text",
  "models/tinystories-260k",
  async (source) => {
    const cases = JSON.parse(await Deno.readTextFile(`${source}.golden.json`)).cases as {
      ids: number[];
      logprobs: number[];
      greedy_ids: number[];
    }[];
    const node = await openKernel();
    const folder = join(await Deno.makeTempDir(), "exported");
    await node.load({ policy: "own", source });
    await node.save("own", folder);
    await node.load({ policy: "frozen", source: folder, frozen: true });
    const { logprobs } = await node.score(
      "frozen",
      cases.map(({ ids }) => ({ tokens: ids, prompt_length: 1 })),
    );
    cases.forEach((c, i) => c.logprobs.forEach((x, t) => close(logprobs[i]![t]!, x, 1e-4, `${t}`)));
    const { completions } = await node.sample(request({
      prompts: cases.map((c) => c.ids),
      seeds: cases.map(() => 0),
      temperature: 0,
      max_tokens: Math.max(...cases.map((c) => c.greedy_ids.length)),
    }));
    cases.forEach((c, i) =>
      assert.deepEqual(completions[i]!.tokens.slice(0, c.greedy_ids.length), c.greedy_ids)
    );
    await node.close();
  },
);

for (
  const config of [
    { model_type: "mistral", architectures: ["MistralForCausalLM"] },
    { model_type: "gpt2", architectures: ["GPT2LMHeadModel"], n_head: 2, n_layer: 5, n_embd: 64 },
  ]
) {
  Deno.test(`load runs the foreign architecture ${config.model_type} frozen without being asked`, async () => {
    const { node, info } = await frozenKernel(await variant(config));
    assert.equal(info.architecture, config.model_type);
    assert.equal(
      info.why_frozen,
      `model type '${config.model_type}' runs through Transformers.js, only llama, qwen2, qwen3 ` +
        "checkpoints with safetensors learn",
    );
    await node.load({ policy: "own", source: TINY });
    const own = await node.sample(request({ policy: "own" }));
    sameCompletions((await node.sample(request())).completions, own.completions);
    await node.close();
  });
}

Deno.test("load of ONNX files without safetensors is frozen, and says so", async () => {
  const { node, info } = await frozenKernel(await variant());
  assert.equal(info.can_learn, false);
  assert.match(info.why_frozen!, /no safetensors/);
  await refused(
    node.load({ policy: "p", source: info.source, frozen: false }),
    "model.safetensors",
  );
  await node.close();
});

/** What a completion is must not depend on the batch: each row alone gives the same. */
async function rowsAreTheirOwn(source: string, extra: Partial<LoadRequest> = {}) {
  const { node, info } = await frozenKernel(source, extra);
  const together = await node.sample(request());
  for (const [i, prompt] of PROMPTS.entries()) {
    const alone = await node.sample(request({ prompts: [prompt], seeds: [11 + i] }));
    sameCompletions(alone.completions, [together.completions[i]!], 0);
  }
  const sequences = asSequences(PROMPTS, together.completions);
  const score = await node.score("frozen", sequences);
  const { completions } = await node.sample(request({ temperature: 1 }));
  const rescored = await node.score("frozen", asSequences(PROMPTS, completions));
  return { node, info, score: score.logprobs, completions, rescored: rescored.logprobs };
}

/** Behaviour log-probabilities at temperature 1 are those of `score`. */
function behaviourIsScore(completions: Completion[], rescored: number[][], tolerance: number) {
  completions.forEach(({ logprobs }, i) =>
    logprobs.forEach((x, t) => close(rescored[i]![t]!, x, tolerance, `row ${i}, token ${t}`))
  );
}

Deno.test("sample of a frozen policy draws the same tokens and bits whatever else is in the batch", async () => {
  const { node, completions, rescored } = await rowsAreTheirOwn(TINY, { frozen: true });
  behaviourIsScore(completions, rescored, 1e-4);
  await node.close();
});

Deno.test("sample of folded MatMul products, as the hub's files have them, does the same", async () => {
  const { node, completions, rescored } = await rowsAreTheirOwn(
    await variant({}, { "model.onnx": toMatMul }),
  );
  behaviourIsScore(completions, rescored, 1e-4);
  await node.load({ policy: "own", source: TINY });
  const own = await node.sample(request({ policy: "own", temperature: 1 }));
  sameCompletions(completions, own.completions);
  await node.close();
});

Deno.test("sample of a graph that counts positions itself runs prompts of one length together", async () => {
  const source = await variant({ model_type: "mistral" }, { "model.onnx": withoutPositions });
  const { node, completions, rescored } = await rowsAreTheirOwn(source);
  behaviourIsScore(completions, rescored, 1e-4);
  await node.load({ policy: "own", source: TINY });
  const own = await node.sample(request({ policy: "own", temperature: 1 }));
  sameCompletions(completions, own.completions);
  await node.close();
});

Deno.test("load with dtype fp16 runs half-precision weights, cache and logits", async () => {
  const source = await variant({}, { "model_fp16.onnx": toHalf });
  const { node, info, completions, rescored } = await rowsAreTheirOwn(source, { dtype: "fp16" });
  behaviourIsScore(completions, rescored, 0.02);
  await node.load({ policy: "full", source: TINY, frozen: true });
  const sequences = asSequences(PROMPTS, completions);
  const full = await node.score("full", sequences);
  full.logprobs.forEach((row, i) =>
    row.forEach((x, t) => close(rescored[i]![t]!, x, 0.05, `row ${i}, token ${t}`))
  );
  assert.ok(info.bytes < 0.6 * (await Deno.stat(join(TINY, "onnx", "model.onnx"))).size);
  await node.close();
});

/** Mean distance of log-probabilities to those of the full-precision weights. */
async function distanceToFull(source: string, dtype: "q8" | "q4") {
  const { node, info, completions, rescored } = await rowsAreTheirOwn(source, { dtype });
  const full = await node.load({ policy: "full", source: TINY, frozen: true });
  const { logprobs } = await node.score("full", asSequences(PROMPTS, completions));
  const distances = logprobs.flatMap((row, i) => row.map((x, t) => Math.abs(x - rescored[i]![t]!)));
  const mean = distances.reduce((a, b) => a + b, 0) / distances.length;
  assert.ok(mean > 1e-4, "the weights are not quantized at all");
  // Packed weights count as the numbers they hold; scales add a few.
  close(info.parameters / full.parameters, 1.1, 0.2, "share of the parameters");
  await node.close();
  return { mean, completions, rescored };
}

Deno.test("load with dtype q8 runs dynamically quantized activations, one row at a time", async () => {
  const source = await variant({}, { "model_quantized.onnx": toDynamic8 });
  const { mean } = await distanceToFull(source, "q8");
  assert.ok(mean < 0.3, `mean distance ${mean}`);
});

Deno.test("load with dtype q4 runs weights packed in blocks", async () => {
  const source = await variant({}, { "model_q4.onnx": toBlocks4 });
  const { mean, completions, rescored } = await distanceToFull(source, "q4");
  assert.ok(mean < 0.5, `mean distance ${mean}`);
  behaviourIsScore(completions, rescored, 1e-3);
});

Deno.test("policy_version of a frozen policy names the bytes of all its files", async () => {
  const source = await variant();
  const onnx = join(source, "onnx", "model.onnx");
  const { model, data } = await withExternalData(await Deno.readFile(onnx), "model.onnx_data");
  await Deno.writeFile(onnx, model);
  await Deno.writeFile(`${onnx}_data`, data);
  const { node, info } = await frozenKernel(source);
  assert.equal(info.bytes, model.length + data.length);
  const { logprobs } = await node.score("frozen", [{ tokens: [1, 5, 9], prompt_length: 1 }]);
  data[data.length - 3]! ^= 8;
  await Deno.writeFile(`${onnx}_data`, data);
  const changed = await node.load({ policy: "changed", source });
  assert.notEqual(changed.policy_version, info.policy_version);
  await node.load({ policy: "full", source: TINY, frozen: true });
  const full = await node.score("full", [{ tokens: [1, 5, 9], prompt_length: 1 }]);
  assert.deepEqual(logprobs, full.logprobs);
  assert.equal(info.parameters, (await node.list()).find((p) => p.policy === "full")!.parameters);
  await node.close();
});

Deno.test("sample of a frozen policy truncates to top_k and top_p and renormalises", async () => {
  const { node } = await frozenKernel(TINY, { frozen: true });
  const prompts = Array.from({ length: 200 }, () => [1, 40, 41]);
  const seeds = prompts.map((_, i) => i);
  const draw = async (extra: Partial<SampleRequest>) => {
    const { completions } = await node.sample(
      request({ prompts, seeds, max_tokens: 1, temperature: 1, ...extra }),
    );
    return completions.map((c) => [c.tokens[0]!, c.logprobs[0]!] as const);
  };
  // Every token's log-probability after the prompt, most likely first.
  const { logprobs } = await node.score(
    "frozen",
    Array.from({ length: 576 }, (_, t) => ({ tokens: [1, 40, 41, t], prompt_length: 3 })),
  );
  const ranked = logprobs.map((row, t) => [t, Math.exp(row[0]!)] as const)
    .sort((a, b) => b[1] - a[1]);
  const mass = (n: number) => ranked.slice(0, n).reduce((sum, [, p]) => sum + p, 0);
  const nucleus = ranked.findIndex((_, i) => mass(i + 1) >= 0.6) + 1;
  assert.ok(nucleus > 1, "the nucleus is one token, which shows little");
  for (
    const [extra, kept] of [[{ top_k: 3 }, 3], [{ top_p: 0.6 }, nucleus], [
      { top_k: 1 },
      1,
    ]] as const
  ) {
    const allowed = new Map(ranked.slice(0, kept));
    const drawn = await draw(extra);
    for (const [token, logprob] of drawn) {
      assert.ok(allowed.has(token), `token ${token} is not among the ${kept}`);
      close(logprob, Math.log(allowed.get(token)! / mass(kept)), 1e-4, `token ${token}`);
    }
    assert.equal(new Set(drawn.map(([t]) => t)).size, kept);
  }
  const wide = await draw({ top_k: 576, top_p: 1 });
  assert.deepEqual(wide, await draw({}));
  await node.close();
});

Deno.test("sampleTogether gives a frozen policy's requests one batch, and each its own fate", async () => {
  const { node } = await frozenKernel(TINY, { frozen: true });
  await node.load({ policy: "own", source: TINY });
  const seen = new Map<string, number[]>();
  const requests = [
    request(),
    request({ policy: "own", max_tokens: 3 }),
    request({ prompts: [[9999]], seeds: [1] }),
    request({ prompts: [[1, 2]], seeds: [5], max_tokens: 20 }),
    request({ prompts: [[1, 2, 3]], seeds: [6], max_tokens: 7, temperature: 0 }),
    request({ prompts: [[1]], seeds: [6], max_tokens: 600 }),
  ];
  const results = await node.sampleTogether(requests, {
    onTokens(r, row, tokens) {
      seen.set(`${r}.${row}`, [...seen.get(`${r}.${row}`) ?? [], ...tokens]);
    },
    cancelled: (r) => r === 3 && (seen.get("3.0")?.length ?? 0) >= 4,
  });
  for (const r of [0, 1, 4]) {
    const result = results[r]!;
    assert.ok(!(result instanceof CollmError));
    const alone = await node.sample(requests[r]!);
    sameCompletions(result.completions, alone.completions, 0);
    result.completions.forEach((c, row) => assert.deepEqual(seen.get(`${r}.${row}`), c.tokens));
  }
  assert.match(String(results[2]), /token 9999 is outside its vocabulary of 576/);
  assert.match(String(results[3]), /cancelled/);
  assert.equal(seen.get("3.0")!.length, 4);
  assert.match(String(results[5]), /601 tokens exceed its 512 positions/);
  await node.close();
});

Deno.test("update, values and save of a frozen policy say why it cannot", async () => {
  const { node } = await frozenKernel(await variant({ model_type: "mistral" }));
  const why = "it is frozen, model type 'mistral' runs through Transformers.js";
  const update = node.update({
    policy: "frozen",
    seq: 1,
    loss: "cross_entropy",
    batch: [{ tokens: [1, 2], prompt_length: 1 }],
    optimizer: { name: "adamw", learning_rate: 1 },
  });
  await refused(update, "Cannot update policy 'frozen'", why);
  await refused(
    node.values("frozen", [{ tokens: [1], read_at: "last" }]),
    "Cannot read values",
    why,
  );
  await refused(node.save("frozen", "nowhere"), "Cannot save policy 'frozen'", why);
  await node.unload("frozen");
  await refused(node.score("frozen", []), "Cannot find policy 'frozen'");
});

Deno.test("load names the file, number format or architecture that a frozen policy lacks", async () => {
  const node = await openKernel();
  const load = (source: string, extra: Partial<LoadRequest> = {}) =>
    node.load({ policy: "p", source, frozen: true, ...extra });
  const folder = await variant();
  await refused(load(folder, { dtype: "q4" }), "'onnx/model_q4.onnx'", "'q4'", "has model.onnx");
  await refused(load(golden("llama-tiny").folder), "'onnx/model.onnx'", "it has no ONNX files");
  await refused(load(await variant({ model_type: "quux" })), "model type 'quux'", "config.json");
  await refused(load(folder, { lora: { rank: 2, alpha: 2 } }), "loads frozen, lora");
  await refused(load(TINY, { frozen: false, dtype: "q8" }), "dtype is 'q8'", "would learn");
  const broken = await variant({}, { "model.onnx": (bytes) => bytes.subarray(0, 9999) });
  await refused(load(broken), "model.onnx'", "truncated");
  const noise = await variant({}, { "model.onnx": () => new Uint8Array(64).fill(0xff) });
  await refused(load(noise), "no ONNX model");
  await refused(load(join(folder, "absent")), "config.json", "no such file");
  assert.deepEqual(await node.list(), []);
});

Deno.test("sample of a frozen policy keeps memory flat", async () => {
  const { node } = await frozenKernel(TINY, { frozen: true });
  const prompts = Array.from({ length: 16 }, (_, i) => [1, 2 + i]);
  const seeds = prompts.map((_, i) => i);
  const round = async () => {
    await node.sample(request({ prompts, seeds, max_tokens: 60 }));
    return Deno.memoryUsage().rss / 2 ** 20;
  };
  await round();
  const before = await round();
  // Each step's caches are fresh copies: 110 MB a round, were they kept.
  let after = 0;
  for (let i = 0; i < 6; i++) after = await round();
  assert.ok(after - before < 150, `${before.toFixed(0)} MB grew to ${after.toFixed(0)} MB`);
  await node.close();
});

Deno.test("a Worker's node loads a frozen folder and its tokenizer applies the same text", async () => {
  const node = openWorkerNode();
  const info = await node.load({ policy: "frozen", source: TINY, frozen: true });
  assert.equal(info.can_learn, false);
  const tokenizer = await loadTokenizer(TINY);
  const prompt = tokenizer.encode("red", { addSpecialTokens: true });
  const { completions } = await node.sample(request({ prompts: [prompt], seeds: [3] }));
  const own = await openKernel();
  await own.load({ policy: "frozen", source: TINY, frozen: true });
  const direct = await own.sample(request({ prompts: [prompt], seeds: [3] }));
  sameCompletions(completions, direct.completions, 0);
  await own.close();
  await node.close();
});
