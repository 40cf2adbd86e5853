/** Configuration of a run: precedence of its sources, defaults, and every refusal. */
import assert from "node:assert/strict";
import { resolve } from "node:path";
import { CollmError } from "../../shared/errors.ts";
import { type ConfigSources, describeConfig, resolveConfig } from "../../train/config.ts";
import { withoutComments } from "../../train/config_file.ts";
import { learningRateFactor } from "../../train/schedule.ts";

async function withFile<T>(text: string, use: (path: string) => Promise<T>): Promise<T> {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(path, text);
    return await use(path);
  } finally {
    await Deno.remove(path);
  }
}

async function refusal(sources: ConfigSources): Promise<string> {
  try {
    await resolveConfig(sources);
  } catch (error) {
    assert.ok(error instanceof CollmError, String(error));
    return error.message;
  }
  assert.fail(`accepted ${JSON.stringify(sources)}`);
}

Deno.test("resolveConfig without sources gives the documented defaults", async () => {
  const config = await resolveConfig();
  assert.equal(config.environment.id, "str_build");
  assert.equal(config.algorithm.id, "collm_cc");
  assert.equal(config.policy.source, "models/collm-tiny");
  assert.equal(config.critic.value_loss_coef, 0.6);
  // The environment's own options are in it, so that it repeats the run alone.
  assert.equal(config.environment.options.feedback, "position_feedback");
});

Deno.test("resolveConfig lets file, --set and flags override each other in this order", async () => {
  const file = `{
    // a comment
    "seed": 2, "optimizer": {"learning_rate": 1e-4, "betas": [0.9, 0.99]}, /* another */
    "budget": {"joint_evaluations": 100}
  }`;
  await withFile(file, async (path) => {
    const config = await resolveConfig({
      file: path,
      sets: ["seed=3", "optimizer.learning_rate=2e-4"],
      flags: { seed: 4 },
    });
    assert.equal(config.seed, 4);
    assert.equal(config.optimizer.learning_rate, 2e-4);
    assert.deepEqual(config.optimizer.betas, [0.9, 0.99]);
    assert.equal(config.budget.joint_evaluations, 100);
  });
});

Deno.test("resolveConfig starts from the environment's own defaults, and file and --set go over them", async () => {
  const house = await resolveConfig({ flags: { environment: { id: "house_build" } } });
  assert.equal(house.rollout.max_tokens, 96);
  assert.deepEqual(house.environment.options["sizes"], [[5, 3, 3]]);
  const sets = ["environment.id=house_build", "rollout.max_tokens=50"];
  const own = await resolveConfig({ sets });
  assert.equal(own.rollout.max_tokens, 50);
  assert.equal(own.budget.joint_evaluations, house.budget.joint_evaluations);
});

Deno.test("resolveConfig starts coding small for the embedded policy on shipped tasks, else as published", async () => {
  const start = async (...sets: string[]) => {
    const { environment: { options }, rollout } = await resolveConfig({ sets });
    return [options["prompt_style"], options["turns"], rollout.max_tokens];
  };
  const task = { prompt: "def f(x):", test: "assert f(1) == 1", entry_point: "f" };
  const folder = await Deno.makeTempDir();
  const data = `environment.data=${folder}/tasks.jsonl`;
  const rows = Array.from({ length: 40 }, (_, i) => ({ ...task, prompt: `# ${i}\ndef f(x):` }));
  await Deno.writeTextFile(
    `${folder}/tasks.jsonl`,
    rows.map((row) => JSON.stringify(row)).join("\n"),
  );
  const own = "policy.source=/tmp/qwen";
  try {
    for (const id of ["humaneval", "coophumaneval", "mbpp"]) {
      const env = `environment.id=${id}`;
      assert.deepEqual(await start(env), ["compact", 1, 20]);
      assert.deepEqual(
        await start(env, "policy.source=./models/collm-tiny/", "environment.data=builtin"),
        ["compact", 1, 20],
      );
      assert.deepEqual(await start(env, own), ["paper", 2, 256]);
      assert.deepEqual(await start(env, data), ["paper", 2, 256]);
      // What is set goes over it, and the length follows the prompts.
      assert.deepEqual(await start(env, own, "environment.turns=1", "rollout.max_tokens=99"), [
        ...["paper", 1, 99],
      ]);
      assert.deepEqual(await start(env, own, data, "environment.prompt_style=compact"), [
        ...["compact", 1, 20],
      ]);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  for (const [id, length] of [["tldr", 80], ["arxiv", 384]]) {
    assert.deepEqual(await start(`environment.id=${id}`, own), ["compact", undefined, length]);
  }
});

Deno.test("resolveConfig gives each algorithm its own options", async () => {
  const { algorithm } = await resolveConfig({
    sets: ["algorithm.generations=8"],
    flags: { algorithm: { id: "magrpo" } },
  });
  assert.ok(algorithm.id === "magrpo" && algorithm.generations === 8);
});

Deno.test("resolveConfig refuses trees with too many episodes", async () => {
  const sets = ["algorithm.id=magrpo", "algorithm.generations=16", "environment.options.turns=4"];
  assert.match(await refusal({ sets }), /over 4 turns each item takes 65536 episodes/);
});

Deno.test("resolveConfig takes environment.KEY for environment.options.KEY, later ones over earlier", async () => {
  const options = async (sources: ConfigSources) =>
    (await resolveConfig(sources)).environment.options;
  const coding = { environment: { id: "humaneval" } };
  const short = await options({ sets: ["environment.compat=reference"], flags: coding });
  const long = await options({ sets: ["environment.options.compat=reference"], flags: coding });
  assert.deepEqual(short, long);
  assert.equal(short["compat"], "reference");
  assert.equal((await options({ sets: ["environment.max_commands=7"] }))["max_commands"], 7);

  const turns = ["environment.options.turns=3", "environment.turns=2"];
  assert.equal((await options({ sets: turns }))["turns"], 2);
  assert.equal((await options({ sets: turns.toReversed() }))["turns"], 3);
  await withFile(`{"environment": {"turns": 3, "options": {"turns": 4}}}`, async (file) => {
    assert.equal((await options({ file, sets: ["environment.options.turns=2"] }))["turns"], 2);
  });

  const own = await options({
    sets: ["environment.agents=3"],
    flags: { environment: { source: resolve("docs/add_up.ts") } },
  });
  assert.equal(own["agents"], 3);
  assert.equal(
    await refusal({ sets: ["environment.spilt=train"] }),
    "Unknown configuration key 'environment.spilt': did you mean 'environment.split'?",
  );
  assert.match(
    await refusal({ sets: ["environment.compat=refrence"] }),
    /option 'compat' is "refrence": /,
  );
});

Deno.test("resolveConfig repeats itself from its own result", async () => {
  const config = await resolveConfig({ sets: ["environment.options.turns=2", "seed=9"] });
  await withFile(JSON.stringify(config), async (path) => {
    assert.deepEqual(await resolveConfig({ file: path }), config);
  });
});

Deno.test("resolveConfig refuses unknown keys with the nearest valid name", async () => {
  const expected: [string, string][] = [
    [
      "optimiser.learning_rate=1",
      "Unknown configuration key 'optimiser.learning_rate': did you mean 'optimizer.learning_rate'?",
    ],
    [
      "learning_rate=1",
      "Unknown configuration key 'learning_rate': did you mean 'optimizer.learning_rate'?",
    ],
    [
      "algorithm.generations=4",
      "Unknown configuration key 'algorithm.generations' of collm_cc: did you mean 'algorithm.gamma'?",
    ],
    ["sed=1", "Unknown configuration key 'sed': did you mean 'seed'?"],
    ["algorithm.id=colm_cc", "Unknown algorithm 'colm_cc': did you mean 'collm_cc'?"],
    [
      "environment.id=str_bild",
      "Cannot find environment 'str_bild', did you mean 'str_build'?",
    ],
    [
      "evaluation.split=evals",
      "Unknown split 'evals' of environment 'str_build' in 'evaluation.split': did you mean 'eval'?",
    ],
  ];
  for (const [set, message] of expected) assert.equal(await refusal({ sets: [set] }), message);
  assert.match(
    await refusal({ sets: ["environment.options.turnz=2"] }),
    /unknown option 'turnz', did you mean 'turns'/,
  );
  assert.match(await refusal({ sets: ["zzzzzzzz=2"] }), /sections: environment, algorithm/);
  assert.match(await refusal({ sets: ["__proto__.seed=2"] }), /Unknown configuration key/);
});

Deno.test("resolveConfig refuses wrong types and ranges with path and value", async () => {
  const expected: [string, RegExp][] = [
    ["optimizer.learning_rate=fast", /^Cannot use .*'optimizer.learning_rate' with value "fast": /],
    ["optimizer.learning_rate=-1", /'optimizer.learning_rate' with value -1: too small/],
    ["optimizer.betas=0.9,2", /'optimizer.betas.1' with value 2: too big/],
    ["optimizer.schedule=step", /"step": expected one of "constant"\|"linear"\|"cosine"/],
    ["optimizer=3", /'optimizer' with value 3: expected object/],
    ["algorithm=3", /'algorithm' with value 3: expected object/],
    ["seed=1.5", /'seed' with value 1.5/],
    ["rollout.temperature=0", /'rollout.temperature' with value 0/],
    ["algorithm.gamma=1.1", /'algorithm.gamma' with value 1.1/],
  ];
  for (const [set, pattern] of expected) assert.match(await refusal({ sets: [set] }), pattern);
});

Deno.test("resolveConfig refuses files that are missing, broken or no object", async () => {
  assert.equal(
    await refusal({ file: "no/such.json" }),
    "Cannot read configuration file 'no/such.json': there is no such file",
  );
  await withFile(`{"seed": }`, async (file) => {
    assert.match(await refusal({ file }), /^Cannot read configuration file '.*': Unexpected token/);
  });
  await withFile("[1]", async (file) => {
    assert.match(await refusal({ file }), /it must hold an object, not \[1\]$/);
  });
  await withFile("[".repeat(5000), async (file) => {
    assert.match(await refusal({ file }), /^Cannot read configuration file/);
  });
});

Deno.test("withoutComments leaves strings and positions alone", () => {
  const text = `{"a": "// no /* comment */", /* x\n */ "b": "\\"//", // end\n "c": 1}`;
  const plain = withoutComments(text);
  assert.deepEqual(JSON.parse(plain), { a: "// no /* comment */", b: '"//', c: 1 });
  assert.equal(plain.length, text.length);
  for (const open of ["/*x", '"\\', "/"]) {
    const long = open.repeat(300_000);
    assert.equal(withoutComments(long).length, long.length);
  }
});

Deno.test("describeConfig shows every key once, aligned", async () => {
  const lines = describeConfig(await resolveConfig({ sets: ["critic.learning_rate=0.25"] }));
  assert.ok(lines.some((line) => /^ +learning_rate +0\.25$/.test(line)), lines.join("\n"));
  assert.ok(lines.some((line) => /^environment +id +str_build$/.test(line)));
  assert.ok(lines.some((line) => /^ +options\.turns +1$/.test(line)));
  assert.match(lines.at(-1)!, /^seed +1$/);
  const columns = new Set(lines.map((line) => line.search(/\S+$/)));
  assert.equal(columns.size, 1);
});

Deno.test("learningRateFactor warms up by updates and decays by budget", async () => {
  const { optimizer } = await resolveConfig({
    sets: ["optimizer.warmup=4", "optimizer.final_fraction=0.1"],
  });
  assert.equal(learningRateFactor(optimizer, 0, 0), 0.25);
  assert.equal(learningRateFactor(optimizer, 3, 0), 1);
  assert.equal(learningRateFactor(optimizer, 100, 0.5), 0.55);
  assert.ok(Math.abs(learningRateFactor(optimizer, 100, 2) - 0.1) < 1e-12);
  assert.equal(learningRateFactor({ ...optimizer, schedule: "constant", warmup: 0 }, 0, 1), 1);
  const cosine = { ...optimizer, schedule: "cosine" as const };
  const expected = [[0, 0, 0.25], [3, 0, 1], [9, 0.5, 0.55], [9, 1 / 3, 0.775], [9, 1.5, 0.1]];
  for (const [update, spent, factor] of expected as [number, number, number][]) {
    const actual = learningRateFactor(cosine, update, spent);
    assert.ok(Math.abs(actual - factor) < 1e-12, `${update}, ${spent}: ${actual}`);
  }
});
