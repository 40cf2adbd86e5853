/**
 * A GPU node whose worker really dies: restart, policies at their last version, writes applied
 * once, a bounded journal, and what cannot be brought back.
 */
import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLastingNode } from "../../gpu-node/lasting_node.ts";
import type { BatchNode, UpdateRequest } from "../../gpu-node/verbs.ts";
import { openWorkerNode } from "../../gpu-node/worker_client.ts";
import { CollmError } from "../../shared/errors.ts";
import { sequences, TINY } from "./served.ts";

interface Mortal {
  node: BatchNode;
  /** The worker dies of the next call that contains this text. */
  dieOf(text: string): void;
  restarts: string[];
  folder: string;
}

const module = new URL("./dying_worker.ts", import.meta.url);

async function withMortal(
  test: (mortal: Mortal) => Promise<void>,
  options: { updates?: number; numbers?: number } = {},
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "collm-lasting-" });
  const file = join(folder, "deaths");
  Deno.writeTextFileSync(file, "");
  Deno.env.set("COLLM_TEST_DEATHS", file);
  const restarts: string[] = [];
  const node = openLastingNode(() => openWorkerNode({ module }), {
    ...options,
    onRestart: (cause) => restarts.push(cause.message),
    onFault: (error) => assert.fail(error as Error),
  });
  try {
    const dieOf = (text: string) => Deno.writeTextFileSync(file, `${text}\n`, { append: true });
    await test({ node, dieOf, restarts, folder });
  } finally {
    await node.close();
    Deno.env.delete("COLLM_TEST_DEATHS");
    await Deno.remove(folder, { recursive: true });
  }
}

const update = (seq: number, extra: Partial<UpdateRequest> = {}): UpdateRequest => ({
  policy: "p",
  seq,
  loss: "policy_gradient",
  batch: sequences.map((s) => ({ ...s, advantage: 1 })),
  optimizer: { name: "adamw", learning_rate: 0.01 },
  ...extra,
});
const ask = { policy: "p", prompts: [[5, 6], [7]], seeds: [1, 2], max_tokens: 8, temperature: 1 };
const sample = { ...ask, stop_tokens: [] };
const failure = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof CollmError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};
/** Folders of private checkpoints. */
const journals = () => {
  const temporary = tmpdir();
  return readdirSync(temporary).filter((name) => name.startsWith("collm-journal-"))
    .map((name) => join(temporary, name));
};

/** Every verb's answer on one policy at version 2. */
async function walk(node: BatchNode) {
  await node.load({ policy: "p", source: TINY });
  await node.load({ policy: "q", source: TINY, lora: { rank: 2, alpha: 4 } });
  const answers: unknown[] = [await node.update(update(1)), await node.update(update(2))];
  answers.push(await node.update(update(1, { policy: "q" })));
  answers.push(await node.sample(sample));
  answers.push(await node.score("p", sequences));
  answers.push(await node.values("p", sequences.map(({ tokens }) => ({ tokens, read_at: 1 }))));
  answers.push(await node.update(update(3)));
  answers.push((await node.list()).map((info) => info.policy_version));
  return answers;
}

for (const verb of ["sampleTogether", "score", "values", '"seq":3', "list"]) {
  Deno.test(`openLastingNode answers as if nothing had happened when its worker dies of ${verb}`, () =>
    withMortal(async ({ node, dieOf, restarts }) => {
      const expected = await walk(node);
      await node.unload("p");
      await node.unload("q");
      dieOf(verb);
      assert.deepEqual(await walk(node), expected);
      assert.equal(restarts.length, 1);
      assert.match(restarts[0]!, /^Cannot reach the GPU worker: Uncaught.*dead of /);
    }));
}

Deno.test("a batch goes on after a death, and streams every token once", () =>
  withMortal(async ({ node, dieOf }) => {
    await node.load({ policy: "p", source: TINY });
    const seeds = [3, 4, 5];
    const requests = seeds.map((seed) => ({ ...sample, seeds: [seed, seed + 9] }));
    const expected = await Promise.all(requests.map((request) => node.sample(request)));
    dieOf("sampleTogether");
    const told = requests.map((request): number[][] => request.prompts.map(() => []));
    const options = requests.map((_, i) => ({
      onTokens: (row: number, tokens: number[]) => void told[i]![row]!.push(...tokens),
    }));
    assert.deepEqual(await Promise.all(node.sampleTogether(requests, options)), expected);
    assert.deepEqual(told, expected.map((result) => result.completions.map((c) => c.tokens)));
  }));

Deno.test("the record of writes survives the worker, from before and after a saved state", () =>
  withMortal(async ({ node, dieOf }) => {
    await node.load({ policy: "p", source: TINY });
    const results = [];
    for (let seq = 1; seq <= 5; seq++) results.push(await node.update(update(seq)));
    dieOf("score");
    await node.score("p", sequences);
    for (let seq = 1; seq <= 5; seq++) {
      assert.deepEqual(await node.update(update(seq)), results[seq - 1]);
      await assert.rejects(
        node.update(update(seq, { max_grad_norm: 1 })),
        failure("conflict", /seq \d was used for another payload$/),
      );
    }
    assert.equal((await node.list())[0]!.policy_version, results[4]!.policy_version);
  }, { updates: 2 }));

Deno.test("an update is not applied twice, however long ago, also after a death", () =>
  withMortal(async ({ node, dieOf }) => {
    await node.load({ policy: "p", source: TINY });
    for (let seq = 0; seq < 66; seq++) await node.update(update(seq));
    const refused = () =>
      assert.rejects(
        node.update(update(0)),
        failure("conflict", /^Cannot update policy 'p': seq 0 was used before, longer ago than/),
      );
    await refused();
    dieOf("score");
    const { policy_version } = await node.score("p", sequences);
    assert.match(policy_version, /^66-/);
    await refused();
    assert.equal((await node.update(update(65))).policy_version, policy_version);
  }, { updates: 40 }));

Deno.test("a long journal becomes a saved state, one per policy, gone with the node", async () => {
  const before = journals();
  let path = "";
  await withMortal(async ({ node, dieOf, restarts }) => {
    await node.load({ policy: "p", source: TINY, value_head: { seed: 1 } });
    await node.load({ policy: "q", source: TINY, lora: { rank: 2, alpha: 4, seed: 7 } });
    for (let seq = 1; seq <= 5; seq++) {
      await node.update(update(seq));
      await node.update(update(seq, { policy: "q" }));
    }
    path = journals().find((name) => !before.includes(name))!;
    assert.equal(readdirSync(path).length, 2);
    const versions = (await node.list()).map((info) => info.policy_version);
    const expected = [await node.sample(sample), await node.sample({ ...sample, policy: "q" })];
    dieOf("score");
    await node.score("p", sequences);
    assert.equal(restarts.length, 1);
    assert.deepEqual((await node.list()).map((info) => info.policy_version), versions);
    assert.deepEqual(
      [await node.sample(sample), await node.sample({ ...sample, policy: "q" })],
      expected,
    );
    await node.unload("q");
    assert.equal(readdirSync(path).length, 1);
  }, { updates: 2 });
  assert.ok(!existsSync(path));
});

Deno.test("updates that are sent together, with a bounded journal, survive a restart", async () => {
  const before = journals();
  await withMortal(async ({ node, dieOf, restarts }) => {
    await node.load({ policy: "p", source: TINY });
    const seqs = [1, 2, 3, 4, 5, 6, 7];
    const results = await Promise.all(seqs.map((seq) => node.update(update(seq))));
    const path = journals().find((name) => !before.includes(name))!;
    assert.equal(readdirSync(path).length, 1);
    for (const verb of ["score", '"seq":8']) {
      dieOf(verb);
      const { policy_version } = await node.score("p", sequences);
      assert.equal(policy_version, results.at(-1)!.policy_version);
    }
    assert.match((await node.update(update(8))).policy_version, /^8-/);
    assert.equal(restarts.length, 2);
  }, { updates: 2 });
});

Deno.test("a request that the worker dies of twice is refused, and the next one is answered", () =>
  withMortal(async ({ node, dieOf, restarts }) => {
    await node.load({ policy: "p", source: TINY });
    const { policy_version } = await node.update(update(1));
    dieOf('"seq":2');
    dieOf('"seq":2');
    await assert.rejects(
      node.update(update(2)),
      failure("unavailable", /^Cannot update policy 'p': the GPU worker died twice of it$/),
    );
    assert.equal((await node.score("p", sequences)).policy_version, policy_version);
    assert.match((await node.update(update(2))).policy_version, /^2-/);
    assert.equal(restarts.length, 2);
  }));

Deno.test("a policy whose source changed is lost with a clear sentence, and no other", () =>
  withMortal(async ({ node, dieOf, folder }) => {
    const [gone, other] = [join(folder, "gone"), join(folder, "other")];
    cpSync(TINY, gone, { recursive: true });
    cpSync(TINY, other, { recursive: true });
    await node.load({ policy: "gone", source: gone });
    await node.load({ policy: "other", source: other });
    await node.load({ policy: "p", source: TINY });
    await node.save("p", join(folder, "changed"));
    await node.update(update(1));
    // It holds more than a checkpoint, so it is not replaced.
    rmSync(other, { recursive: true });
    await node.save("p", other);
    rmSync(gone, { recursive: true });
    dieOf("score");
    await node.score("p", sequences);
    assert.deepEqual((await node.list()).map((info) => info.policy), ["p"]);
    await assert.rejects(
      node.score("gone", sequences),
      failure("unavailable", /^Cannot restore policy 'gone' after its worker died: Cannot /),
    );
    await assert.rejects(
      node.score("other", sequences),
      failure("unavailable", /it came back as version 0-\w+, not 0-\w+$/),
    );
    await node.unload("gone");
    await assert.rejects(node.score("gone", sequences), failure("not_found", /^Cannot find/));
    await node.load({ policy: "other", source: TINY });
    await node.score("other", sequences);
  }));

Deno.test("a policy whose updates kill the worker again is lost, and no other", () =>
  withMortal(async ({ node, dieOf }) => {
    await node.load({ policy: "p", source: TINY });
    await node.load({ policy: "q", source: TINY });
    await node.update(update(1, { policy: "q" }));
    await node.update(update(7));
    dieOf("score");
    dieOf('"seq":7');
    const { logprobs } = await node.score("q", sequences);
    assert.equal(logprobs.length, sequences.length);
    await assert.rejects(
      node.score("p", sequences),
      failure("unavailable", /^Cannot restore policy 'p' after its worker died: .*dead of update/),
    );
  }));
