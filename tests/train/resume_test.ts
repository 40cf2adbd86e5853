/**
 * Runs repeat bit for bit: the same seed twice, and a run that is killed in the middle and resumed,
 * end with the same metrics, results and weights.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { evaluateCheckpoint } from "../../train/evaluate.ts";
import { finish, spawnQuietly, until } from "../support/process.ts";

const FLAGS = [
  "--budget=64",
  "--set=rollout.episodes_per_batch=8",
  "--set=checkpoint.every=16",
  "--set=evaluation.episodes=6",
  "--set=evaluation.every=32",
  "--json",
];
const read = (...path: string[]) => Deno.readTextFileSync(join(...path));

/** Every file of the last checkpoint, with its bytes. */
function checkpoint(run: string): Map<string, Uint8Array> {
  const root = join(run, "checkpoints", "final");
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(files.sort().map((file) => [relative(root, file), Deno.readFileSync(file)]));
}

const equal = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

function sameResult(a: string, b: string) {
  assert.equal(read(a, "metrics.jsonl"), read(b, "metrics.jsonl"));
  const result = (run: string) => {
    const { wall_s: _, checkpoint: __, run: ___, ...rest } = JSON.parse(read(run, "result.json"));
    return rest;
  };
  assert.deepEqual(result(a), result(b));
  const [one, other] = [checkpoint(a), checkpoint(b)];
  assert.deepEqual([...one.keys()], [...other.keys()]);
  for (const agent of ["agent_1", "agent_2"]) {
    const files = one.has(`${agent}/adapter_config.json`)
      ? ["adapter_model.safetensors", "optimizer.safetensors"]
      : ["model.safetensors", "onnx/model.onnx"];
    for (const file of [...files, "tokenizer.json"]) {
      assert.ok(one.has(`${agent}/${file}`), `${agent}/${file}`);
    }
  }
  for (const [file, bytes] of one) assert.ok(equal(bytes, other.get(file)!), `${file} differs`);
}

for (
  const [name, extra] of [
    ["CoLLM-CC", []],
    ["CoLLM-CC with adapters", ["--set=policy.lora.rank=4", "--set=critic.lora.rank=4"]],
    ["CoLLM-DC over two turns", ["--algo=collm_dc", "--set=environment.options.turns=2"]],
    ["MAGRPO over two turns", [
      "--algo=magrpo",
      "--set=environment.options.turns=2",
      "--set=algorithm.generations=2",
    ]],
  ] as const
) {
  Deno.test(`train: ${name} killed in the middle and resumed equals a run never killed`, async () => {
    const parent = await Deno.makeTempDir();
    const [whole, killed] = [join(parent, "a", "run"), join(parent, "b", "run")];
    const first = await finish("train/main.ts", ...FLAGS, ...extra, "--out", whole);
    assert.equal(first.code, 0, first.stderr);
    const printed = JSON.parse(first.stdout.trim().split("\n").at(-1)!);
    assert.equal(printed.joint_evaluations >= 64, true);

    const child = spawnQuietly("train/main.ts", ...FLAGS, ...extra, "--out", killed);
    // Past the second checkpoint and into the batch after it.
    const rows = () => {
      try {
        return read(killed, "metrics.jsonl").split("\n").length - 1;
      } catch {
        return 0;
      }
    };
    await until("four batches", () => rows() >= 4);
    child.kill("SIGKILL");
    await child.status;
    assert.throws(() => read(killed, "result.json"));

    const resumed = await finish("train/main.ts", "--resume", killed, "--json");
    assert.equal(resumed.code, 0, resumed.stderr);
    sameResult(whole, killed);

    // The resumed checkpoint is whole: it plays, and gives the numbers of the run's end.
    const { trained } = JSON.parse(read(killed, "result.json"));
    const again = await evaluateCheckpoint({
      checkpoint: join(killed, "checkpoints", "final"),
      episodes: 6,
    });
    assert.deepEqual([again.return_mean, again.n], [trained.return_mean, trained.n]);
    await Deno.remove(parent, { recursive: true });
  });
}
