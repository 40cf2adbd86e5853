/**
 * Hosted evaluations: queue, progress, numbers, failure, and going on after a restart.
 */
import assert from "node:assert/strict";
import { createApp } from "../../routes/app.ts";
import type { EvaluationRunner } from "../../routes/edge.ts";
import { folderOf } from "../../routes/evaluation_runner.ts";
import { CollmError } from "../../shared/errors.ts";
import { createEvaluation } from "../../shared/store/evaluations.ts";
import { until } from "../support/process.ts";
import { type Answer, assertProblem, callsOf, resolveAll, withEdge } from "./edge.ts";

const request = { checkpoint: "first", environment: "str_build" };
const full = { ...request, split: "eval", episodes: 64, seed: 1, greedy: false };

/** Waits for the end of an evaluation. */
async function ended(get: (path: string) => Promise<Answer>, id: string) {
  let json: Answer["json"];
  await until(`evaluation ${id}`, async () => {
    ({ json } = await get(`/v1/evaluations/${id}`));
    return ["succeeded", "failed"].includes(json.status);
  }, 10);
  return json;
}

Deno.test("POST /v1/evaluations plays and gives progress, then numbers", async () => {
  let goOn = () => {};
  const waiting = new Promise<void>((resume) => goOn = resume);
  const evaluate: EvaluationRunner = async (asked, onProgress) => {
    onProgress(0.25);
    await waiting;
    return { return_mean: 1.5, n: asked.episodes };
  };
  await withEdge(async ({ post, get }) => {
    const { status, json } = await post("/v1/evaluations", request);
    assert.equal(status, 202);
    assert.equal(json.status, "queued");
    assert.deepEqual(json.request, full);
    const path = `/v1/evaluations/${json.id}`;
    await until("progress", async () => (await get(path)).json.progress === 0.25, 10);
    assert.equal((await get(path)).json.status, "running");
    goOn();
    const { result, progress, error } = await ended(get, json.id);
    assert.deepEqual(result, { return_mean: 1.5, n: 64 });
    assert.deepEqual([progress, error], [1, null]);
  }, { evaluate });
});

Deno.test("POST /v1/evaluations with an id again finds it and plays once", async () => {
  let played = 0;
  const evaluate: EvaluationRunner = () => Promise.resolve({ played: ++played });
  await withEdge(async ({ post, get }) => {
    const first = await post("/v1/evaluations", { id: "v1", ...request });
    const again = await post("/v1/evaluations", { id: "v1", ...request });
    assert.deepEqual([first.status, again.status], [202, 202]);
    assert.deepEqual((await ended(get, "v1")).result, { played: 1 });
    await post("/v1/evaluations", { id: "v1", ...request });
    assert.deepEqual((await ended(get, "v1")).result, { played: 1 });
    assertProblem(
      await post("/v1/evaluations", { id: "v1", ...request, seed: 2 }),
      "conflict",
      409,
      "Cannot create evaluation 'v1': the id is taken by another request",
    );
  }, { evaluate });
});

Deno.test("POST /v1/evaluations survives checkpoints that fail", async () => {
  const evaluate: EvaluationRunner = ({ checkpoint }) => {
    if (checkpoint === "good") return Promise.resolve({ n: 1 });
    throw checkpoint === "bad"
      ? new CollmError("not_found", "Cannot evaluate checkpoint 'bad': it holds no model")
      : new Error("out of memory");
  };
  const lines: string[] = [];
  await withEdge(async ({ post, get }) => {
    for (const id of ["bad", "odd", "good"]) {
      await post("/v1/evaluations", { ...request, id, checkpoint: id });
    }
    const [bad, odd, good] = [
      await ended(get, "bad"),
      await ended(get, "odd"),
      await ended(get, "good"),
    ];
    assert.deepEqual([bad.status, bad.error, bad.result], [
      ...["failed", "Cannot evaluate checkpoint 'bad': it holds no model", null],
    ]);
    assert.equal(odd.error, "Cannot evaluate checkpoint 'odd': out of memory");
    assert.deepEqual(good.result, { n: 1 });
    assert.equal(lines.length, 2);
  }, { evaluate, log: (line) => lines.push(line) });
});

Deno.test("POST /v1/evaluations refuses what cannot be played", async () => {
  await withEdge(async ({ post, get }) => {
    assertProblem(
      await post("/v1/evaluations", { ...request, environment: "str_bild" }),
      "not_found",
      404,
      /did you mean 'str_build'\?$/,
    );
    assertProblem(
      await post("/v1/evaluations", { ...request, split: "evil" }),
      "not_found",
      404,
      "Cannot evaluate on split 'evil' of 'str_build': did you mean 'eval'?",
    );
    assertProblem(
      await post("/v1/evaluations", { ...request, episodes: 1 }),
      "invalid_request",
      400,
      "Cannot read the body: 'episodes' is 1, expected at least 2",
    );
    assertProblem(
      await get("/v1/evaluations/none"),
      "not_found",
      404,
      "Cannot read evaluation 'none': it does not exist",
    );
  }, { evaluate: () => Promise.resolve({}) });
});

Deno.test("POST /v1/evaluations without a runner is unavailable", async () => {
  await withEdge(async ({ post }) => {
    assertProblem(
      await post("/v1/evaluations", request),
      "unavailable",
      503,
      "Cannot evaluate checkpoint 'first': this edge runs without a disk to read it from",
    );
  });
});

Deno.test("createApp takes up the evaluations that an earlier process left", async () => {
  await withEdge(async ({ store, episodes }) => {
    await createEvaluation(store, "left", full);
    const app = await createApp({
      ...{ store, episodes, createEnvironment: resolveAll, secret: "s", version: "0.0.1" },
      environmentIds: () => [],
      evaluate: ({ seed }) => Promise.resolve({ seed }),
    });
    assert.deepEqual((await ended(callsOf(app).get, "left")).result, { seed: 1 });
  });
});

Deno.test("folderOf keeps checkpoints inside of their folder", () => {
  assert.equal(folderOf("/any/where", undefined), "/any/where");
  assert.equal(folderOf("a/b", "runs"), "runs/a/b");
  for (const name of ["../x", "a/../../x", "/etc", ".."]) {
    assert.throws(() => folderOf(name, "runs"), {
      code: "forbidden",
      message: `Cannot evaluate checkpoint '${name}': it is outside of the folder of checkpoints`,
    });
  }
});
