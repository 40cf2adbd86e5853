/** The learner's way to a database server that asks for a token. */
import assert from "node:assert/strict";
import { resolveConfig } from "../../train/config.ts";
import { openRoles } from "../../train/roles.ts";

Deno.test("openRoles gives the database server the token of COLLM_DB_TOKEN", async () => {
  const seen = new Set<string | null>();
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    ({ headers }) => {
      seen.add(headers.get("authorization"));
      return new Response("no", { status: 401 });
    },
  );
  const url = `http://127.0.0.1:${server.addr.port}`;
  const before = Deno.env.get("COLLM_DB_TOKEN");
  Deno.env.set("COLLM_DB_TOKEN", "of-the-database");
  try {
    const config = await resolveConfig();
    const remote = { edge: url, gpu: url, db: url, token: "of-the-edge" };
    await assert.rejects(openRoles(config, "run", "file:unused.db", remote), {
      code: "unauthorized",
    });
    assert.deepEqual([...seen], ["Bearer of-the-database"]);
  } finally {
    if (before === undefined) Deno.env.delete("COLLM_DB_TOKEN");
    else Deno.env.set("COLLM_DB_TOKEN", before);
    await server.shutdown();
  }
});
