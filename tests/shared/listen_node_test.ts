/** Answers over node:http: whole ones with their length, streams as they come, fields kept. */
import assert from "node:assert/strict";
import { listenNode } from "../../shared/wire/listen_node.ts";

const ANSWERS: Record<string, () => Response> = {
  "/json": () => Response.json({ text: "é\u2028" }, { status: 201, headers: { "x-of": "json" } }),
  "/problem": () =>
    new Response('{"status":404}', {
      status: 404,
      headers: { "content-type": "application/problem+json; charset=utf-8" },
    }),
  "/empty": () => new Response(null, { status: 204 }),
  "/text": () => new Response("text"),
  "/lines": () =>
    new Response(new Blob(["1\n", "2\n"]).stream(), {
      headers: { "content-type": "application/x-ndjson" },
    }),
};

Deno.test("listenNode sends what the handler answers, with its status and fields", async () => {
  const server = await listenNode(
    { host: "127.0.0.1", port: 0, token: undefined, mostMessage: 1000 },
    (request) => ANSWERS[new URL(request.url).pathname]!(),
  );
  try {
    for (const [path, answer] of Object.entries(ANSWERS)) {
      for (const method of ["POST", "GET", "HEAD"]) {
        const wanted = answer();
        const got = await fetch(server.url + path, {
          method,
          ...method === "POST" && { body: "x".repeat(100_000) },
        });
        assert.equal(got.status, wanted.status, `${method} ${path}`);
        for (const [name, value] of wanted.headers) assert.equal(got.headers.get(name), value);
        const text = await wanted.text();
        assert.equal(await got.text(), method === "HEAD" ? "" : text);
        if (method !== "HEAD" && /json$|problem$/.test(path)) {
          const { length } = new TextEncoder().encode(text);
          assert.equal(got.headers.get("content-length"), String(length));
        }
      }
    }
  } finally {
    await server.drain();
  }
});
