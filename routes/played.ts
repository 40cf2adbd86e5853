/**
 * What a joint action did, to be shown: one on a task that the caller gives, or a turn of a
 * recorded episode, whose state is found by playing it again up to there.
 */
import type { Context } from "../deps.ts";
import type { Environment, PerAgent } from "../shared/environments/environment.ts";
import { CollmError } from "../shared/errors.ts";
import { parse } from "../shared/wire/parse.ts";
import { episodePicture, taskPicture } from "../shared/wire/pictures.ts";
import { type Edge, episodesOf } from "./edge.ts";

export interface Played {
  environment: Environment;
  task: unknown;
  actions: PerAgent<string>;
  title?: string | undefined;
  /** State that the action met; that of the first turn where there is none. */
  state?: unknown;
}

/** The action and the task of the query. */
export function askedFor(edge: Edge, c: Context): Promise<Played> {
  const query = parse(taskPicture, c.req.query(), "the query");
  const environment = edge.createEnvironment(c.req.param("id")!, query.options);
  const { actions, title } = query;
  return Promise.resolve({ environment, task: environment.task(query.task).task, actions, title });
}

/** A turn of an episode, the last one played if the query does not say otherwise. */
export async function recorded(edge: Edge, c: Context): Promise<Played> {
  const { turn, title } = parse(episodePicture, c.req.query(), "the query");
  const id = c.req.param("id")!;
  const [episode] = await episodesOf(edge).transcripts([id]);
  const { environment: name, options, task, seed, turns } = episode!;
  const environment = edge.createEnvironment(name, options);
  const played = turns.filter(({ rewards }) => rewards !== null)
    .map(({ agents }): PerAgent<string> =>
      Object.fromEntries(Object.entries(agents).map(([agent, { action }]) => [agent, action!.text]))
    );
  const shown = turn ?? played.length;
  const actions = played[shown - 1];
  if (!actions) {
    throw new CollmError(
      "not_found",
      `Cannot show turn ${shown} of episode '${id}': ${played.length} of its turns are played`,
    );
  }
  let { state } = await environment.reset(task, seed);
  for (const before of played.slice(0, shown - 1)) {
    ({ state } = await environment.step(task, state, before));
  }
  return { environment, task, actions, title: title ?? `${id}, turn ${shown}`, state };
}
