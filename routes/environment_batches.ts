/**
 * Many steps or scores in one call. Each is answered by a line of its own as soon as it is done,
 * so that slow ones do not keep others waiting; a bad one fails itself only. What nobody reads
 * any more is not begun.
 */
import { setImmediate } from "node:timers";
import { z } from "../deps.ts";
import {
  anyList,
  NDJSON,
  scoreLine,
  scoreList,
  stepLine,
  stepList,
} from "../shared/wire/environment_batches.ts";
import { scoreRequest, stepRequest } from "../shared/wire/environments.ts";
import { environmentId } from "../shared/wire/fields.ts";
import { parse } from "../shared/wire/parse.ts";
import { toProblem } from "../shared/wire/problem.ts";
import { answers, body, type Edge, type EdgeApp } from "./edge.ts";
import { scoreOf, stepOf } from "./environment_steps.ts";

/** Requests of one call that are under way at once: those of others find a place beside them. */
export const ABREAST = 2 * navigator.hardwareConcurrency;
/** Bytes of lines that wait to be read; until they are, nothing more is begun. */
const UNREAD = 2 ** 20;
/** Milliseconds after which others get their turn. */
const SLICE_MS = 10;

export function environmentBatchRoutes(app: EdgeApp, edge: Edge): void {
  const register = (
    path: string,
    operationId: string,
    summary: string,
    [request, line]: [z.ZodType, z.ZodType],
  ) =>
    app.openAPIRegistry.registerPath({
      ...{ method: "post", path: `/v1/environments/{id}/${path}`, operationId, summary },
      description: "One line per request, as they are done; a bad request fails itself only",
      tags: ["environments"],
      request: { params: z.object({ id: environmentId }), body: body(request) },
      responses: {
        ...answers(200, summary, line),
        200: { description: "A line of JSON for each", content: { [NDJSON]: { schema: line } } },
      },
    });

  register("steps", "stepEnvironments", "Many steps, each on its state", [stepList, stepLine]);
  app.post("/v1/environments/:id/steps", async (c) => {
    const id = c.req.param("id");
    edge.createEnvironment(id, {});
    const list = parse(anyList, await c.req.json(), "the body");
    return streamed(
      list,
      async (one) => await stepOf(edge, id, parse(stepRequest, one, "the request")),
    );
  });

  register("scores", "scoreManyActions", "Many one-turn rewards", [scoreList, scoreLine]);
  app.post("/v1/environments/:id/scores", async (c) => {
    const id = c.req.param("id");
    edge.createEnvironment(id, {});
    const list = parse(anyList, await c.req.json(), "the body");
    return streamed(
      list,
      async (one) => await scoreOf(edge, id, parse(scoreRequest, one, "the request")),
    );
  });
}

/** `answer` to every entry of `list`, a line each. */
function streamed(list: readonly unknown[], answer: (one: unknown) => Promise<unknown>): Response {
  const encoder = new TextEncoder();
  let lines = "";
  let next = 0;
  let since = performance.now();
  /** When others had their turn; one for all that wait. */
  let turn: Promise<void> | null = null;
  /** Lets go of who waits for the reader. */
  let read = () => {};
  let out: ReadableStreamDefaultController<Uint8Array>;

  const gone = () => next === Infinity;
  const flush = () => {
    if (lines !== "" && !gone()) out.enqueue(encoder.encode(lines));
    lines = "";
  };
  const nextTurn = () =>
    turn ??= new Promise<void>((resume) => {
      flush();
      setImmediate(() => {
        turn = null;
        since = performance.now();
        resume();
      });
    });
  const reading = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = read;
    read = () => (before(), resolve());
    return promise;
  };

  async function work(): Promise<void> {
    while (true) {
      // Asked again on waking: others may have used up the turn, or filled what is to be read.
      while (!gone() && performance.now() - since >= SLICE_MS) await nextTurn();
      if (!gone() && out.desiredSize! <= 0) {
        await reading();
        continue;
      }
      if (next >= list.length) return;
      const index = next++;
      const told = await answer(list[index]).then(
        (result) => ({ index, result }),
        (error) => ({ index, error: toProblem(error) }),
      );
      lines += JSON.stringify(told) + "\n";
    }
  }

  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      out = controller;
      void Promise.all(Array.from({ length: ABREAST }, work)).then(() => {
        flush();
        if (!gone()) controller.close();
      });
    },
    pull() {
      const resume = read;
      read = () => {};
      resume();
    },
    cancel() {
      next = Infinity;
      read();
    },
  }, new ByteLengthQueuingStrategy({ highWaterMark: UNREAD }));
  return new Response(stream, { headers: { "content-type": NDJSON } });
}
