/**
 * The GPU node over HTTP: the verbs as JSON behind a bearer token. A request that fails is answered
 * as a problem and disturbs no other. Leaves out the socket (main.ts) and the device's thread
 * (worker.ts): this thread never runs a model.
 */
import { bodyLimit, type Context, Hono } from "../../deps.ts";
import { CollmError } from "../../shared/errors.ts";
import { requireBearer } from "../../shared/wire/bearer.ts";
import {
  BODY_LIMIT,
  loadRequest,
  sampleRequest,
  saveRequest,
  scoreRequest,
  updateRequest,
  valuesRequest,
} from "../../shared/wire/gpu.ts";
import { readBody } from "../../shared/wire/parse.ts";
import { problemResponse, toCollmError, toProblem } from "../../shared/wire/problem.ts";
import type { Checkpoints } from "./checkpoints.ts";
import { isOpenAiPath, openAiRoutes } from "./openai.ts";
import type { ServedPolicies } from "./policies.ts";
import { sample } from "./sample.ts";
import type { NodeHealth } from "../verbs.ts";
import { checkUpdate } from "./update.ts";

export interface GpuAppOptions {
  policies: ServedPolicies;
  checkpoints: Checkpoints;
  /** Bearer token that every request but `/health` must carry. */
  token?: string | undefined;
  /** Told of errors that are ours. */
  onFault?: (error: unknown) => void;
}

/** How long `/health` waits for a busy worker, in milliseconds. */
const HEALTH_WAIT = 1000;

export function createGpuApp({ policies, checkpoints, token, onFault }: GpuAppOptions): Hono {
  const app = new Hono();
  app.onError((error, c) => {
    if (toCollmError(error).code === "internal") onFault?.(error);
    return isOpenAiPath(c.req.path) ? openAiProblem(error) : problemResponse(error);
  });
  app.notFound((c) => {
    throw new CollmError("not_found", `Cannot find ${c.req.method} ${c.req.path.slice(0, 120)}`);
  });

  let known: NodeHealth | undefined;
  app.get("/health", async (c) => {
    const asked = policies.node.health().then((health) => known = health);
    const status = await answersWithin(asked, HEALTH_WAIT) ? "ok" : "busy";
    return c.json({ status, ...known, policies: policies.names() });
  });

  app.use("/v1/*", async (c, next) => {
    if (token) requireBearer(c.req.raw.headers, token);
    await next();
  });
  // Uploads stream to disk under a limit of their own.
  app.put("/v1/checkpoints/:id/files/:name", async (c) => {
    await checkpoints.upload(c.req.param("id"), c.req.param("name"), c.req.raw.body);
    return c.body(null, 204);
  });
  app.post("/v1/*", bodyLimit({ maxSize: BODY_LIMIT, onError: refuseBody }));

  app.post("/v1/sample", async (c) => {
    return c.json(await sample(policies, await readBody(c.req, sampleRequest, "sample request")));
  });
  app.post("/v1/score", async (c) => {
    const { policy, sequences } = await readBody(c.req, scoreRequest, "score request");
    return c.json(await policies.node.score(policy, sequences));
  });
  app.post("/v1/values", async (c) => {
    const { policy, sequences } = await readBody(c.req, valuesRequest, "values request");
    return c.json(await policies.node.values(policy, sequences));
  });
  app.post("/v1/update", async (c) => {
    const request = await readBody(c.req, updateRequest, "update request");
    checkUpdate(request);
    return c.json(await policies.node.update(request));
  });

  app.get("/v1/policies", async (c) => c.json({ policies: await policies.list() }));
  app.post("/v1/policies", async (c) => {
    return c.json(await policies.load(await readBody(c.req, loadRequest, "load request")), 201);
  });
  app.delete("/v1/policies/:id", async (c) => {
    await policies.unload(c.req.param("id"));
    return c.body(null, 204);
  });

  app.post("/v1/checkpoints", async (c) => {
    const { policy } = await readBody(c.req, saveRequest, "checkpoint request");
    policies.tokenizer(policy);
    const saved = await checkpoints.save(policies.node, policy);
    return c.json(saved, saved.created ? 201 : 200);
  });
  app.get("/v1/checkpoints/:id", (c) => c.json(checkpoints.describe(c.req.param("id"))));
  app.get("/v1/checkpoints/:id/files/:name{.+}", async (c) => {
    const file = await Deno.open(checkpoints.file(c.req.param("id"), c.req.param("name")));
    return c.body(file.readable, 200, { "content-type": "application/octet-stream" });
  });
  app.delete("/v1/checkpoints/:id", (c) => {
    const id = c.req.param("id");
    if (policies.sources().has(id)) {
      throw new CollmError("conflict", `Cannot delete checkpoint '${id}': a policy comes from it`);
    }
    checkpoints.remove(id);
    return c.body(null, 204);
  });

  app.route("/v1", openAiRoutes(policies));
  return app;
}

function refuseBody(_: Context): never {
  throw new CollmError(
    "payload_too_large",
    `Cannot read the request: its body exceeds ${BODY_LIMIT} bytes`,
  );
}

/** OpenAI's clients read the member `error`; the rest is the same problem. */
function openAiProblem(thrown: unknown): Response {
  const problem = toProblem(thrown);
  const error = {
    message: problem.detail,
    type: problem.code,
    code: problem.code,
    param: null,
  };
  const { headers, status } = problemResponse(thrown);
  return new Response(JSON.stringify({ ...problem, error }), { status, headers });
}

async function answersWithin(answer: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => timer = setTimeout(() => resolve(false), ms));
  try {
    return await Promise.race([answer.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
