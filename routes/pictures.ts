/**
 * Pictures, as SVG or PNG: of a joint action on a task that the caller gives, or of a turn of a
 * recorded episode, whose state is found by playing it again up to there.
 * Leaves out drawing: environments do, those that can.
 */
import { type Context, z } from "../deps.ts";
import type { Environment, PerAgent } from "../shared/environments/environment.ts";
import { svgToPng } from "../shared/environments/picture.ts";
import { CollmError } from "../shared/errors.ts";
import { environmentId, episodeId } from "../shared/wire/fields.ts";
import { parse } from "../shared/wire/parse.ts";
import { episodePicture, taskPicture } from "../shared/wire/pictures.ts";
import { answers, type Edge, type EdgeApp, episodesOf } from "./edge.ts";

const FORMATS = { svg: "image/svg+xml", png: "image/png" } as const;
type Format = keyof typeof FORMATS;

export function pictureRoutes(app: EdgeApp, edge: Edge): void {
  const draws = (
    base: string,
    operationId: string,
    summary: string,
    { params, query }: { params: z.ZodObject; query: z.ZodObject },
    draw: (c: Context) => Promise<string>,
  ) => {
    for (const format of Object.keys(FORMATS) as Format[]) {
      const path = `${base}/render.${format}`;
      const schema = z.string().openapi({ format: "binary" });
      app.openAPIRegistry.registerPath({
        ...{ method: "get", path, summary, request: { params, query } },
        operationId: `${operationId}As${format === "svg" ? "Svg" : "Png"}`,
        tags: ["pictures"],
        responses: {
          ...answers(200, "The picture", schema),
          200: { description: "The picture", content: { [FORMATS[format]]: { schema } } },
        },
      });
      app.get(path.replace("{id}", ":id"), async (c) => {
        const svg = await draw(c);
        const picture = format === "svg" ? svg : await pngOf(svg);
        const headers = { "content-type": FORMATS[format], "content-security-policy": "sandbox" };
        return new Response(picture as BodyInit, { headers });
      });
    }
  };

  draws(
    "/v1/environments/{id}",
    "renderActions",
    "Picture of what a joint action makes of a task",
    { params: z.object({ id: environmentId }), query: taskPicture },
    (c) => {
      const { task: input, actions, options, title } = parse(
        taskPicture,
        c.req.query(),
        "the query",
      );
      const environment = edge.createEnvironment(c.req.param("id")!, options);
      const render = rendererOf(environment);
      return Promise.resolve(render(environment.task(input).task, actions, title));
    },
  );

  draws(
    "/v1/episodes/{id}",
    "renderEpisode",
    "Picture of a turn of an episode, the last one played if not said otherwise",
    { params: z.object({ id: episodeId }), query: episodePicture },
    async (c) => {
      const { turn, title } = parse(episodePicture, c.req.query(), "the query");
      return await drawTurn(edge, c.req.param("id")!, turn, title);
    },
  );
}

async function drawTurn(
  edge: Edge,
  id: string,
  turn: number | undefined,
  title: string | undefined,
): Promise<string> {
  const [episode] = await episodesOf(edge).transcripts([id]);
  const { environment: name, options, task, seed, turns } = episode!;
  const environment = edge.createEnvironment(name, options);
  const render = rendererOf(environment);
  const played = turns.filter(({ rewards }) => rewards !== null)
    .map(({ agents }): PerAgent<string> =>
      Object.fromEntries(Object.entries(agents).map(([agent, { action }]) => [agent, action!.text]))
    );
  const drawn = turn ?? played.length;
  const actions = played[drawn - 1];
  if (!actions) {
    throw new CollmError(
      "not_found",
      `Cannot draw turn ${drawn} of episode '${id}': ${played.length} of its turns are played`,
    );
  }
  let { state } = await environment.reset(task, seed);
  for (const before of played.slice(0, drawn - 1)) {
    ({ state } = await environment.step(task, state, before));
  }
  return render(task, actions, title ?? `${id}, turn ${drawn}`, state);
}

function rendererOf(environment: Environment): NonNullable<Environment["render"]> {
  if (environment.render) return environment.render.bind(environment);
  throw new CollmError(
    "not_found",
    `Cannot draw environment '${environment.id}': it has no picture`,
  );
}

async function pngOf(svg: string): Promise<Uint8Array> {
  try {
    return await svgToPng(svg);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotCapable)) throw cause;
    throw new CollmError(
      "unavailable",
      "Cannot draw PNG: this edge runs without a disk, ask for SVG",
      {
        cause,
      },
    );
  }
}
