/**
 * The main job as a newcomer runs it: the default `task train`, judged by its own JSON result.
 * Takes minutes: it trains for the whole default budget.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadTransformers } from "../../deps.ts";
import { evaluateCheckpoint } from "../../train/evaluate.ts";
import type { RunResult } from "../../train/report.ts";
import { finish } from "../support/process.ts";

/** IoU that the paper reports for its own CC agents on StrBuild (another model and prompt). */
const PAPER_IOU = 0.685;

Deno.test("task train makes the team better on words it never saw, by reading its prompts", async () => {
  const folder = await Deno.makeTempDir({ prefix: "collm-learns-" });
  const { code, stdout, stderr } = await finish(
    "train/main.ts",
    "--json",
    "--out",
    join(folder, "run"),
  );
  assert.equal(code, 0, stderr);
  const result = JSON.parse(stdout.trim().split("\n").at(-1)!) as RunResult;
  assert.equal(result.environment, "str_build");
  assert.equal(result.algorithm, "collm_cc");
  assert.ok(result.trained.n >= 64);
  assert.ok(result.difference.mean >= 1, `difference ${result.difference.mean}`);
  assert.ok(result.difference.ci95![0] > 0);
  assert.ok(result.trained.iou_mean! > PAPER_IOU, `IoU ${result.trained.iou_mean}`);
  // Learnt to read, not a pattern: above the best team that ignores its prompts, and lost when
  // every episode gets another word's prompt.
  const { blind_bound, swapped, trained } = result;
  assert.ok(trained.return_mean > blind_bound!, `${trained.return_mean} against ${blind_bound}`);
  assert.ok(trained.return_mean - swapped!.return_mean >= 0.5, `swapped ${swapped!.return_mean}`);
  for (const file of ["before_after.svg", "before_after.png", "curve.svg", "curve.png"]) {
    assert.ok(existsSync(join(folder, "run", file)), file);
  }

  // The checkpoint gives the same numbers again, whatever the batch size.
  const again = await evaluateCheckpoint({ checkpoint: result.checkpoint, batch: 7 });
  assert.equal(again.return_mean, trained.return_mean);
  assert.equal(again.iou_mean, trained.iou_mean);

  // The trained weights are a folder that Transformers.js loads and continues prompts with.
  const { pipeline } = await loadTransformers();
  const generate = await pipeline("text-generation", join(result.checkpoint, "agent_1"), {
    local_files_only: true,
    dtype: "fp32",
    device: "cpu",
  });
  const prompt = "t1 a1 0=#...# 1=#...# 2=##### 3=#...# 4=#...#\n";
  const [output] = await generate(prompt, { max_new_tokens: 24, do_sample: false });
  assert.match((output as { generated_text: string }).generated_text, /\/setblock 0 \d 0 \w+\n/);
  await generate.dispose();
  await Deno.remove(folder, { recursive: true });
});
