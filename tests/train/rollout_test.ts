/**
 * Batches of training episodes: splits that end and begin again, and, where hosts elsewhere act,
 * deadlines, notes, batches that fail as a whole, handles of a run's own.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { CollmError } from "../../shared/errors.ts";
import { openStore } from "../../shared/store/connect.ts";
import { createEpisodes } from "../../shared/store/episodes.ts";
import { createEnvironment } from "../../shared/environments/registry.ts";
import { createRun, getRun, listPolicyVersions } from "../../shared/store/runs.ts";
import { resolveConfig } from "../../train/config.ts";
import type { Progress } from "../../train/progress.ts";
import { actForAll, loadModels, openRoles, type Roles, sharedHandles } from "../../train/roles.ts";
import { rollOut } from "../../train/rollout.ts";
import { run } from "../../train/run.ts";
import { RunFolder } from "../../train/run_folder.ts";
import { until } from "../support/process.ts";
import { startProcess } from "../support/server_process.ts";

const SMALL = ["rollout.episodes_per_batch=4", "evaluation.episodes=2", "rollout.max_tokens=8"];

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "collm-rollout-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Roles in this process with their policies loaded; nobody acts by himself. */
async function withRoles(sets: string[], body: (roles: Roles) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    const config = await resolveConfig({ sets: [...SMALL, ...sets] });
    const roles = await openRoles(config, "r", `file:${join(folder, "episodes.db")}`);
    try {
      await loadModels(roles, () => undefined);
      for (const id of ["r", "s"]) {
        const { id: environment, options } = config.environment;
        await createRun(roles.store, { id, environment, options, config: {}, agents: [] });
      }
      await body(roles);
    } finally {
      await roles.close();
    }
  });
}

/** A progress line that keeps what it is told. */
function keeper() {
  const [notes, updates]: [string[], Progress[]] = [[], []];
  const line = {
    note: (text: string) => void notes.push(text),
    update: (progress: Progress) => void updates.push(progress),
    done: () => {},
  };
  return { notes, updates, line };
}

Deno.test("rollOut begins a finite split again at its end, with seeds of their own", async () => {
  await withRoles(["environment.split=paper"], async (roles) => {
    const { batch } = await rollOut(roles, "r", {}, {
      ...{ first: 8, count: 4, cursor: 0 },
      note: assert.fail,
    });
    assert.deepEqual(
      batch.transcripts.map(({ episode, item, group }) => [episode, item, group]),
      [["r.8.0", "str_build_0009", 0], ["r.9.0", "str_build_0010", 1]].concat(
        [["r.10.0", "str_build_0001", 2], ["r.11.0", "str_build_0002", 3]],
      ),
    );
    const again = await rollOut(roles, "s", {}, {
      ...{ first: 0, count: 1, cursor: 0 },
      note: assert.fail,
    });
    const [a, b] = [batch.transcripts[2]!, again.batch.transcripts[0]!];
    assert.equal(a.turns[0]!.acts[0]!.prompt_text, b.turns[0]!.acts[0]!.prompt_text);
    assert.notDeepEqual(a.turns[0]!.acts[0]!.response, b.turns[0]!.acts[0]!.response);
  });
});

Deno.test("rollOut leaves out and counts episodes whose hosts are lost, and says who is awaited", async () => {
  await withRoles(["rollout.deadline_s=600"], async (local) => {
    const { notes, line } = keeper();
    const rolling = rollOut({ ...local, remote: true }, "r", {}, {
      ...{ first: 0, count: 4, cursor: 0 },
      ...{ note: line.note, note_ms: 100 },
    });
    const both = ["r.1.0", "r.3.0"];
    await until("the episodes", async () => {
      return (await local.episodes.pending("agent_1", null, 10)).length === 4;
    }, 10);
    const sampling = { max_tokens: 8, temperature: 1 };
    await actForAll(local, both, sampling);
    const awaited = "Waiting for 2 of 4 episodes: agent_1 has 2 to act on, agent_2 has 2 to act on";
    await until("the note of who is awaited", () => notes.includes(awaited), 60);
    // The deadline passes for the others: nobody waits for it by the clock.
    await local.episodes.failExpired(Date.now() + 3_600_000);
    const { batch, failed, cause, joint_evaluations } = await rolling;
    assert.deepEqual(batch.transcripts.map(({ episode, group }) => [episode, group]), [
      ["r.1.0", 1],
      ["r.3.0", 3],
    ]);
    assert.deepEqual([failed, joint_evaluations], [2, 2]);
    assert.match(cause!, /^Deadline passed on turn 1 without an action of agent 'agent_1'/);
  });
});

Deno.test("run ends with one sentence when no host ever acts, and goes on behind what failed", async () => {
  await inFolder(async (folder) => {
    const sets = [...SMALL, "rollout.deadline_s=0.3"];
    const config = await resolveConfig({ sets });
    const runFolder = RunFolder.create(join(folder, "lonely"), config);
    const db = `file:${join(folder, "store.db")}`;
    const gpu = await startProcess("gpu-node/main.ts", [
      ...["--port", "0", "--model", "base=models/collm-tiny"],
    ]);
    try {
      for (const next of [12, 24]) {
        const { notes, line } = keeper();
        const remote = { edge: "http://127.0.0.1:1", gpu: gpu.url, db };
        await assert.rejects(run(runFolder, remote, line), (error) => {
          assert.ok(error instanceof CollmError, String(error));
          assert.match(
            error.message,
            /^Cannot go on training run 'lonely': all episodes of 3 batches in a row failed, the last with 'Deadline passed on turn 1 without an action of agent 'agent_1', 'agent_2''$/,
          );
          return true;
        });
        const said = notes.filter((note) => note.startsWith("Skipped"));
        assert.deepEqual(said, Array(3).fill("Skipped a batch: all of its 4 episodes failed"));
        const { next_item, joint_evaluations, iteration } = runFolder.manifest()!;
        assert.deepEqual([next_item, joint_evaluations, iteration], [next, 0, 0]);
      }
      const store = await openStore(db);
      try {
        const { agents } = await getRun(store, "lonely");
        assert.deepEqual(agents, [
          { name: "agent_1", policy: "lonely.agent_1" },
          { name: "agent_2", policy: "lonely.agent_2" },
        ]);
        const [version] = await listPolicyVersions(store, "lonely");
        assert.equal(version!.folder, runFolder.file("checkpoints", "0-12", "agent_1"));
        const episodes = await createEpisodes(store, createEnvironment);
        assert.equal((await episodes.completions("lonely", 0, 100)).length, 24);
      } finally {
        await store.close();
      }
    } finally {
      await gpu.end();
    }
  });
});

Deno.test("run shows its evaluations and trains on a finite split to the end", async () => {
  await inFolder(async (folder) => {
    const sets = [...SMALL, "environment.split=paper", "budget.joint_evaluations=12"];
    const config = await resolveConfig({ sets: [...sets, "evaluation.every=0"] });
    const { updates, line } = keeper();
    const { result, roles } = await run(
      RunFolder.create(join(folder, "paper"), config),
      undefined,
      line,
    );
    await roles.close();
    assert.equal(result.joint_evaluations, 12);
    const evaluations = updates.filter(({ phase }) => phase === "evaluate");
    assert.deepEqual(evaluations.map(({ done, budget }) => [done, budget]), [
      ...[[0, 2], [2, 2]],
      ...[[0, 2], [2, 2]],
    ]);
    assert.ok(evaluations[1]!.tokens > 0);
    assert.equal(updates.filter(({ phase }) => phase === "train").length, 3);
  });
});

Deno.test("sharedHandles keeps runs apart and fits any run name", () => {
  assert.equal(sharedHandles("first")("critic-joint"), "first.critic-joint");
  const odd = ["a b", "é", "-x", "x".repeat(61), "a/b"].map((name) =>
    sharedHandles(name)("agent_1")
  );
  for (const handle of odd) assert.match(handle, /^run-[0-9a-f]{16}\.agent_1$/);
  assert.equal(new Set(odd).size, odd.length);
});
