/**
 * Mistakes of a person on the command line: one clear sentence, a non-zero exit, nothing lost.
 */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { finish } from "../support/process.ts";

const SMALL = ["--budget=8", "--set=rollout.episodes_per_batch=4", "--set=evaluation.episodes=2"];

/** The command fails with exactly one line that matches. */
async function refused(pattern: RegExp, script: string, ...args: string[]): Promise<void> {
  const { code, stderr, stdout } = await finish(script, ...args);
  assert.equal(code, 1, `exit code ${code}: ${stdout}${stderr}`);
  const lines = stderr.trim().split("\n").filter((line) => line.startsWith("Error: "));
  assert.equal(lines.length, 1, stderr);
  assert.match(lines[0]!, pattern);
  assert.doesNotMatch(stderr, /\n\s+at /, "a stack trace was shown");
}

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "collm-bad-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A copy of the embedded policy whose weights end too early. */
function truncatedModel(folder: string): string {
  const model = join(folder, "model");
  cpSync("models/collm-tiny", model, { recursive: true });
  truncateSync(join(model, "model.safetensors"), 1_000_000);
  return model;
}

for (
  const [name, pattern, args] of [
    ["an unknown environment", /Unknown environment|Cannot find environment 'str_buid'/, [
      "--env=str_buid",
    ]],
    ["an unknown algorithm", /Unknown algorithm 'colm_cc': did you mean 'collm_cc'\?/, [
      "--algo=colm_cc",
    ]],
    [
      "a misspelt configuration key",
      /Unknown configuration key 'optimiser.learning_rate': did you mean 'optimizer.learning_rate'\?/,
      ["--set=optimiser.learning_rate=1"],
    ],
    ["a value of the wrong type", /'optimizer.learning_rate' with value "fast"/, [
      "--set=optimizer.learning_rate=fast",
    ]],
    ["a checkpoint that is no folder", /no-such-model/, ["--set=policy.source=/tmp/no-such-model"]],
    ["a folder that is no run", /Cannot resume '.*tests': it is not a run folder/, [
      "--resume=tests",
    ]],
    ["addresses that go together", /--edge, --gpu and --db go together/, [
      "--edge=http://127.0.0.1:1",
    ]],
    ["a budget that is no number", /Cannot read 'many' as a whole number/, ["--budget=many"]],
  ] as const
) {
  Deno.test(`train refuses ${name} in one sentence`, () =>
    inFolder(async (folder) => {
      const out = args[0].startsWith("--resume") ? [] : [`--out=${join(folder, "run")}`];
      await refused(pattern, "train/main.ts", ...args, ...out);
    }));
}

Deno.test("train refuses truncated weights, naming the file", () =>
  inFolder((folder) =>
    refused(
      /model\.safetensors/,
      "train/main.ts",
      `--set=policy.source=${truncatedModel(folder)}`,
      `--out=${join(folder, "run")}`,
    )
  ));

Deno.test("train refuses a run folder in use and leaves that run as it is", () =>
  inFolder(async (folder) => {
    const run = join(folder, "run");
    const first = await finish("train/main.ts", ...SMALL, `--out=${run}`);
    assert.equal(first.code, 0, first.stderr);
    const result = Deno.readTextFileSync(join(run, "result.json"));
    await refused(/it holds a run already/, "train/main.ts", ...SMALL, `--out=${run}`);
    assert.equal(Deno.readTextFileSync(join(run, "result.json")), result);

    writeFileSync(
      join(run, "episodes.db"),
      "this is no database, not even a short one\n".repeat(200),
    );
    await refused(/Cannot open database/, "train/main.ts", "--resume", run);
    assert.equal(Deno.readTextFileSync(join(run, "result.json")), result);
  }));

Deno.test("train and pretrain leave folders alone that hold other files", () =>
  inFolder(async (folder) => {
    const kept = join(folder, "precious.txt");
    writeFileSync(kept, "mine");
    await refused(/it holds other files/, "train/main.ts", ...SMALL, `--out=${folder}`);
    await refused(/it holds other files/, "train/pretrain/main.ts", "--steps=1", `--out=${folder}`);
    assert.equal(Deno.readTextFileSync(kept), "mine");
  }));

Deno.test("train on a full disk says so and leaves no half checkpoint", () =>
  inFolder(async (folder) => {
    const disk = join(folder, "disk");
    mkdirSync(disk);
    const mount = (...args: string[]) =>
      new Deno.Command(args[0]!, { args: args.slice(1) }).output();
    const mounted = await mount("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk)
      .then((o) => o.success, () => false);
    if (!mounted) {
      console.log("skipped: no right to mount a small disk");
      return;
    }
    try {
      await refused(
        /no space left on the device|disk is full/i,
        "train/main.ts",
        ...SMALL,
        `--out=${disk}/run`,
      );
      assert.equal(existsSync(join(disk, "run", "manifest.json")), false);
    } finally {
      await mount("umount", disk);
    }
  }));

Deno.test("evaluate refuses what is no checkpoint, and truncated weights", () =>
  inFolder(async (folder) => {
    await refused(
      /holds neither team.json nor config.json/,
      "train/evaluate.ts",
      "--checkpoint",
      "docs",
    );
    await refused(
      /model\.safetensors/,
      "train/evaluate.ts",
      "--checkpoint",
      truncatedModel(folder),
    );
    await refused(
      /no split 'evil'/,
      "train/evaluate.ts",
      "--checkpoint=models/collm-tiny",
      "--split=evil",
    );
  }));
