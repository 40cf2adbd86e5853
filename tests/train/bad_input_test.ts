/**
 * Mistakes of a person on the command line: one clear sentence, a non-zero exit, nothing lost.
 */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { finish } from "../support/process.ts";

const SMALL = ["--budget=8", "--set=rollout.episodes_per_batch=4", "--set=evaluation.episodes=2"];

const REMOTE = ["--edge=http://127.0.0.1:1", "--gpu=http://127.0.0.1:1", "--db=http://127.0.0.1:1"];

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
    ["a temperature that cannot be drawn with", /'rollout.temperature' with value 0: /, [
      "--set=rollout.temperature=0",
    ]],
    [
      "a temperature of evaluations that is too small",
      /'evaluation.temperature' with value 0.0001: expected 0 \(greedy\) or a number from 0.001 to/,
      ["--set=evaluation.temperature=0.0001"],
    ],
    ["an unknown device", /Cannot use --device 'gpu': expected one of cpu, webgpu, cuda, auto$/, [
      "--device=gpu",
    ]],
    [
      "a device beside a GPU node elsewhere",
      /Cannot train on --device cpu: the GPU node at 'http/,
      [
        ...REMOTE,
        "--device=cpu",
      ],
    ],
    ["threads beside it", /Cannot train on --threads 4: the GPU node at 'http.* with its own$/, [
      ...REMOTE,
      "--threads=4",
    ]],
    ["an edge that does not answer", /Cannot reach http:\/\/127\.0\.0\.1:1\/health: /, REMOTE],
    ["an edge that is no address", /Cannot use --edge 'edge:8000': expected an address/, [
      "--edge=edge:8000",
    ]],
    [
      "a budget that is no number",
      /Cannot use --budget 'many': expected a whole number of at least 1$/,
      ["--budget=many"],
    ],
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

/** Damages one file after the other of a finished run; each resume names the file. */
async function damagedFiles(run: string): Promise<void> {
  const manifest = Deno.readTextFileSync(join(run, "manifest.json"));
  const damages: [string, string | ((text: string) => string), RegExp][] = [
    ["config.json", "{}", /config\.json': 'environment' is missing$/],
    [
      "config.json",
      (text) => text.replace(/"seed": \d+/, '"seed": "x"'),
      /config\.json': 'seed' is/,
    ],
    ["manifest.json", "{}", /manifest\.json': 'iteration' is missing, expected/],
    ["manifest.json", manifest.slice(0, 40), /manifest\.json': it is not valid JSON$/],
    ["before.json", (text) => text.slice(0, 100), /before\.json': it is not valid JSON$/],
    ["before.json", "{}", /before\.json': 'played' is missing, expected a list$/],
    ["metrics.jsonl", "{\n", /metrics\.jsonl': line 1 holds no JSON object$/],
    ["metrics.jsonl", "", /metrics\.jsonl has 0 of 2 rows$/],
    ["timings.jsonl", "null\n", /timings\.jsonl': line 1 holds no JSON object$/],
  ];
  for (const [name, damage, sentence] of damages) {
    const path = join(run, name);
    const whole = Deno.readTextFileSync(path);
    writeFileSync(path, typeof damage === "string" ? damage : damage(whole));
    await refused(sentence, "train/main.ts", "--resume", run);
    writeFileSync(path, whole);
  }
  const team = join(run, "checkpoints", "final");
  for (
    const [text, sentence] of [["{", /not valid JSON/], ["{}", /'environment' is missing/]] as const
  ) {
    writeFileSync(join(team, "team.json"), text);
    await refused(sentence, "train/evaluate.ts", "--checkpoint", team);
  }
}

Deno.test("train refuses a run folder in use or damaged and leaves that run as it is", () =>
  inFolder(async (folder) => {
    const run = join(folder, "run");
    const first = await finish("train/main.ts", ...SMALL, `--out=${run}`);
    assert.equal(first.code, 0, first.stderr);
    const result = Deno.readTextFileSync(join(run, "result.json"));
    await refused(/it holds a run already/, "train/main.ts", ...SMALL, `--out=${run}`);
    assert.equal(Deno.readTextFileSync(join(run, "result.json")), result);

    await damagedFiles(run);
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

const succeeds = (name: string, ...args: string[]): Promise<boolean> =>
  new Deno.Command(name, { args, stdout: "null", stderr: "null" }).output()
    .then(({ success }) => success, () => false);
const mountDisk = (at: string) => succeeds("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", at);

/** Whether a small disk can be mounted here, which takes rights that not everyone has. */
async function canMount(): Promise<boolean> {
  const folder = await Deno.makeTempDir({ prefix: "collm-disk-" });
  const mounted = await mountDisk(folder) && await succeeds("umount", folder);
  await Deno.remove(folder);
  return mounted;
}

Deno.test({
  name: "train on a full disk says so and leaves no half checkpoint",
  ignore: !await canMount(),
  fn: () =>
    inFolder(async (folder) => {
      const disk = join(folder, "disk");
      mkdirSync(disk);
      assert.ok(await mountDisk(disk));
      try {
        await refused(
          /no space left on the device|disk is full/i,
          "train/main.ts",
          ...SMALL,
          `--out=${disk}/run`,
        );
        assert.equal(existsSync(join(disk, "run", "manifest.json")), false);
      } finally {
        await succeeds("umount", disk);
      }
    }),
});

Deno.test("train refuses an edge whose episodes are not on the database server", () =>
  inFolder(async (folder) => {
    const health = { status: "ok", version: "0.1.0", store: "file", evaluations: true };
    const edge = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, ({ url }) => {
      return new URL(url).pathname === "/health" ? Response.json(health) : new Response("no");
    });
    const run = join(folder, "run");
    const address = (path: string) => `--edge=http://127.0.0.1:${edge.addr.port}${path}`;
    const others = [...REMOTE.slice(1), `--out=${run}`];
    try {
      await refused(
        /Cannot train with edge '.*': its episodes are not on the database server of --db$/,
        "train/main.ts",
        address("/"),
        ...others,
      );
      await refused(/\/elsewhere\/health/, "train/main.ts", address("/elsewhere"), ...others);
      assert.equal(existsSync(run), false);
    } finally {
      await edge.shutdown();
    }
  }));

for (
  const [script, flag, sentence] of [
    ["train/evaluate.ts", "--batch=0", /Cannot use --batch '0': expected a whole number from 1/],
    ["train/evaluate.ts", "--seed=abc", /Cannot use --seed 'abc': expected a whole number from 0/],
    [
      "train/evaluate.ts",
      "--episodes=2.5",
      /Cannot use --episodes '2\.5': expected a whole number/,
    ],
    [
      "train/pretrain/main.ts",
      "--steps=0",
      /Cannot use --steps '0': expected a whole number from 1/,
    ],
    [
      "train/pretrain/main.ts",
      "--seed=-1",
      /Cannot use --seed '-1': expected a whole number from 0/,
    ],
  ] as const
) {
  Deno.test(`${script} refuses ${flag} in one sentence`, () =>
    inFolder((folder) =>
      refused(
        sentence,
        script,
        ...script === "train/evaluate.ts"
          ? ["--checkpoint=models/collm-tiny"]
          : [`--out=${join(folder, "policy")}`],
        flag,
      )
    ));
}

Deno.test("evaluate refuses what is no checkpoint, and truncated weights", () =>
  inFolder(async (folder) => {
    await refused(
      /holds neither team.json, config.json nor adapter_config.json/,
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

for (
  const [set, pattern] of [
    ["seed=3", /Cannot use --set 'seed=3': only options of the environment can be set here/],
    ["environment.turnz=3", /unknown option 'turnz', did you mean 'turns'/],
  ] as const
) {
  Deno.test(`evaluate refuses --set ${set}`, () =>
    refused(pattern, "train/evaluate.ts", "--checkpoint=models/collm-tiny", `--set=${set}`));
}
