/** The verbs over HTTP, and the policies that are loaded. Leaves out what they do (verbs.ts). */
import { z } from "../../deps.ts";
import { name, policyList } from "../../shared/wire/gpu.ts";
import { answers, body } from "../../shared/wire/openapi.ts";
import { readBody } from "../../shared/wire/parse.ts";
import type { GpuHono, GpuServer } from "./server.ts";
import { type ServedVerb, type VerbName, VERBS } from "./verbs.ts";

export function verbRoutes(app: GpuHono, { policies }: GpuServer): void {
  for (const verb of Object.keys(VERBS) as VerbName[]) {
    const { path, status, summary, request, answer, run } = VERBS[verb] as ServedVerb<z.ZodType>;
    app.openAPIRegistry.registerPath({
      method: "post",
      path,
      operationId: verb,
      summary,
      tags: ["verbs"],
      request: { body: body(request) },
      responses: answers(status, "Done", answer),
    });
    app.post(path, async (c) => {
      const message = await readBody(c.req, request, `${verb} request`);
      const { signal } = c.var.wait;
      return c.json(await run(policies, message, { signal }) as object, status);
    });
  }

  app.openAPIRegistry.registerPath({
    method: "get",
    path: "/v1/policies",
    operationId: "listPolicies",
    summary: "Loaded policies, and of each whether it can learn",
    tags: ["verbs"],
    responses: answers(200, "Policies", policyList),
  });
  app.get("/v1/policies", async (c) => c.json({ policies: await policies.list() }));

  app.openAPIRegistry.registerPath({
    method: "delete",
    path: "/v1/policies/{id}",
    operationId: "unload",
    summary: "Forget a policy",
    tags: ["verbs"],
    request: { params: z.object({ id: name }) },
    responses: { 204: { description: "Done" } },
  });
  app.delete("/v1/policies/:id", async (c) => {
    await policies.unload(c.req.param("id"), c.var.wait);
    return c.body(null, 204);
  });
}
