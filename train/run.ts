/**
 * One run from configuration to result: evaluate, learn batch by batch, evaluate again.
 * Everything that decides a number follows from the configuration, so a killed run that resumes
 * ends with the same numbers as one that was never killed. Clock times are kept apart from
 * metrics (timings.jsonl), which are the same on every repetition.
 */
import { basename, join } from "node:path";
import { itemsPerBatch } from "../shared/algorithms/budget.ts";
import { CollmError } from "../shared/errors.ts";
import { createRun, recordPolicyVersion } from "../shared/store/runs.ts";
import { blindBound, evaluate, type Evaluation, numbersOf, swappedReturn } from "./evaluation.ts";
import { learn } from "./learn.ts";
import { withReferenceKl } from "./reference.ts";
import { type ProgressLine, progressLine } from "./progress.ts";
import { type RunResult, writeCurve, writePictures } from "./report.ts";
import {
  loadModels,
  modelNames,
  openRoles,
  type Roles,
  unloadHelpers,
  type Where,
} from "./roles.ts";
import { rollOut, treeShape } from "./rollout.ts";
import { recordMetrics } from "./run_metrics.ts";
import type { Manifest, RunFolder } from "./run_folder.ts";
import { pairedDifference } from "./statistics.ts";
import { saveTeam } from "./team.ts";

/** A run ends after so many batches in a row without a single episode to learn from. */
const MOST_SKIPPED = 3;

export interface RunOutcome {
  result: RunResult;
  roles: Roles;
  files: string[];
}

/** Runs, or goes on with, the run in `folder`. The caller closes the outcome's roles. */
export async function run(
  folder: RunFolder,
  where?: Where,
  line: ProgressLine = progressLine(),
): Promise<RunOutcome> {
  const started = performance.now();
  const config = folder.config();
  const name = basename(folder.path);
  const roles = await openRoles(config, name, `file:${folder.file("episodes.db")}`, where);
  try {
    const saved = folder.manifest();
    await loadModels(
      roles,
      (model) => saved?.models[model] && folder.file(saved.models[model]),
    );
    await createRun(roles.store, {
      id: name,
      environment: config.environment.id,
      options: config.environment.options,
      config: config as unknown as Record<string, unknown>,
      agents: roles.environment.agents.map((agent) => ({
        name: agent,
        policy: roles.handle(agent),
      })),
    });
    const state = saved ?? {
      iteration: 0,
      joint_evaluations: 0,
      next_item: 0,
      cursor: 0,
      metrics_rows: 0,
      models: {},
    };
    folder.keepRows("metrics.jsonl", state.metrics_rows);
    const earlier = folder.rows<{ wall_s: number }>("timings.jsonl").at(-1)?.wall_s ?? 0;
    const wall = () => earlier + (performance.now() - started) / 1000;
    const before = await evaluateBase(roles, folder, name, saved, line);
    await train(roles, folder, name, state, wall, line);
    const after = await evaluateHere(roles, `${name}.after`, name, line);
    await recordMetrics(
      roles.store,
      name,
      state.joint_evaluations,
      numbersOf(after),
      "evaluation/",
    );
    if (roles.remote) await unloadHelpers(roles);
    const checkpoint = folder.file("checkpoints", "final");
    const result: RunResult = {
      run: name,
      environment: config.environment.id,
      algorithm: config.algorithm.id,
      seed: config.seed,
      joint_evaluations: state.joint_evaluations,
      wall_s: 0,
      base: numbersOf(before),
      trained: numbersOf(after),
      difference: pairOf(before, after),
      blind_bound: blindBound(roles.environment, after.played),
      swapped: await swapOf(roles, after),
      checkpoint,
    };
    line.done();
    const files = [
      ...await writePictures(folder, roles.environment, before, after),
      ...await writeCurve(folder, result),
    ];
    result.wall_s = wall();
    folder.writeJson("result.json", result);
    return { result, roles, files };
  } catch (error) {
    await roles.close();
    throw error;
  }
}

async function train(
  roles: Roles,
  folder: RunFolder,
  name: string,
  state: Manifest,
  wall: () => number,
  line: ProgressLine,
): Promise<void> {
  const { config } = roles;
  const budget = config.budget.joint_evaluations;
  const count = itemsPerBatch(config.rollout.episodes_per_batch, treeShape(roles));
  const begun = performance.now();
  const resumed = state.joint_evaluations;
  let versions = await recordVersions(roles, name, state.iteration);
  let [episodes, tokens] = [0, 0];
  let [failed, skipped] = [0, 0];
  let nextCheckpoint = state.joint_evaluations + config.checkpoint.every;
  while (state.joint_evaluations < budget) {
    const spent = state.joint_evaluations / budget;
    const rollout = await rollOut(roles, name, versions, {
      first: state.next_item,
      count,
      cursor: state.cursor,
      note: line.note,
    });
    failed += rollout.failed;
    state.next_item += count;
    state.cursor = rollout.cursor;
    if (rollout.batch.transcripts.length === 0) {
      line.note(`Skipped a batch: all of its ${rollout.failed} episodes failed`);
      if (++skipped < MOST_SKIPPED) continue;
      // A run that resumes goes on behind the items that failed.
      await checkpoint(roles, folder, name, state, `${state.joint_evaluations}-${state.next_item}`);
      throw new CollmError(
        "unavailable",
        `Cannot go on training run '${name}': all episodes of ${skipped} batches in a row failed, the last with '${rollout.cause}'`,
      );
    }
    const batch = await withReferenceKl(roles, rollout.batch);
    const statistics = await learn(roles, batch, { iteration: state.iteration, spent });
    const previous = state.joint_evaluations;
    state.iteration++;
    state.joint_evaluations += rollout.joint_evaluations;
    versions = await recordVersions(roles, name, state.iteration);
    const row = { failed_episodes: failed, skipped_batches: skipped, ...statistics };
    [failed, skipped] = [0, 0];
    appendRow(folder, state, { kind: "train", ...row });
    await recordMetrics(roles.store, name, state.joint_evaluations, row);
    const every = config.evaluation.every;
    const due = every > 0 &&
      Math.floor(previous / every) < Math.floor(state.joint_evaluations / every);
    if (due && state.joint_evaluations < budget) {
      const found = await evaluateHere(roles, `${name}.at.${state.joint_evaluations}`, name, line);
      const numbers = numbersOf(found);
      appendRow(folder, state, { kind: "evaluation", ...numbers });
      await recordMetrics(roles.store, name, state.joint_evaluations, numbers, "evaluation/");
    }
    episodes += rollout.batch.transcripts.length;
    tokens += rollout.tokens;
    folder.append("timings.jsonl", { iteration: state.iteration, wall_s: wall() });
    line.update({
      phase: "train",
      done: Math.min(state.joint_evaluations, budget),
      budget,
      resumed,
      seconds: (performance.now() - begun) / 1000,
      episodes,
      tokens,
      return_mean: statistics["return_mean"],
      value_loss: statistics["value_loss"],
    });
    const left = state.joint_evaluations < budget;
    if (config.checkpoint.every > 0 && left && state.joint_evaluations >= nextCheckpoint) {
      await checkpoint(roles, folder, name, state, `${state.joint_evaluations}`);
      nextCheckpoint = state.joint_evaluations + config.checkpoint.every;
    }
  }
  await checkpoint(roles, folder, name, state, "final");
}

async function checkpoint(
  roles: Roles,
  folder: RunFolder,
  run: string,
  state: Manifest,
  label: string,
) {
  const path = folder.file("checkpoints", label);
  const names = await saveTeam(roles, path, { state: true });
  state.models = Object.fromEntries(names.map((name) => [name, `checkpoints/${label}/${name}`]));
  folder.commit(state);
  await recordVersions(roles, run, state.iteration, (agent) => join(path, agent));
}

function appendRow(folder: RunFolder, state: Manifest, row: Record<string, unknown>): void {
  const { iteration, joint_evaluations } = state;
  folder.append("metrics.jsonl", { kind: row["kind"], iteration, joint_evaluations, ...row });
  state.metrics_rows++;
}

/**
 * Publishes the policies' present versions; on-policy, so no episode is open meanwhile.
 * @returns versions by agent
 */
async function recordVersions(
  roles: Roles,
  run_id: string,
  iteration: number,
  folder: (agent: string) => string | null = () => null,
) {
  const known = new Map((await roles.node.list()).map((p) => [p.policy, p.policy_version]));
  const versions: Record<string, string> = {};
  for (const agent of modelNames(roles).policies) {
    const policy = roles.handle(agent);
    const version = versions[agent] = known.get(policy)!;
    await recordPolicyVersion(roles.store, {
      ...{ run_id, policy, version, iteration, folder: folder(agent) },
    });
  }
  return versions;
}

function evaluateHere(
  roles: Roles,
  prefix: string,
  run: string,
  line: ProgressLine,
): Promise<Evaluation> {
  const { evaluation, rollout, seed } = roles.config;
  const begun = performance.now();
  const show = (done: number, tokens: number) =>
    line.update({
      ...{ phase: "evaluate", done, budget: evaluation.episodes, episodes: done, tokens },
      seconds: (performance.now() - begun) / 1000,
    });
  show(0, 0);
  const options = { ...evaluation, seed, max_tokens: rollout.max_tokens };
  // Hosts elsewhere serve the run's episodes; these are the learner's own to play.
  const owner = roles.remote ? null : run;
  return evaluate(roles, prefix, owner, options, roles.handle, show);
}

/** The evaluation before training: measured once, read back when a run resumes. */
async function evaluateBase(
  roles: Roles,
  folder: RunFolder,
  name: string,
  saved: Manifest | null,
  line: ProgressLine,
): Promise<Evaluation> {
  if (saved) return folder.before();
  const before = await evaluateHere(roles, `${name}.before`, name, line);
  await recordMetrics(roles.store, name, 0, numbersOf(before), "evaluation/");
  folder.writeJson("before.json", before);
  const { return_mean } = numbersOf(before);
  line.note(`Before training: return ${return_mean.toFixed(3)} on ${before.return.n} episodes`);
  return before;
}

function pairOf(before: Evaluation, after: Evaluation) {
  const base = new Map(before.played.map((p, i) => [`${p.item_id}.${i}`, p.return]));
  const pairs = after.played.flatMap((p, i) => {
    const old = base.get(`${p.item_id}.${i}`);
    return old === undefined ? [] : [[p.return, old] as const];
  });
  const { mean, ci95 } = pairedDifference(pairs.map((p) => p[0]), pairs.map((p) => p[1]));
  return { mean, ci95 };
}

async function swapOf(roles: Roles, after: Evaluation) {
  const return_mean = await swappedReturn(roles.environment, after.played);
  return return_mean === null ? null : { return_mean };
}
