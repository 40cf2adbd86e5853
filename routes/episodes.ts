/**
 * Recorded episodes: open, read, and one agent's view and action of one episode.
 * Leaves out the batch forms for agent hosts (agents.ts).
 */
import { createRoute, z } from "../deps.ts";
import type { EpisodeSpec } from "../shared/store/episodes.ts";
import { actionRequest, actionResult } from "../shared/wire/actions.ts";
import {
  type EpisodeRequest,
  episodesRequest,
  episodeTranscript,
  openedEpisodes,
} from "../shared/wire/episodes.ts";
import { agentName, episodeId } from "../shared/wire/fields.ts";
import { agentView } from "../shared/wire/observations.ts";
import { agentToken, requireEpisodes } from "./auth.ts";
import { answers, body, type Edge, type EdgeApp, episodesOf } from "./edge.ts";

const params = z.object({ id: episodeId });
const ofAgent = z.object({ id: episodeId, agent: agentName });
const tags = ["episodes"];

const open = createRoute({
  method: "post",
  path: "/v1/episodes",
  operationId: "openEpisodes",
  summary: "Open one episode, or a list of them",
  description: "The same id with the same fields again finds the episode that it opened",
  tags,
  request: { body: body(episodesRequest) },
  responses: answers(201, "The episode, or the list under `episodes`", openedEpisodes),
});

const read = createRoute({
  method: "get",
  path: "/v1/episodes/{id}",
  operationId: "getEpisode",
  summary: "One episode with all that happened in it",
  tags,
  request: { params },
  responses: answers(200, "The episode", episodeTranscript),
});

const observe = createRoute({
  method: "get",
  path: "/v1/episodes/{id}/observations/{agent}",
  operationId: "getObservation",
  summary: "What one agent sees now",
  tags,
  request: { params: ofAgent },
  responses: answers(200, "The agent's view", agentView),
});

const act = createRoute({
  method: "post",
  path: "/v1/episodes/{id}/actions/{agent}",
  operationId: "postAction",
  summary: "One agent's action of one turn, exactly once",
  description: "The same action again gets the same answer, another one on the same turn 409. " +
    "The last action of a turn makes the step",
  tags,
  request: { params: ofAgent, body: body(actionRequest) },
  responses: answers(200, "The action is stored", actionResult),
});

export function episodeRoutes(app: EdgeApp, edge: Edge): void {
  app.openapi(open, async (c) => {
    const request = c.req.valid("json");
    const list = Array.isArray(request) ? request : [request];
    const opened = await episodesOf(edge).openEpisodes(list.map((one) => specOf(edge, one)));
    const episodes = opened.map((episode) => ({
      ...episode,
      tokens: edge.token === undefined ? null : tokensOf(edge, episode),
    }));
    return c.json(Array.isArray(request) ? { episodes } : episodes[0]!, 201);
  });

  app.openapi(read, async (c) => {
    const [transcript] = await episodesOf(edge).transcripts([c.req.valid("param").id]);
    return c.json(transcript!, 200);
  });

  app.openapi(observe, async (c) => {
    const { id, agent } = c.req.valid("param");
    await requireEpisodes(edge, c.var.principal, agent, [id]);
    const [view] = await episodesOf(edge).observations(agent, [id]);
    return c.json(view!, 200);
  });

  app.openapi(act, async (c) => {
    const { id, agent } = c.req.valid("param");
    await requireEpisodes(edge, c.var.principal, agent, [id]);
    const post = { episode_id: id, agent, ...c.req.valid("json") };
    const [result] = await episodesOf(edge).postActions([post]);
    if (result!.status === "error") throw result!.error;
    return c.json(result!, 200);
  });
}

/** Task and item as the environment reads them: an unknown item is refused here. */
function specOf({ createEnvironment }: Edge, request: EpisodeRequest): EpisodeSpec {
  const { task, id } = createEnvironment(request.environment, request.options).task(request.task);
  return {
    ...request,
    id: request.id ?? crypto.randomUUID(),
    item_id: request.item_id ?? id,
    task,
  };
}

function tokensOf(edge: Edge, { id: episode_id, agents }: { id: string; agents: string[] }) {
  const scope = { run_id: null, episode_id };
  return Object.fromEntries(
    agents.map((agent) => [agent, agentToken(edge, { agent, ...scope })]),
  );
}
