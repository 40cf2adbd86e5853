/**
 * The whole walk as separate processes: database server, GPU node, edge without a disk, two agent
 * hosts and the learner. One host is killed in the middle and started again.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { createEnvironment } from "../../shared/environments/registry.ts";
import { openStore } from "../../shared/store/connect.ts";
import { createEpisodes } from "../../shared/store/episodes.ts";
import { listPolicyVersions } from "../../shared/store/runs.ts";
import { callJson } from "../../shared/wire/call.ts";
import { runConfig } from "../../train/config_schema.ts";
import { finish, until } from "../support/process.ts";
import { type ServerProcess, startProcess } from "../support/server_process.ts";
import { sqldBinary, startSqld } from "../support/sqld.ts";

const RUN = "walk";
const BUDGET = 96;
const BATCH = 32;
const HANDLES = [`${RUN}.agent_1`, `${RUN}.agent_2`];
const { max_tokens, temperature } = runConfig.parse({}).rollout;

Deno.test({
  name: "deno task train over edge, GPU node, database server and hosts counts every episode once",
  ignore: sqldBinary() === null,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "collm-walk-" });
    const sqld = await startSqld();
    const store = await openStore(sqld.url);
    const running: ServerProcess[] = [];
    const start = async (...args: Parameters<typeof startProcess>) => {
      const one = await startProcess(...args);
      running.push(one);
      return one;
    };
    try {
      const episodes = await createEpisodes(store, createEnvironment);
      const gpu = await start("gpu-node/main.ts", [
        ...["--port", "0", "--model", "base=models/collm-tiny"],
      ]);
      const edge = await start("routes/main.ts", ["--port", "0", "--db", sqld.url], {
        permissions: ["--allow-net", "--allow-env"],
      });
      const host = (agent: string) =>
        start("agents/main.ts", [
          ...["--agent", agent, "--edge", edge.url, "--gpu", gpu.url, "--run", RUN],
        ]);
      const [first] = [await host("agent_1"), await host("agent_2")];

      const learner = finish(
        "train/main.ts",
        ...["--edge", edge.url, "--gpu", gpu.url, "--db", sqld.url, "--json"],
        ...["--out", join(folder, RUN), "--budget", String(BUDGET)],
        ...["--set", `rollout.episodes_per_batch=${BATCH}`, "--set", "evaluation.episodes=4"],
        ...["--set", "evaluation.every=0"],
      );
      let code: number | undefined;
      learner.then((ended) => code = ended.code);
      await until("the first batch", async () => {
        return code !== undefined || (await episodes.completions(RUN, 0, 1000)).length > 0;
      });
      assert.equal(await first.end("SIGKILL"), 137);
      running.splice(running.indexOf(first), 1);
      await host("agent_1");

      const { stdout, stderr } = await learner;
      assert.equal(code, 0, stderr);
      const result = JSON.parse(stdout.trim().split("\n").at(-1)!);
      assert.deepEqual([result.run, result.joint_evaluations], [RUN, BUDGET]);
      assert.deepEqual([result.base.n, result.trained.n], [4, 4]);

      const log = await episodes.completions(RUN, 0, 1000);
      const ids = log.map(({ episode_id }) => episode_id);
      assert.equal(new Set(ids).size, BUDGET);
      assert.equal(ids.length, BUDGET);
      assert.ok(log.every(({ status, purpose }) => status === "finished" && purpose === "train"));
      const versions = await listPolicyVersions(store, RUN);
      // Handles of this run alone, and the checkpoint of the last version.
      assert.deepEqual([...new Set(versions.map(({ policy }) => policy))], HANDLES);
      assert.deepEqual(
        versions.filter((one) => one.folder !== null).map((one) => one.folder),
        ["agent_1", "agent_2"].map((agent) => join(result.checkpoint, agent)),
      );
      // deno-lint-ignore no-explicit-any -- any answer
      const get = (url: string): Promise<any> => callJson("GET", url, undefined, {});
      const loaded: { policy: string }[] = (await get(`${gpu.url}/v1/policies`)).policies;
      assert.deepEqual(loaded.map(({ policy }) => policy), ["base", ...HANDLES]);

      const { metrics } = await get(`${edge.url}/v1/runs/${RUN}/metrics`);
      const curve = (name: string) =>
        metrics.filter((one: { name: string }) => one.name === name)
          .map(({ step, value }: { step: number; value: number }) => [step, value]);
      assert.deepEqual(curve("evaluation/return_mean"), [
        [0, result.base.return_mean],
        [BUDGET, result.trained.return_mean],
      ]);
      const rows = Deno.readTextFileSync(join(folder, RUN, "metrics.jsonl")).trim().split("\n")
        .map((row) => JSON.parse(row));
      assert.equal(rows.length, BUDGET / BATCH);
      for (const name of ["return_mean", "value_loss", "failed_episodes", "agent_1_loss"]) {
        assert.deepEqual(curve(name), rows.map((row) => [row.joint_evaluations, row[name]]), name);
      }
      const iterationOf = new Map(versions.map((one) => [one.version, one.iteration]));
      for (const { id, turns } of await episodes.transcripts(ids)) {
        const batch = Math.floor(Number(id.split(".")[1]) / BATCH);
        for (const { action } of turns.flatMap(({ agents }) => Object.values(agents))) {
          assert.equal(iterationOf.get(action!.policy_version!), batch, `${id} is on-policy`);
          assert.deepEqual(action!.sampling, { max_tokens, temperature });
        }
      }
    } finally {
      const codes = await Promise.all(running.map((one) => one.end()));
      await store.close();
      await sqld.stop();
      await Deno.remove(folder, { recursive: true });
      assert.ok(codes.every((code) => code === 0), running.map((one) => one.stderr).join(" "));
    }
  },
});
