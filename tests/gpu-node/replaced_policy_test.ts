/**
 * Policies that are replaced while requests for them wait, and uploads that are changed while they
 * are loaded: a request gets what it asked for, or is told why not.
 */
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { openScheduler } from "../../gpu-node/scheduler.ts";
import { uploadId } from "../../gpu-node/server/upload_id.ts";
import { type GatedNode, gatedNode } from "./gated_node.ts";
import { type Served, withServer } from "./served.ts";

const GOOD = "models/collm-tiny";

/** A server behind a gate, with `tiny` and `other`, whose tokenizer gives other tokens. */
async function replacing(
  test: (served: Served, node: GatedNode) => Promise<void>,
): Promise<void> {
  const other = await Deno.makeTempDir();
  cpSync(GOOD, other, { recursive: true });
  const file = join(other, "tokenizer.json");
  const json = JSON.parse(Deno.readTextFileSync(file));
  json.model.merges = json.model.merges.slice(0, 10);
  Deno.writeTextFileSync(file, JSON.stringify(json));
  const node = await gatedNode();
  try {
    await withServer((served) => test(served, node), {
      models: { tiny: GOOD, other },
      node: openScheduler(node),
    });
  } finally {
    await node.close();
    await Deno.remove(other, { recursive: true });
  }
}

const tick = () => new Promise((resolve) => setTimeout(resolve, 50));

Deno.test("a request that waits while another tokenizer takes its policy's place is refused", () =>
  replacing(async ({ call }, node) => {
    await call("POST", "/v1/policies", { policy: "p", source: "tiny" });
    for (const stop of [undefined, ["\n"]]) {
      node.shut();
      const busy = call("POST", "/v1/score", {
        policy: "tiny",
        sequences: [{ tokens: [5, 6], prompt_length: 1 }],
      });
      await tick();
      const source = stop ? "tiny" : "other";
      const load = call("POST", "/v1/policies", { policy: "p", source });
      await tick();
      const asked = { policy: "p", prompts: ["INTEGER"], max_tokens: 4, seed: 1, stop };
      const waiting = call("POST", "/v1/sample", asked);
      const { prompts, policy, ...rest } = asked;
      const completion = call("POST", "/v1/completions", {
        ...rest,
        model: policy,
        prompt: prompts,
        stream: true,
      });
      await tick();
      node.open();
      await busy;
      assert.equal((await load).status, 201);
      for (const { status, body } of await Promise.all([waiting, completion])) {
        assert.deepEqual([status, body.detail], [
          409,
          "Cannot sample policy 'p': another with another tokenizer took its place while the " +
          "request waited",
        ]);
      }
      assert.equal((await call("POST", "/v1/sample", asked)).status, 200);
    }
  }));

Deno.test("a chat goes on while its policy is loaded again from the same source", () =>
  replacing(async ({ call }) => {
    await call("POST", "/v1/policies", { policy: "p", source: "tiny" });
    const chat = call("POST", "/v1/chat/completions", {
      model: "p",
      messages: [{ role: "user", content: "INT" }],
      max_tokens: 4,
    });
    const load = await call("POST", "/v1/policies", { policy: "p", source: "tiny" });
    assert.equal(load.status, 201);
    const { status, body } = await chat;
    assert.equal(status, 200, JSON.stringify(body));
  }));

Deno.test("an upload whose load waits is neither changed nor deleted", () =>
  replacing(async ({ call, root }, node) => {
    const folder = join(root, "..", "folder");
    const names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
    for (const name of names) cpSync(join(GOOD, name), join(folder, name));
    const id = await uploadId(folder, names);
    Deno.mkdirSync(root, { recursive: true });
    Deno.renameSync(folder, join(root, id));
    node.shut();
    const busy = call("POST", "/v1/score", {
      policy: "tiny",
      sequences: [{ tokens: [5, 6], prompt_length: 1 }],
    });
    await tick();
    const load = call("POST", "/v1/policies", { policy: "p", source: id });
    const conflict = async (method: string, path: string, body?: unknown) => {
      const answer = await call(method, `/v1/checkpoints/${id}${path}`, body);
      assert.deepEqual([answer.status, answer.body?.detail?.endsWith("a policy comes from it")], [
        409,
        true,
      ]);
    };
    await tick();
    await conflict("PUT", "/files/model.safetensors", "other bytes");
    await conflict("DELETE", "");
    node.open();
    await busy;
    const { status, body } = await load;
    assert.equal(status, 201, JSON.stringify(body));
    await call("DELETE", "/v1/policies/p");
    assert.equal((await call("DELETE", `/v1/checkpoints/${id}`)).status, 204);
  }));
