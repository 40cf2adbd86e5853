/**
 * Every environment over OpenEnv's protocol: `/openenv/{id}` plays the whole team,
 * `/openenv/{id}/agents/{agent}` one agent of it. Clients of that protocol work unchanged.
 */
import { type Context, type MiddlewareHandler, upgradeWebSocket, z } from "../deps.ts";
import { CollmError } from "../shared/errors.ts";
import { checkJson } from "../shared/wire/body.ts";
import { agentName, environmentId, jsonObject } from "../shared/wire/fields.ts";
import { outcome, resetData, stateQuery, stepBody } from "../shared/wire/openenv.ts";
import { parse } from "../shared/wire/parse.ts";
import { answers, body, type Edge, type EdgeApp, type EdgeVariables } from "./edge.ts";
import { documentOf, metadataOf, schemasOf } from "./openenv/describe.ts";
import {
  environmentOf,
  leaveEpisode,
  resetEpisode,
  stateOf,
  stepEpisode,
  type View,
} from "./openenv/episodes.ts";
import { answerMcp } from "./openenv/mcp.ts";
import { createSession, errorText, type Session, WAIT_MS } from "./openenv/socket.ts";

/** Connections at once, where the edge is not told otherwise. */
const SESSIONS = 256;
/** Close code of a connection that cannot be served. */
const TRY_LATER = 1013;

type EdgeContext = Context<EdgeVariables>;

const viewOf = (c: EdgeContext): View => ({
  environment: c.req.param("id")!,
  agent: c.req.param("agent") ?? null,
  principal: c.get("principal"),
});

/** A page in a browser could ask an open edge on its machine without being asked itself. */
function refuseForeignPage(c: Context, what: string): void {
  const origin = c.req.header("origin");
  if (origin === undefined || URL.parse(origin)?.host === c.req.header("host")) return;
  throw new CollmError(
    "forbidden",
    `Cannot ${what}: it is asked for by a page of '${origin.slice(0, 100)}'`,
  );
}

const requireUpgrade: MiddlewareHandler = async (c, next) => {
  if (c.req.header("upgrade")?.toLowerCase() !== "websocket") {
    throw new CollmError("invalid_request", "Cannot open socket: it is no WebSocket upgrade");
  }
  refuseForeignPage(c, "open socket");
  await next();
};

const RESET = /^\/openenv\/.+\/reset$/;

/**
 * Bodies of the protocol are JSON. A reset may have none, as with OpenEnv's own server: then there
 * is no content type by which pages would be kept out.
 */
export const checkOpenEnvBody: MiddlewareHandler = async (c, next) => {
  const isReset = c.req.method === "POST" && RESET.test(c.req.path);
  if (!isReset || await c.req.text() !== "") return await checkJson(c, next);
  refuseForeignPage(c, "reset");
  await next();
};

const resetBody = async ({ req }: EdgeContext): Promise<unknown> =>
  await req.text() === "" ? {} : await req.json();

/** The paths of one view, in the edge's own document. */
function document({ openAPIRegistry }: EdgeApp, base: string): void {
  const agent = base.endsWith("{agent}");
  const params = z.object(agent ? { id: environmentId, agent: agentName } : { id: environmentId });
  const view = agent ? "one agent's view" : "the whole team";
  const add = (
    [method, path]: ["get" | "post", string],
    summary: string,
    schema: z.ZodType,
    more: { query?: z.ZodObject; body?: ReturnType<typeof body> } = {},
  ) =>
    openAPIRegistry.registerPath({
      ...{ method, path: `${base}/${path}`, tags: ["openenv"], summary: `${summary}: ${view}` },
      operationId: `openenv_${path.replace(/\W/g, "_")}_${method}${agent ? "_agent" : ""}`,
      request: { params, ...more },
      responses: answers(200, summary, schema),
    });
  add(["post", "reset"], "Open or join an episode", outcome, { body: body(resetData) });
  add(["post", "step"], "Act on a turn", outcome, { body: body(stepBody) });
  add(["get", "state"], "Where an episode is", jsonObject, { query: stateQuery });
  add(["get", "health"], "Whether it can be played", jsonObject);
  add(["get", "metadata"], "Name and description", jsonObject);
  add(["get", "schema"], "JSON Schemas of actions, observations and states", jsonObject);
  add(["get", "openapi.json"], "The protocol's paths, at their root", jsonObject);
  add(["post", "mcp"], "JSON-RPC: tools and sessions", jsonObject, { body: body(jsonObject) });
  add(["get", "mcp"], "WebSocket: JSON-RPC", jsonObject);
  add(["get", "ws"], "WebSocket: reset, step, state, mcp, close", outcome);
}

export function openEnvRoutes(app: EdgeApp, edge: Edge): void {
  const { version, openenv_sessions: most = SESSIONS } = edge;
  let active = 0;

  const socket = (raw: boolean) =>
    upgradeWebSocket((c: EdgeContext) => {
      // Everything of the request is read here: it is gone when the handlers run.
      const view = viewOf(c);
      let session: Session | undefined;
      let counted = false;
      return {
        onOpen(_event, socket) {
          if (active >= most) {
            const message = `Cannot open session: all ${most} are taken`;
            const sessions = { active_sessions: active, max_sessions: most };
            socket.send(errorText("CAPACITY_REACHED", message, sessions));
            return socket.close(TRY_LATER, "no session is free");
          }
          try {
            const environment = environmentOf(edge, view);
            if (!edge.episodes) {
              throw new CollmError(
                "unavailable",
                "Cannot keep episodes: this edge has no database",
              );
            }
            const { action } = schemasOf(environment, view.agent);
            session = createSession(edge, view, action, {
              send: (text) => socket.send(text),
              close: (code, reason) => socket.close(code, reason),
            }, raw);
            [active, counted] = [active + 1, true];
          } catch (error) {
            socket.send(errorText("FACTORY_ERROR", (error as Error).message));
            socket.close(1011, "the environment cannot be made");
          }
        },
        onMessage: ({ data }) => session?.receive(data),
        onClose() {
          session?.end();
          if (counted) [active, counted] = [active - 1, false];
        },
      };
    });

  for (const base of ["/openenv/:id", "/openenv/:id/agents/:agent"]) {
    const described = (path: string, tell: (view: View) => unknown) =>
      app.get(`${base}/${path}`, (c) => c.json(tell(viewOf(c)) as object));

    described("health", (view) => (environmentOf(edge, view), { status: "healthy" }));
    described("metadata", (view) => metadataOf(environmentOf(edge, view), version));
    described("schema", (view) => schemasOf(environmentOf(edge, view), view.agent));
    described(
      "openapi.json",
      (view) => documentOf(environmentOf(edge, view), view.agent, version),
    );

    app.post(`${base}/reset`, async (c) => {
      const view = viewOf(c);
      environmentOf(edge, view);
      const data = parse(resetData, await resetBody(c), "the body");
      return c.json((await resetEpisode(edge, view, data)).seen);
    });

    app.post(`${base}/step`, async (c) => {
      const { action, episode_id, timeout_s } = parse(stepBody, await c.req.json(), "the body");
      const wait_ms = timeout_s === undefined ? WAIT_MS : 1000 * timeout_s;
      return c.json(await stepEpisode(edge, viewOf(c), episode_id, action, wait_ms));
    });

    app.get(`${base}/state`, async (c) => {
      const { episode_id } = parse(stateQuery, c.req.query(), "the query");
      return c.json(await stateOf(edge, viewOf(c), episode_id));
    });

    app.post(`${base}/mcp`, async (c) => {
      const view = viewOf(c);
      const { action } = schemasOf(environmentOf(edge, view), view.agent);
      const answer = await answerMcp(await c.req.json(), {
        action,
        open: (data) => resetEpisode(edge, view, data),
        act(given, session) {
          if (session !== undefined) return stepEpisode(edge, view, session, given, WAIT_MS);
          throw new CollmError("invalid_request", "Cannot act: 'session_id' is missing");
        },
        close: (session) => leaveEpisode(edge, view, session),
      });
      return c.json(answer);
    });

    document(app, base.replaceAll(/:(\w+)/g, "{$1}"));
    app.get(`${base}/ws`, requireUpgrade, socket(false));
    app.get(`${base}/mcp`, requireUpgrade, socket(true));
  }
}
