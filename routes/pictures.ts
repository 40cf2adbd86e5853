/**
 * What a team made, as a file: a picture (SVG, PNG), or a build for other programs (commands of a
 * data pack, a schematic). Leaves out drawing and building: environments do, those that can.
 */
import { type Context, z } from "../deps.ts";
import { svgToPng } from "../shared/environments/picture.ts";
import { CollmError } from "../shared/errors.ts";
import { environmentId, episodeId } from "../shared/wire/fields.ts";
import { episodePicture, taskPicture } from "../shared/wire/pictures.ts";
import { answers, type Edge, type EdgeApp } from "./edge.ts";
import { askedFor, type Played, recorded } from "./played.ts";

/** Files by the end of their route. */
const FILES = {
  "render.svg": { type: "image/svg+xml", make: async (p: Played) => await drawn(p) },
  "render.png": { type: "image/png", make: async (p: Played) => await pngOf(drawn(p)) },
  "build.mcfunction": { type: "text/plain", make: (p: Played) => built(p, "mcfunction") },
  "build.schem": { type: "application/octet-stream", make: (p: Played) => built(p, "schem") },
};

export function pictureRoutes(app: EdgeApp, edge: Edge): void {
  const shows = (
    base: string,
    subject: string,
    what: string,
    { params, query }: { params: z.ZodObject; query: z.ZodObject },
    find: (edge: Edge, c: Context) => Promise<Played>,
  ) => {
    for (const [file, { type, make }] of Object.entries(FILES)) {
      const path = `${base}/${file}`;
      const [verb, format] = file.split(".") as [string, string];
      const summary = verb === "render" ? `Picture of ${what}` : `Build of ${what}, as a file`;
      const schema = z.string().openapi({ format: "binary" });
      app.openAPIRegistry.registerPath({
        ...{ method: "get", path, summary, request: { params, query } },
        operationId: `${verb}${subject}As${format[0]!.toUpperCase()}${format.slice(1)}`,
        tags: ["pictures"],
        responses: {
          ...answers(200, "The file", schema),
          200: { description: "The file", content: { [type]: { schema } } },
        },
      });
      app.get(path.replace("{id}", ":id"), async (c) => {
        const content = await make(await find(edge, c));
        const headers = { "content-type": type, "content-security-policy": "sandbox" };
        return new Response(content as BodyInit, { headers });
      });
    }
  };
  shows(
    "/v1/environments/{id}",
    "Actions",
    "what a joint action makes of a task",
    { params: z.object({ id: environmentId }), query: taskPicture },
    askedFor,
  );
  shows(
    "/v1/episodes/{id}",
    "Episode",
    "a turn of an episode, the last one played if not said otherwise",
    { params: z.object({ id: episodeId }), query: episodePicture },
    recorded,
  );
}

function drawn({ environment, task, actions, title, state }: Played): string {
  if (environment.render) return environment.render(task, actions, title, state);
  throw new CollmError(
    "not_found",
    `Cannot draw environment '${environment.id}': it has no picture`,
  );
}

function built({ environment, task, actions }: Played, format: string): Promise<Uint8Array> {
  if (environment.exportAs) return environment.exportAs(task, actions, format);
  throw new CollmError(
    "not_found",
    `Cannot export environment '${environment.id}': nothing is built there that has a file`,
  );
}

async function pngOf(svg: string): Promise<Uint8Array> {
  try {
    return await svgToPng(svg);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotCapable)) throw cause;
    const why = "Cannot draw PNG: this edge runs without a disk, ask for SVG";
    throw new CollmError("unavailable", why, { cause });
  }
}
