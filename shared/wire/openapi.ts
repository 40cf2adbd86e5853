/**
 * What both servers share of their OpenAPI documents and of requests that no route takes: the
 * shape of a route's answers, and 404 or 405. Leaves out the routes and the messages.
 */
import { z } from "../../deps.ts";
import { CollmError } from "../errors.ts";
import { PROBLEM_TYPE, problemResponse, problemSchema } from "./problem.ts";

const json = <Schema extends z.ZodType>(schema: Schema) => ({
  "application/json": { schema },
});

/** Body of a route: JSON, always there. */
export const body = <Schema extends z.ZodType>(schema: Schema) => ({
  required: true as const,
  content: json(schema),
});

const problem = {
  description: "Problem document: what could not be done and why",
  content: { [PROBLEM_TYPE]: { schema: problemSchema } },
};

/** Answers of a route: one when it goes well, problem documents otherwise. */
export const answers = <Status extends 200 | 201 | 202, Schema extends z.ZodType>(
  status: Status,
  description: string,
  schema: Schema,
) => ({
  ...{ [status]: { description, content: json(schema) } } as {
    [_ in Status]: { description: string; content: ReturnType<typeof json<Schema>> };
  },
  "4XX": problem,
  "5XX": problem,
});

/**
 * A field that may be left out. It is `optional` to the document's writer, which does not know
 * `exactOptional`; JSON has no undefined that would tell them apart.
 */
export const maybe = <Schema extends z.ZodType>(schema: Schema): z.ZodExactOptional<Schema> =>
  schema.optional() as unknown as z.ZodExactOptional<Schema>;

interface Route {
  method: string;
  path: string;
}

/** Methods that a path has a route for; middleware, which is for all methods, does not count. */
function methodsOf(routes: readonly Route[], path: string): string[] {
  const parts = path.split("/");
  const found = routes.filter((route) => {
    const pattern = route.path.split("/");
    const rest = /\{\.\+\}$/.test(route.path);
    return route.method !== "ALL" &&
      (rest ? pattern.length <= parts.length : pattern.length === parts.length) &&
      pattern.every((part, at) => part.startsWith(":") ? parts[at] !== "" : part === parts[at]);
  });
  return [...new Set(found.map(({ method }) => method))];
}

/** The answer to a request that no route takes: 405 where another method would be taken. */
export function missingRoute(
  routes: readonly Route[],
  { method, path }: { method: string; path: string },
): Response {
  const short = path.slice(0, 100);
  const allow = methodsOf(routes, path).join(", ");
  if (allow === "") {
    return problemResponse(new CollmError("not_found", `Cannot find route ${method} ${short}`));
  }
  const answer = problemResponse(
    new CollmError("method_not_allowed", `Cannot ${method} ${short}: it takes ${allow}`),
  );
  answer.headers.set("allow", allow);
  return answer;
}
