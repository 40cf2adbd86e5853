/** Chat templates of a server: run beside it, for a bounded time, each for its own policy. */
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer } from "../../gpu-node/model/tokenizer.ts";
import { openChat } from "../../gpu-node/server/chat.ts";
import { CollmError } from "../../shared/errors.ts";
import { withServer } from "./served.ts";

const GOOD = "models/collm-tiny";
const messages = [{ role: "user", content: "ICML" }];
/** Some 10^12 turns. */
const ENDLESS =
  "{% for a in range(10000) %}{% for b in range(10000) %}{% for c in range(10000) %}" +
  "{% endfor %}{% endfor %}{% endfor %}";

async function withEndless(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    cpSync(GOOD, folder, { recursive: true });
    Deno.writeTextFileSync(join(folder, "chat_template.jinja"), ENDLESS);
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const refused = (code: string, why: RegExp) => (error: unknown) =>
  error instanceof CollmError && error.code === code && why.test(error.message);

Deno.test("a chat template that does not end is refused, and holds up nobody else", () =>
  withEndless((bad) =>
    withServer(async ({ call }) => {
      const ended: string[] = [];
      const chat = async (model: string) => {
        const answer = await call("POST", "/v1/chat/completions", {
          model,
          messages,
          max_tokens: 4,
        });
        ended.push(model);
        return answer;
      };
      const [refused, answered] = await Promise.all([chat("bad"), chat("good")]);
      assert.equal(refused.status, 400);
      assert.equal(
        refused.body.detail,
        "Cannot apply the chat template of policy 'bad': it ran for more than 2000 ms",
      );
      assert.equal(answered.status, 200, JSON.stringify(answered.body));
      assert.deepEqual(ended, ["good", "bad"]);
    }, { models: { bad, good: GOOD } })
  ));

Deno.test("openChat gives the tokens of applyChat, one conversation after another", async () => {
  const { applyChat } = await loadTokenizer(GOOD);
  const chat = openChat("p", GOOD);
  const other = [...messages, { role: "assistant", content: "1" }, ...messages];
  assert.deepEqual(
    await Promise.all([chat.apply(messages), chat.apply(other)]),
    [applyChat(messages), applyChat(other)],
  );
  await assert.rejects(chat.apply([null] as unknown as typeof messages), CollmError);
  assert.deepEqual(await chat.apply(messages), applyChat(messages));
  chat.close();
  await assert.rejects(chat.apply(messages), refused("not_found", /it was unloaded$/));
});

Deno.test("openChat starts again after a template that does not end, and refuses when closed", () =>
  withEndless(async (bad) => {
    const chat = openChat("p", bad, 50);
    for (const _ of "ab") {
      await assert.rejects(chat.apply(messages), refused("invalid_request", /more than 50 ms$/));
    }
    chat.close();
    const long = openChat("p", bad, 1e6);
    const waiting = [long.apply(messages), long.apply(messages)];
    const checks = waiting.map((w) => assert.rejects(w, refused("not_found", /unloaded$/)));
    await new Promise((resolve) => setTimeout(resolve));
    long.close();
    await Promise.all(checks);
    const gone = AbortSignal.abort(new CollmError("deadline", "Cannot wait"));
    await assert.rejects(openChat("p", bad).apply(messages, { signal: gone }), /Cannot wait/);
  }));
