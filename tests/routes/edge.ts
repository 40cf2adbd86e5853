/**
 * An edge for tests: a fresh `file:` database, the environments of the project and the relay, and
 * calls without a socket.
 */
import assert from "node:assert/strict";
import { createApp } from "../../routes/app.ts";
import type { EdgeApp, EdgeDeps } from "../../routes/edge.ts";
import { createEnvironment, environmentIds } from "../../shared/environments/registry.ts";
import { openStore, type Store } from "../../shared/store/connect.ts";
import {
  createEpisodes,
  type Episodes,
  type ResolveEnvironment,
} from "../../shared/store/episodes.ts";
import { resolveRelay } from "../support/relay.ts";

export const TOKEN = "learner-token";

/** The project's environments and the relay. */
export const resolveAll: ResolveEnvironment = (id, options) =>
  id === "relay" ? resolveRelay(id, options) : createEnvironment(id, options);

export interface Answer {
  status: number;
  headers: Headers;
  // deno-lint-ignore no-explicit-any -- tests look into any answer
  json: any;
}

export interface TestEdge {
  app: EdgeApp;
  store: Store;
  episodes: Episodes;
  get(path: string, token?: string): Promise<Answer>;
  post(path: string, body: unknown, token?: string): Promise<Answer>;
}

/** Calls `body` with an edge over a fresh database; `changes` are to its dependencies. */
export async function withEdge(
  body: (edge: TestEdge) => Promise<void>,
  changes: Partial<EdgeDeps> = {},
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "collm-edge-" });
  const store = await openStore(`file:${folder}/edge.db`);
  try {
    const episodes = await createEpisodes(store, resolveAll);
    const app = await createApp({
      ...{ store, episodes, createEnvironment: resolveAll, secret: "secret", version: "0.0.1" },
      environmentIds: () => [...environmentIds(), "relay"],
      evaluate: null,
      ...changes,
    });
    await body({ app, store, episodes, ...callsOf(app) });
  } finally {
    await store.close();
    await Deno.remove(folder, { recursive: true });
  }
}

/** An edge without a database; `secret` as another replica would have it. */
export async function replica(secret = "secret", createEnvironment = resolveAll) {
  const app = await createApp({
    ...{ store: null, episodes: null, evaluate: null, version: "0.0.1", secret },
    environmentIds: () => ["str_build", "relay"],
    createEnvironment,
  });
  return { app, ...callsOf(app) };
}

/** GET and POST of JSON, with a bearer token where one is given. */
export function callsOf(app: EdgeApp): Pick<TestEdge, "get" | "post"> {
  const read = async (response: Response): Promise<Answer> => {
    const text = await response.text();
    const json = text.startsWith("{") ? JSON.parse(text) : text;
    return { status: response.status, headers: response.headers, json };
  };
  const bearer = (token?: string): Record<string, string> =>
    token === undefined ? {} : { authorization: `Bearer ${token}` };
  return {
    get: async (path, token) => read(await app.request(path, { headers: bearer(token) })),
    post: async (path, body, token) =>
      read(
        await app.request(path, {
          method: "POST",
          body: typeof body === "string" ? body : JSON.stringify(body),
          headers: { "content-type": "application/json", ...bearer(token) },
        }),
      ),
  };
}

/** The answer is a problem document with this status, code and detail. */
export function assertProblem(
  { status, headers, json }: Answer,
  code: string,
  expected: number,
  detail: string | RegExp,
): void {
  assert.equal(status, expected, JSON.stringify(json));
  assert.equal(headers.get("content-type"), "application/problem+json");
  assert.deepEqual(Object.keys(json).sort(), ["code", "detail", "status", "title", "type"]);
  assert.equal(json.code, code);
  assert.equal(json.status, expected);
  assert.equal(json.type, `urn:collm:problem:${code}`);
  if (typeof detail === "string") assert.equal(json.detail, detail);
  else assert.match(json.detail, detail);
}

/** A relay episode, as it is asked for on the wire. */
export const relayRequest = (id: string, changes: Record<string, unknown> = {}) => ({
  ...{ id, environment: "relay", task: { word: "w1" }, seed: 7 },
  ...changes,
});
