/**
 * The edge as one Hono app: every route, who may use it, what bodies may be, and the one place
 * where errors become answers. Leaves out listening (main.ts): tests call `app.request()`.
 */
import { OpenAPIHono } from "../deps.ts";
import { CollmError } from "../shared/errors.ts";
import { remembered } from "../shared/store/episodes/environments.ts";
import { checkJson, limitBody, LIMITS } from "../shared/wire/body.ts";
import { missingRoute } from "../shared/wire/openapi.ts";
import { complaint } from "../shared/wire/parse.ts";
import { problemResponse, toCollmError } from "../shared/wire/problem.ts";
import { agentRoutes } from "./agents.ts";
import { authenticate } from "./auth.ts";
import type { Edge, EdgeApp, EdgeDeps, EdgeVariables } from "./edge.ts";
import { environmentBatchRoutes } from "./environment_batches.ts";
import { environmentItemRoutes } from "./environment_items.ts";
import { environmentRoutes } from "./environments.ts";
import { episodeRoutes } from "./episodes.ts";
import { evaluationRoutes } from "./evaluations.ts";
import { healthRoutes } from "./health.ts";
import { openapiRoute } from "./openapi.ts";
import { checkOpenEnvBody, openEnvRoutes } from "./openenv.ts";
import { pictureRoutes } from "./pictures.ts";
import { runRoutes } from "./runs.ts";
import { createSigners } from "./signing.ts";
import { streamRoutes } from "./stream.ts";
import { tokenRoutes } from "./tokens.ts";

/** Environments with their options that are kept, rather than made anew for every request. */
const REMEMBERED = 64;

/** What a request is read from, by the name that validation gives it. */
const PLACES: Record<string, string> = { json: "the body", param: "the path", query: "the query" };

/** Routes that take lists. */
const BATCHES = /^\/v1\/(episodes|agents\/[^/]+\/actions|environments\/[^/]+\/(steps|scores))$/;

/** The route whose requests hold a state that an answer of ours gave. */
const STEP = /^\/v1\/environments\/[^/]+\/step$/;

/** The edge. Nothing is listened on. */
export function createApp(deps: EdgeDeps): EdgeApp {
  const edge: Edge = {
    log: (line) => console.error(line),
    ...deps,
    createEnvironment: remembered(deps.createEnvironment, REMEMBERED),
    signers: createSigners(deps.secret),
  };
  const app = new OpenAPIHono<EdgeVariables>({
    defaultHook: (result) => {
      if (result.success) return;
      const { error, target } = result;
      const value = (result as { data?: unknown }).data;
      throw new CollmError(
        "invalid_request",
        `Cannot read ${PLACES[target] ?? target}: ${complaint(error, value)}`,
      );
    },
  });
  app.onError((thrown) => {
    const error = toCollmError(thrown);
    if (error.code === "internal") console.error(thrown);
    return problemResponse(error);
  });
  app.notFound(({ req }) => missingRoute(app.routes, req));

  for (const path of ["/v1/*", "/openenv/*"]) app.use(path, authenticate(edge));
  app.use("/openenv/*", limitBody(LIMITS.single));
  app.use("/openenv/*", checkOpenEnvBody);
  app.use("/v1/*", async (c, next) => {
    const { path } = c.req;
    const kind = BATCHES.test(path) ? "batch" : STEP.test(path) ? "step" : "single";
    return await limitBody(LIMITS[kind])(c, next);
  });
  app.use("/v1/*", checkJson);

  environmentRoutes(app, edge);
  environmentBatchRoutes(app, edge);
  environmentItemRoutes(app, edge);
  pictureRoutes(app, edge);
  episodeRoutes(app, edge);
  agentRoutes(app, edge);
  streamRoutes(app, edge);
  evaluationRoutes(app, edge);
  runRoutes(app, edge);
  tokenRoutes(app, edge);
  openEnvRoutes(app, edge);
  healthRoutes(app, edge);
  openapiRoute(app, edge);
  return app;
}
