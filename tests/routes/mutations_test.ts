/**
 * Every mutation of a valid request is answered or refused, never with a status of 500 or above:
 * each field in turn is dropped or replaced by odd values, at every depth.
 */
import assert from "node:assert/strict";
import { relayRequest, withEdge } from "./edge.ts";

const ODD: unknown[] = [
  ...[null, true, -1, 0, 1.5, 1e300, 2 ** 53, "", "x", "\u0000", "\ud800", "a".repeat(300)],
  ...["../../etc/passwd", "__proto__", "constructor", [], {}, [[]], ["x"], [1e400], { x: {} }],
  ...[{ toString: 1 }, { then: 1 }, { left: {} }, { length: 1e9 }],
];

/** Copies of `value` with one place changed. */
function* mutations(value: unknown): Generator<unknown> {
  yield* ODD;
  if (typeof value !== "object" || value === null) return;
  for (const key of Object.keys(value)) {
    const copy = () => structuredClone(value) as Record<string, unknown>;
    for (const mutated of mutations((value as Record<string, unknown>)[key])) {
      const changed = copy();
      changed[key] = mutated;
      yield changed;
    }
    if (!Array.isArray(value)) {
      const { [key]: _, ...dropped } = copy();
      yield dropped;
      yield { ...copy(), [`${key}s`]: 1 };
    }
  }
}

const ICML = { word: "IC", max_commands: 4 };
const action = {
  ...{ turn: 1, text: "hi", tokens: [1], logprobs: [-1], prompt_tokens: [2], seed: 3 },
  ...{ policy_version: "v", sampling: { temperature: 1 } },
};
const evaluation = {
  checkpoint: "c",
  environment: "str_build",
  split: "eval",
  episodes: 2,
  seed: 1,
};

Deno.test("POST answers or refuses every mutation of a valid request", async () => {
  await withEdge(async ({ post }) => {
    const options = { turns: 2, prompt_style: "compact" };
    const reset = { task: ICML, seed: 1, options };
    const { json } = await post("/v1/environments/str_build/reset", reset);
    const actions = { agent_1: "/setblock 0 0 0 stone", agent_2: "" };
    await post("/v1/episodes", relayRequest("e1"));
    const opening = {
      ...relayRequest("e2", { turn_seeds: [1, 2], policy_versions: { left: "v" } }),
      ...{ options: { turns: 2 }, stop_above: 1, deadline_at: 9e12, purpose: "train" },
    };
    const requests: [string, unknown][] = [
      ["/v1/environments/str_build/reset", reset],
      ["/v1/environments/str_build/step", { state: json.state, actions }],
      ["/v1/environments/str_build/score", { task: ICML, actions, options }],
      ["/v1/episodes", { ...opening, environment: "str_build", task: ICML, policy_versions: {} }],
      ["/v1/episodes", [{ id: "e4", environment: "str_build", task: "str_build_eval_001" }]],
      ["/v1/episodes/e1/actions/left", action],
      ["/v1/agents/right/actions", [{ episode_id: "e1", ...action }]],
      ["/v1/tokens", { agent: "left", run_id: "r", episode_id: null }],
      ["/v1/evaluations", evaluation],
    ];
    const seen = new Set<number>();
    for (const [path, valid] of requests) {
      assert.ok((await post(path, valid)).status < 300, path);
      for (const mutated of mutations(valid)) {
        const body = JSON.stringify(mutated);
        const { status, json } = await post(path, body);
        assert.ok(status < 500, `${path} ${body.slice(0, 300)}: ${JSON.stringify(json)}`);
        seen.add(status);
      }
    }
    for (const status of [200, 201, 202, 400, 404, 409]) assert.ok(seen.has(status), `${status}`);
  }, { evaluate: () => Promise.resolve({}) });
});

Deno.test("GET answers or refuses odd paths and queries", async () => {
  await withEdge(async ({ get, post }) => {
    await post("/v1/episodes", relayRequest("e1"));
    const odd = ["%00", "%ff", "%", "..%2f..", "__proto__", "%F0%9F%98%80", "a".repeat(1000), "'"];
    for (const text of odd) {
      for (
        const path of [
          ...[`environments/${text}`, `episodes/${text}`, `episodes/e1/observations/${text}`],
          ...[`episodes/${text}/observations/left`, `agents/${text}/observations`, `runs/${text}`],
          ...[
            `runs/${text}/metrics`,
            `evaluations/${text}`,
            `agents/left/observations?limit=${text}`,
          ],
          ...[`agents/left/observations?run_id=${text}`, `runs?limit=${text}`],
          ...["agents/left/observations?limit=1&limit=2", `agents/${text}/stream`],
        ]
      ) {
        const { status, json } = await get(`/v1/${path}`);
        assert.ok(status < 500, `${path}: ${JSON.stringify(json)}`);
      }
    }
  });
});
