/**
 * The GPU node as one Hono app: who may ask, how long is waited, what is counted, and the one place
 * where errors become answers. A request that fails disturbs no other. Leaves out the socket
 * (main.ts) and the device's thread (worker.ts): this thread never runs a model.
 */
import { OpenAPIHono } from "../../deps.ts";
import { CollmError } from "../../shared/errors.ts";
import { requireBearer } from "../../shared/wire/bearer.ts";
import { limitBody } from "../../shared/wire/body.ts";
import { BODY_LIMIT } from "../../shared/wire/gpu.ts";
import { missingRoute } from "../../shared/wire/openapi.ts";
import { problemResponse, toCollmError } from "../../shared/wire/problem.ts";
import { checkpointRoutes } from "./checkpoint_routes.ts";
import { documentRoute } from "./document.ts";
import { healthRoutes } from "./health.ts";
import { isOpenAiPath, openAiProblem, openAiRoutes } from "./openai.ts";
import type { GpuHono, GpuServer } from "./server.ts";
import { socketRoute } from "./socket.ts";
import { verbRoutes } from "./verb_routes.ts";
import { openWait, timeoutOf } from "./wait.ts";

export interface GpuApp extends GpuHono {
  /** Refuses what comes from now on with 503; resolves when all that came before is answered. */
  drain(): Promise<void>;
}

/** The GPU server. Nothing is listened on. */
export function createGpuApp(server: GpuServer): GpuApp {
  const { metrics, token, onFault } = server;
  const app: GpuHono = new OpenAPIHono();
  let [under, draining] = [0, false];
  let idle = () => {};

  app.onError((thrown, c) => {
    const error = toCollmError(thrown);
    if (error.code === "internal") onFault?.(thrown);
    return isOpenAiPath(c.req.path) ? openAiProblem(error) : problemResponse(error);
  });
  app.notFound(({ req }) => missingRoute(app.routes, req));

  app.use(async (c, next) => {
    const began = performance.now();
    await next();
    metrics.request(c.req.path, c.res.status, (performance.now() - began) / 1000);
  });
  healthRoutes(app, server, () => draining);

  app.use("/v1/*", async (c, next) => {
    if (token) requireBearer(c.req.raw.headers, token);
    if (draining) throw new CollmError("unavailable", "Cannot take requests: the server is ending");
    const wait = openWait(c.req.raw.signal, timeoutOf(c.req.header("request-timeout")));
    c.set("wait", wait);
    under++;
    await next();
    void wait.end().then(() => {
      if (--under === 0) idle();
    });
  });
  app.post("/v1/*", limitBody(BODY_LIMIT));

  verbRoutes(app, server);
  checkpointRoutes(app, server);
  openAiRoutes(app, server);
  const closeSockets = socketRoute(app, server);
  documentRoute(app, server);
  return Object.assign(app, {
    async drain() {
      draining = true;
      await closeSockets();
      if (under > 0) await new Promise<void>((resolve) => idle = resolve);
    },
  });
}
