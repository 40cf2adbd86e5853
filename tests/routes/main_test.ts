/**
 * `deno task serve` as a process: without a disk on a libSQL server, tokens, refusals, draining.
 */
import assert from "node:assert/strict";
import { callJson } from "../../shared/wire/call.ts";
import { finish } from "../support/process.ts";
import { startProcess } from "../support/server_process.ts";
import { sqldBinary, startSqld } from "../support/sqld.ts";

const SCRIPT = "routes/main.ts";

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "collm-serve-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test({
  name: "deno task serve needs network and environment access alone with a remote database",
  ignore: sqldBinary() === null,
  async fn() {
    const server = await startSqld();
    const options = {
      permissions: ["--allow-net", "--allow-env"],
      env: { COLLM_SECRET: "the same on every replica", COLLM_TOKEN: "t" },
    };
    const start = () => startProcess(SCRIPT, ["--port", "0", "--db", server.url], options);
    const edges = [await start(), await start()];
    try {
      const call = (at: number, path: string, body?: unknown, token = "t") =>
        // deno-lint-ignore no-explicit-any -- any answer
        callJson(body ? "POST" : "GET", edges[at]!.url + path, body, { token }) as Promise<any>;
      assert.deepEqual(await call(0, "/health"), {
        ...{ status: "ok", version: "0.1.0", store: "remote", evaluations: false },
      });
      const start = { task: { word: "A" }, options: { turns: 1, prompt_style: "compact" } };
      const { state } = await call(0, "/v1/environments/str_build/reset", start);
      const actions = { agent_1: "", agent_2: "" };
      const { rewards } = await call(1, "/v1/environments/str_build/step", { state, actions });
      assert.deepEqual(Object.keys(rewards), ["agent_1", "agent_2"]);

      const environment = "str_build";
      const { id, tokens } = await call(0, "/v1/episodes", { environment, ...start });
      for (const [at, agent] of ["agent_1", "agent_2"].entries()) {
        const path = `/v1/episodes/${id}/actions/${agent}`;
        await call(at, path, { turn: 1, text: "" }, tokens[agent]);
      }
      assert.equal((await call(1, `/v1/episodes/${id}`)).status, "finished");
      await assert.rejects(call(0, "/v1/evaluations", { checkpoint: "x", environment }), {
        code: "unavailable",
        message: "Cannot evaluate checkpoint 'x': this edge runs without a disk to read it from",
      });
    } finally {
      const codes = [await edges[0]!.end("SIGTERM"), await edges[1]!.end("SIGINT")];
      await server.stop();
      assert.deepEqual(codes, [0, 0]);
    }
    assert.deepEqual(edges.flatMap(({ stderr }) => stderr), []);
  },
});

Deno.test({
  name: "deno task serve without a secret says what it means for other edges on its database",
  ignore: sqldBinary() === null,
  async fn() {
    const server = await startSqld();
    const told = async (db: string, token: string) => {
      const edge = await startProcess(SCRIPT, ["--port", "0", "--db", db], {
        env: { COLLM_TOKEN: token },
      });
      assert.equal(await edge.end(), 0);
      return edge.stderr;
    };
    try {
      await inFolder(async (folder) => {
        const here =
          "COLLM_SECRET is not set: signed states and agent tokens hold until this process ends";
        const replicas =
          ", and other edges on this database refuse them: give all the same COLLM_SECRET";
        assert.deepEqual(await told(server.url, ""), [here + replicas]);
        assert.deepEqual(await told(server.url, "t"), [here + replicas]);
        assert.deepEqual(await told(`file:${folder}/edge.db`, "t"), [here]);
        assert.deepEqual(await told(`file:${folder}/edge.db`, ""), []);
      });
    } finally {
      await server.stop();
    }
  },
});

Deno.test("deno task serve keeps its episodes in a file, which a second edge cannot open", async () => {
  await inFolder(async (folder) => {
    const db = `file:${folder}/edge.db`;
    const edge = await startProcess(SCRIPT, ["--port", "0", "--db", db]);
    const episode = { id: "e1", environment: "str_build", task: "str_build_eval_001" };
    await callJson("POST", `${edge.url}/v1/episodes`, episode, {});
    const second = await finish(SCRIPT, "--port", "0", "--db", db);
    assert.equal(second.code, 1);
    assert.equal(
      second.stderr.trim(),
      `Error: Cannot open database '${db}': another process owns it`,
    );
    const { port } = new URL(edge.url);
    const third = await finish(SCRIPT, "--port", port, "--db", `file:${folder}/other.db`);
    assert.equal(third.code, 1);
    assert.equal(
      third.stderr.trim(),
      `Error: Cannot listen on 127.0.0.1:${port}: the port is in use`,
    );
    assert.equal(await edge.end(), 0);
    const again = await startProcess(SCRIPT, ["--port", "0", "--db", db]);
    const { status } = await callJson("GET", `${again.url}/v1/episodes/e1`, undefined, {}) as {
      status: string;
    };
    assert.equal(status, "running");
    assert.equal(await again.end("SIGINT"), 0);
  });
});

Deno.test("deno task serve refuses wrong flags with one sentence", async () => {
  await inFolder(async (folder) => {
    const db = `file:${folder}/edge.db`;
    const refusals: [string[], string][] = [
      [
        ["--host", "0.0.0.0", "--db", db],
        "Error: Cannot listen on '0.0.0.0' without a token: other machines can reach this " +
        "address, set COLLM_TOKEN",
      ],
      [
        ["--port", "80000"],
        "Error: Cannot use --port '80000': expected a whole number from 0 to 65535",
      ],
      [
        ["--port", "0", "--db", "postgres://x"],
        "Error: Cannot open database 'postgres://x': its address must start with file: or http:, " +
        "https:, ws:, wss:, libsql:",
      ],
      [["--prot", "1"], "error: unknown option '--prot'\n(Did you mean --port?)"],
    ];
    for (const [args, sentence] of refusals) {
      const { code, stderr, stdout } = await finish(SCRIPT, ...args);
      assert.deepEqual([code, stderr.trim(), stdout], [1, sentence, ""]);
    }
    const { code, stdout } = await finish(SCRIPT, "--help");
    assert.equal(code, 0);
    assert.match(stdout, /--port <n>/);
  });
});
