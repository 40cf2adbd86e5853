/**
 * What the shipped policy promises wherever training starts from it: answers in the grammar of the
 * small environments, but seldom what was asked, so that there is something to learn.
 */
import assert from "node:assert/strict";
import { openWorkerNode } from "../../gpu-node/worker_client.ts";
import { loadTokenizer } from "../../gpu-node/model/tokenizer.ts";
import { mean } from "../../shared/algorithms/moments.ts";
import { closeCodingSandbox } from "../../shared/environments/coding/index.ts";
import { createEnvironment } from "../../shared/environments/registry.ts";
import { openStore } from "../../shared/store/connect.ts";
import { createEpisodes } from "../../shared/store/episodes.ts";
import { resolveConfig } from "../../train/config.ts";
import { evaluate, type Evaluation } from "../../train/evaluation.ts";

/** 64 held-out episodes as `task train --env ID` plays them before it trains. */
async function played(id: string): Promise<Evaluation> {
  const config = await resolveConfig({ flags: { environment: { id } } });
  const environment = createEnvironment(id, config.environment.options);
  const folder = await Deno.makeTempDir({ prefix: "collm-embedded-" });
  const store = await openStore(`file:${folder}/episodes.db`);
  const node = openWorkerNode();
  try {
    await node.load({ policy: "base", source: config.policy.source });
    return await evaluate(
      {
        ...{ environment, node },
        episodes: await createEpisodes(store, createEnvironment),
        tokenizer: await loadTokenizer(config.policy.source),
      },
      "embedded",
      null,
      { ...config.evaluation, seed: config.seed, max_tokens: config.rollout.max_tokens },
      () => "base",
    );
  } finally {
    await node.close();
    await store.close();
    await closeCodingSandbox();
    await Deno.remove(folder, { recursive: true });
  }
}

const meanOf = ({ played }: Evaluation, name: string): number =>
  mean(played.map(({ components }) => components[name]!));

Deno.test("collm-tiny writes lines that StrBuild accepts, and builds little of the word", async () => {
  const found = await played("str_build");
  const [accepted, rejected] = ["accepted_lines", "rejected_lines"].map((n) => meanOf(found, n));
  assert.ok(accepted! > 12 && rejected! < accepted! / 20, `${accepted}, ${rejected}`);
  assert.ok(found.return.mean > -0.2 && found.return.mean < 0.3, `${found.return.mean}`);
});

Deno.test("collm-tiny writes commands of HouseBuild, and builds little of the house", async () => {
  const found = await played("house_build");
  // Not all are accepted: another house's blocks cost more than this one's agents may spend.
  const lines = found.played.flatMap(({ actions }) =>
    actions.flatMap((action) => Object.values(action).flatMap((text) => text.trim().split("\n")))
  );
  const commands = lines.filter((line) => /^\/(?:kill|fill(?: \d){6} [a-z_]+)$/.test(line));
  assert.ok(commands.length > 0.95 * lines.length, `${commands.length} of ${lines.length}`);
  assert.ok(lines.length > 8 * found.played.length, `${lines.length}`);
  assert.ok(found.return.mean > 0.1 && found.return.mean < 0.35, `${found.return.mean}`);
});

Deno.test("collm-tiny writes expressions, and solves few of the small coding tasks", async () => {
  const found = await played("humaneval");
  assert.ok(meanOf(found, "syntax") > 0.35, `${meanOf(found, "syntax")}`);
  assert.ok(meanOf(found, "pass_rate") < 0.35, `${meanOf(found, "pass_rate")}`);
});

Deno.test("collm-tiny writes words after posts, seldom of the lengths that are rewarded", async () => {
  const found = await played("tldr");
  assert.ok(found.return.mean < 1, `${found.return.mean}`);
  assert.ok(meanOf(found, "num_transition_words") > 0);
});
