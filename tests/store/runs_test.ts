/**
 * Runs, policy versions, metrics and evaluations: every write may be repeated.
 */
import assert from "node:assert/strict";
import { canonicalJson, hashOf } from "../../shared/store/canonical.ts";
import * as evaluations from "../../shared/store/evaluations.ts";
import * as runs from "../../shared/store/runs.ts";
import { testOnEveryStore } from "../support/stores.ts";

const spec: runs.RunSpec = {
  ...{ id: "r1", environment: "relay", options: { turns: 1 }, config: { seed: 1, algo: "x" } },
  agents: [{ name: "left", policy: "p1" }, { name: "right", policy: "p2" }],
};

testOnEveryStore("createRun finds what the same spec created", async ({ store }) => {
  const run = await runs.createRun(store, spec);
  const config = { algo: "x", seed: 1 };
  assert.deepEqual(await runs.createRun(store, { ...spec, config }), run);
  assert.deepEqual(await runs.getRun(store, "r1"), run);
  const { agents: _, ...head } = run;
  assert.deepEqual(await runs.listRuns(store, 10), [head]);
  for (const other of [{ config: { seed: 2 } }, { agents: [] }, { environment: "y" }]) {
    await assert.rejects(runs.createRun(store, { ...spec, ...other }), {
      code: "conflict",
      message: "Cannot create run 'r1': the id is taken by a run with another spec",
    });
  }
  await assert.rejects(runs.getRun(store, "r2"), { code: "not_found" });
});

testOnEveryStore("recordPolicyVersion keeps the first record of a version", async ({ store }) => {
  await runs.createRun(store, spec);
  const version = { run_id: "r1", policy: "p1", version: "v1", iteration: 0, folder: null };
  await runs.recordPolicyVersion(store, version);
  await runs.recordPolicyVersion(store, { ...version, iteration: 3, folder: "out/v1" });
  await runs.recordPolicyVersion(store, { ...version, folder: "elsewhere" });
  await runs.recordPolicyVersion(store, { ...version, version: "v2", iteration: 1 });
  const listed = await runs.listPolicyVersions(store, "r1");
  assert.deepEqual(listed.map(({ created_at: _, ...row }) => row), [
    { ...version, folder: "out/v1" },
    { ...version, version: "v2", iteration: 1 },
  ]);
  await assert.rejects(runs.recordPolicyVersion(store, { ...version, run_id: "r9" }), {
    code: "not_found",
    message: "Cannot record policy version: run 'r9' does not exist",
  });
});

testOnEveryStore("appendMetrics keeps what was recorded, digit by digit", async ({ store }) => {
  await runs.createRun(store, spec);
  const values = [0.1 + 0.2, 5e-324, -1.7976931348623157e308, 1 / 3, 123456789.123456789, 0, 7];
  const entries = values.map((value, step) => ({ step, name: "return", value }));
  await runs.appendMetrics(store, "r1", entries);
  await runs.appendMetrics(store, "r1", [
    { step: 0, name: "return", value: 9 },
    { step: 0, name: "loss", value: 2 },
  ]);
  await runs.appendMetrics(store, "r1", []);
  assert.deepEqual(await runs.readMetrics(store, "r1", "return"), entries);
  assert.deepEqual((await runs.readMetrics(store, "r1")).slice(0, 2), [
    { step: 0, name: "loss", value: 2 },
    entries[0],
  ]);
  await assert.rejects(runs.appendMetrics(store, "r1", [{ step: 1, name: "kl", value: NaN }]), {
    code: "invalid_request",
    message: "Cannot append metric 'kl' of run 'r1' at step 1: value is NaN",
  });
  await assert.rejects(runs.appendMetrics(store, "r9", entries), {
    code: "not_found",
    message: "Cannot append metrics: run 'r9' does not exist",
  });
  const many = Array.from({ length: 2500 }, (_, step) => ({ step, name: "tokens", value: step }));
  await runs.appendMetrics(store, "r1", many);
  assert.deepEqual(await runs.readMetrics(store, "r1", "tokens"), many);
});

testOnEveryStore("updateEvaluation goes along the states and no other way", async ({ store }) => {
  const request = { checkpoint: "c", split: "paper", episodes: 64 };
  const queued = await evaluations.createEvaluation(store, "v1", request);
  assert.deepEqual([queued.status, queued.progress, queued.result], ["queued", 0, null]);
  assert.deepEqual(await evaluations.createEvaluation(store, "v1", request), queued);
  await assert.rejects(evaluations.createEvaluation(store, "v1", { ...request, episodes: 65 }), {
    code: "conflict",
    message: "Cannot create evaluation 'v1': the id is taken by another request",
  });
  const update = (change: evaluations.EvaluationUpdate) =>
    evaluations.updateEvaluation(store, "v1", change);
  assert.equal((await update({ status: "running", progress: 0.5 })).progress, 0.5);
  assert.equal((await update({ status: "running", progress: 0.25 })).progress, 0.5);
  assert.deepEqual(
    (await evaluations.listEvaluations(store, ["queued", "running"])).map(({ id }) => id),
    ["v1"],
  );
  const result = { return_mean: 1.5 };
  const done = await update({ status: "succeeded", result });
  assert.deepEqual([done.status, done.progress, done.result], ["succeeded", 1, result]);
  assert.deepEqual(await update({ status: "succeeded", result }), done);
  const refused = [
    { status: "succeeded", result: { return_mean: 2 } },
    { status: "failed", error: "late" },
    { status: "running", progress: 1 },
  ] as const;
  for (const change of refused) {
    await assert.rejects(update(change), {
      code: "conflict",
      message: `Cannot update evaluation 'v1' to ${change.status}: it is succeeded`,
    });
  }
  assert.deepEqual(await evaluations.getEvaluation(store, "v1"), done);
  await evaluations.createEvaluation(store, "v2", request);
  const error = "checkpoint 'c' does not exist";
  const failed = await evaluations.updateEvaluation(store, "v2", { status: "failed", error });
  assert.deepEqual([failed.status, failed.error, failed.result], ["failed", error, null]);
  await assert.rejects(evaluations.getEvaluation(store, "v3"), { code: "not_found" });
  await assert.rejects(
    evaluations.updateEvaluation(store, "v3", { status: "running", progress: 0 }),
    { code: "not_found" },
  );
});

Deno.test("canonicalJson does not depend on the order of keys", () => {
  const value = { b: [1, { d: 2, c: null }], a: "x", "__proto__x": 1 };
  const other = { "__proto__x": 1, a: "x", b: [1, { c: null, d: 2 }] };
  assert.equal(canonicalJson(value), '{"__proto__x":1,"a":"x","b":[1,{"c":null,"d":2}]}');
  assert.equal(hashOf(value), hashOf(other));
  assert.notEqual(hashOf([1, 2]), hashOf([2, 1]));
  assert.equal(hashOf({ a: undefined }), hashOf({}));
});
