/**
 * Hosted evaluations with the real player: the numbers of `deno task evaluate`, in the edge's own
 * process and on a GPU node.
 */
import assert from "node:assert/strict";
import { callJson } from "../../shared/wire/call.ts";
import { evaluateCheckpoint } from "../../train/evaluate.ts";
import { until } from "../support/process.ts";
import { type ServerProcess, startProcess } from "../support/server_process.ts";

const request = {
  ...{ checkpoint: "models/collm-tiny", environment: "str_build", split: "eval" },
  ...{ episodes: 6, seed: 3, greedy: true },
};

/** Asks an edge for an evaluation and waits for its end. */
async function evaluated(edge: ServerProcess, body: unknown) {
  // deno-lint-ignore no-explicit-any -- any answer
  const call = (method: string, path: string, body?: unknown): Promise<any> =>
    callJson(method, `${edge.url}/v1/evaluations${path}`, body, {});
  const { id, status } = await call("POST", "", body);
  assert.equal(status, "queued");
  let row: Record<string, unknown> = {};
  await until("the evaluation", async () => {
    row = await call("GET", `/${id}`);
    return row["status"] === "succeeded" || row["status"] === "failed";
  }, 60);
  return row;
}

Deno.test("POST /v1/evaluations gives the numbers of deno task evaluate, here and on a GPU node", async () => {
  const folder = await Deno.makeTempDir({ prefix: "collm-evaluations-" });
  const gpu = await startProcess("gpu-node/main.ts", [
    ...["--port", "0", "--model", "base=models/collm-tiny"],
  ]);
  const edges = await Promise.all(
    [[], ["--gpu", gpu.url], ["--checkpoints", "models"]].map((flags, at) =>
      startProcess("routes/main.ts", ["--port", "0", "--db", `file:${folder}/${at}.db`, ...flags])
    ),
  );
  const [own, remote, confined] = edges as [ServerProcess, ServerProcess, ServerProcess];
  try {
    const expected = await evaluateCheckpoint(request);
    for (const edge of [own, remote]) {
      const { status, result, progress, error } = await evaluated(edge, request);
      assert.deepEqual([status, progress, error], ["succeeded", 1, null]);
      assert.deepEqual(result, expected);
    }
    const asked = { ...request, options: { turns: 2 }, samples: 3 };
    const { result } = await evaluated(own, asked);
    assert.deepEqual(result, await evaluateCheckpoint(asked));
    const wrong = await callJson("POST", `${own.url}/v1/evaluations`, {
      ...request,
      options: { turnz: 2 },
    }, {}).catch((error) => error.message);
    assert.match(String(wrong), /unknown option 'turnz', did you mean 'turns'/);
    const inside = await evaluated(confined, { ...request, checkpoint: "collm-tiny" });
    assert.deepEqual(inside["result"], { ...expected, checkpoint: "collm-tiny" });
    const policies = await callJson("GET", `${gpu.url}/v1/policies`, undefined, {}) as {
      policies: { policy: string }[];
    };
    assert.deepEqual(policies.policies.map(({ policy }) => policy), ["base"]);

    const bad = await evaluated(own, { ...request, checkpoint: "no/such/folder" });
    assert.deepEqual([bad["status"], bad["result"]], ["failed", null]);
    assert.match(String(bad["error"]), /^Cannot evaluate checkpoint 'no\/such\/folder': /);
    const outside = await evaluated(confined, { ...request, checkpoint: "../models/collm-tiny" });
    assert.match(String(outside["error"]), /it is outside of the folder of checkpoints$/);
  } finally {
    const codes = await Promise.all([...edges, gpu].map((one) => one.end()));
    await Deno.remove(folder, { recursive: true });
    assert.deepEqual(codes, [0, 0, 0, 0]);
  }
});
