/**
 * Runs, metrics, health and the OpenAPI document.
 */
import assert from "node:assert/strict";
import { createApp } from "../../routes/app.ts";
import { appendMetrics, createRun } from "../../shared/store/runs.ts";
import { assertProblem, callsOf, resolveAll, withEdge } from "./edge.ts";

Deno.test("GET /v1/runs/:id shows a run, its agents and its metrics", async () => {
  await withEdge(async ({ store, get }) => {
    const spec = {
      ...{ id: "r1", environment: "relay", options: {}, config: { rollout: { temperature: 0.5 } } },
      agents: [{ name: "left", policy: "p1" }, { name: "right", policy: "p2" }],
    };
    await createRun(store, spec);
    await appendMetrics(store, "r1", [
      { step: 1, name: "return", value: 0.5 },
      { step: 2, name: "loss", value: 3 },
    ]);
    const { status, json: { created_at, ...run } } = await get("/v1/runs/r1");
    assert.equal(status, 200);
    assert.deepEqual(run, spec);
    assert.ok(Number.isSafeInteger(created_at));
    const { json: { runs } } = await get("/v1/runs?limit=5");
    assert.deepEqual(runs.map(({ id }: { id: string }) => id), ["r1"]);
    assert.equal((await get("/v1/runs/r1/metrics")).json.metrics.length, 2);
    assert.deepEqual((await get("/v1/runs/r1/metrics?name=loss")).json.metrics, [
      { step: 2, name: "loss", value: 3 },
    ]);
    for (const path of ["/v1/runs/r9", "/v1/runs/r9/metrics"]) {
      assertProblem(await get(path), "not_found", 404, "Cannot read run 'r9': it does not exist");
    }
  });
});

Deno.test("GET /health tells the version and the kind of store", async () => {
  await withEdge(async ({ get }) => {
    assert.deepEqual((await get("/health")).json, {
      ...{ status: "ok", version: "0.0.1", store: "file", evaluations: false },
    });
  });
});

Deno.test("GET /health is unavailable when the database is, and does not say why", async () => {
  await withEdge(async ({ store, episodes }) => {
    const execute = () => Promise.reject(new Error("SQLITE_IOERR: disk I/O error"));
    const { get } = callsOf(
      await createApp({
        ...{ episodes, secret: "s", version: "0.0.1", evaluate: null },
        store: { ...store, client: { ...store.client, execute } },
        environmentIds: () => [],
        createEnvironment: resolveAll,
      }),
    );
    const answer = await get("/health");
    assertProblem(answer, "unavailable", 503, "Cannot use database: it does not answer");
  });
});

/** Every value under a `$ref` key. */
function refsOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === "$ref" ? [String(inner)] : refsOf(inner)
  );
}

Deno.test("GET /openapi.json covers every route and resolves every reference", async () => {
  await withEdge(async ({ app, get }) => {
    const { status, json } = await get("/openapi.json");
    assert.equal(status, 200);
    assert.equal(json.openapi, "3.1.0");
    assert.ok(json.info.title && json.info.version);

    const served = app.routes.filter(({ method, path }) =>
      method !== "ALL" && path !== "/openapi.json"
    ).map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
    type Operation = {
      operationId: string;
      parameters?: { name: string; in: string; required?: boolean; schema: object }[];
      requestBody?: { required: boolean; content: Record<string, { schema: object }> };
      responses: Record<string, { description: string }>;
    };
    const operations = Object.entries(json.paths as Record<string, Record<string, Operation>>)
      .flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, operation]) => ({ method, path, operation }))
      );
    const documented = operations.map(({ method, path }) => `${method.toUpperCase()} ${path}`);
    assert.deepEqual([...new Set(served)].sort(), documented.sort());

    const ids = operations.map(({ operation }) => operation.operationId);
    assert.equal(new Set(ids).size, ids.length);
    for (const { method, path, operation } of operations) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const parameters = (operation.parameters ?? []).filter((one) => one.in === "path");
      assert.deepEqual(parameters.map(({ name }) => name), named, path);
      assert.ok(parameters.every(({ required, schema }) => required && schema), path);
      assert.equal(method === "post", operation.requestBody?.required ?? false, path);
      for (const [code, { description }] of Object.entries(operation.responses)) {
        assert.match(code, /^([1-5][0-9]{2}|[45]XX)$/);
        assert.ok(description);
      }
      assert.ok("4XX" in operation.responses);
    }
    const refs = refsOf(json);
    assert.ok(refs.length > 20);
    for (const ref of refs) {
      const name = ref.replace("#/components/schemas/", "");
      assert.ok(name in json.components.schemas, ref);
    }
  });
});
