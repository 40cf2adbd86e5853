/** `--data` of the commands: a run trains on a file and finds it again, an edge serves by name. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { callJson } from "../../../shared/wire/call.ts";
import { REPOSITORY } from "../../support/data.ts";
import { finish } from "../../support/process.ts";
import { startProcess } from "../../support/server_process.ts";

const POSTS = Array.from({ length: 40 }, (_, i) => `I planted ${i} trees and none grew. Why?`);

async function withPosts(body: (folder: string, file: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "collm-posts-" });
  const file = join(folder, "posts.jsonl");
  writeFileSync(file, POSTS.map((post) => JSON.stringify({ post })).join("\n"));
  try {
    await body(folder, file);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("deno task train --data trains on a file, and its checkpoint is evaluated on it", () =>
  withPosts(async (folder, file) => {
    const out = join(folder, "run");
    const small = ["--budget=4", "--set=rollout.episodes_per_batch=4"];
    const quick = ["--set=evaluation.episodes=2", "--set=rollout.max_tokens=8"];
    const trained = await finish(
      "train/main.ts",
      ...["--env=tldr", `--data=${relative(REPOSITORY, file)}`, `--out=${out}`, "--json"],
      ...[...small, ...quick],
    );
    assert.equal(trained.code, 0, trained.stderr);
    const { environment } = JSON.parse(Deno.readTextFileSync(join(out, "config.json")));
    assert.deepEqual(environment.options, {
      agents: 2,
      prompt_style: "compact",
      data: file,
      train_split: null,
      eval_split: null,
      compat: "fixed",
    });
    const checkpoint = `--checkpoint=${join(out, "checkpoints", "final")}`;
    const played = await finish("train/evaluate.ts", checkpoint, "--episodes=2", "--json");
    assert.equal(played.code, 0, played.stderr);
    const numbers = JSON.parse(played.stdout.trim().split("\n").at(-1)!);
    assert.deepEqual([numbers.environment, numbers.n], ["tldr", 2]);
    assert.deepEqual(numbers.return_mean, JSON.parse(trained.stdout).trained.return_mean);
    await Deno.remove(file);
    const lost = await finish("train/evaluate.ts", checkpoint, "--episodes=2");
    assert.match(lost.stderr, /^Error: Cannot load data set '.*posts\.jsonl': /m);
  }));

Deno.test("deno task train --data refuses files that are not there and environments without", () =>
  withPosts(async (folder, file) => {
    const refused = async (message: RegExp, ...args: string[]) => {
      const { code, stderr } = await finish("train/main.ts", "--dry-run", ...args);
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /\n\s+at /, "a stack trace was shown");
    };
    await refused(/^Error: Cannot load data set/m, "--env=tldr", `--data=${folder}/none.jsonl`);
    await refused(/unknown option 'data'/, "--env=str_build", `--data=${file}`);
    await refused(/with --data/, "--resume=tests", `--data=${file}`);
  }));

Deno.test("deno task serve --data lets requests choose a data set by name and reads no other", () =>
  withPosts(async (folder, file) => {
    const db = `--db=file:${join(folder, "edge.db")}`;
    const edge = await startProcess("routes/main.ts", ["--port=0", db, "--data", `trees=${file}`]);
    try {
      const reset = (data: string) => {
        const body = { task: "tldr_all_000007", options: { data } };
        const url = `${edge.url}/v1/environments/tldr/reset`;
        // deno-lint-ignore no-explicit-any -- any answer
        return callJson("POST", url, body, {}) as Promise<any>;
      };
      const { observations } = await reset("trees");
      assert.ok(observations.agent_1.text.includes(POSTS[7]!));
      for (const data of [file, "/etc/passwd", "hf:owner/posts", "builtin"]) {
        await assert.rejects(reset(data), { code: "not_found" }, data);
      }
      const url = `${edge.url}/v1/environments/arxiv/score`;
      const actions = { agent_1: "a ".repeat(128), agent_2: "a ".repeat(128) };
      // deno-lint-ignore no-explicit-any -- any answer
      const { rewards, components }: any = await callJson("POST", url, {
        task: { abstract: "Trees grow." },
        ...{ actions, options: { compat: "reference" } },
      }, {});
      assert.equal(rewards.agent_1, 0.5 + (1 - 0.8) / 0.5 + 0.5 + 0.6);
      // The published log pays a ratio of 1 in full, and sees no words but stopwords.
      assert.deepEqual([components.level2_reward, components.level3_reward], [1, 0]);
    } finally {
      assert.equal(await edge.end(), 0);
    }
  }));

Deno.test("deno task serve --data refuses one name for two sources", () =>
  withPosts(async (folder, file) => {
    const other = join(folder, "others.jsonl");
    await Deno.copyFile(file, other);
    const { code, stderr } = await finish(
      "routes/main.ts",
      ...["--port=0", `--db=file:${join(folder, "edge.db")}`],
      ...["--data", `a=${file}`, "--data", `a=${file}`, "--data", `a=${other}`],
    );
    assert.equal(code, 1);
    const reason = `Cannot load data set '${other}' as 'a': the name is that of '${file}'`;
    assert.equal(stderr.trim(), `Error: ${reason}`);
  }));
