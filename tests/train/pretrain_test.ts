/**
 * Pretraining: a seed decides every byte of the policy, and no held-out word, house, coding task or
 * post is among the documents that the embedded policy was made from.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import type { Environment, ResetResult } from "../../shared/environments/environment.ts";
import { textRows } from "../../shared/environments/minecraft/font.ts";
import { compactText } from "../../shared/environments/minecraft/str_build/compact.ts";
import {
  EVAL_LARGE_WORDS,
  EVAL_WORDS,
  PAPER_WORDS,
  TRAIN_WORDS,
} from "../../shared/environments/minecraft/str_build/splits.ts";
import { createEnvironment } from "../../shared/environments/registry.ts";
import { uniforms } from "../../shared/random.ts";
import { codingDocument } from "../../train/pretrain/documents/coding.ts";
import { HOUSE_SIZES, houseBuildDocument } from "../../train/pretrain/documents/house_build.ts";
import type { Kind } from "../../train/pretrain/documents/index.ts";
import { pretrain } from "../../train/pretrain/main.ts";
import { RECIPE, STAGES, stageSteps } from "../../train/pretrain/model_recipe.ts";
import { drawOf } from "../../train/pretrain/stage.ts";

/** Files of a policy's folder; the card is left out, it tells how long the making took. */
function files(folder: string): Map<string, Uint8Array> {
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== "README.md")
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(paths.sort().map((path) => [relative(folder, path), Deno.readFileSync(path)]));
}

const equal = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

Deno.test("pretrain gives the same bytes for the same seed, and others for another", async () => {
  const parent = await Deno.makeTempDir({ prefix: "collm-pretrain-" });
  try {
    const made: Map<string, Uint8Array>[] = [];
    for (const [name, seed] of [["a", 7], ["b", 7], ["c", 8]] as const) {
      await pretrain({ out: join(parent, name), seed, steps: 3 });
      made.push(files(join(parent, name)));
    }
    const [a, b, c] = made as [typeof made[0], typeof made[0], typeof made[0]];
    assert.ok(["model.safetensors", "tokenizer.json", "onnx/model.onnx"].every((f) => a.has(f)));
    assert.deepEqual([...a.keys()], [...b.keys()]);
    for (const [file, bytes] of a) assert.ok(equal(bytes, b.get(file)!), `${file} differs`);
    assert.ok(!equal(a.get("model.safetensors")!, c.get("model.safetensors")!));
    assert.deepEqual(readdirSync(parent).sort(), ["a", "b", "c"]);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
});

/** What a prompt shows of its task, without turn, reward and agent. */
const shown = (prompt: string): string => prompt.replace(/^t\d( r\S+)? a\d/, "");
/** The same of a house, without the spiders as well. */
const houseShown = (prompt: string): string => prompt.slice(prompt.indexOf("\n"));
const prompts = (environment: Environment, split: string, sizes: number): string[] =>
  Array.from({ length: sizes }, (_, i) => {
    const { observations } = environment.reset(environment.item(split, i).task, 0) as ResetResult<
      unknown
    >;
    return Object.values(observations)[0]!.text;
  });
const sizesOf = (environment: Environment, ...names: string[]) =>
  environment.splits().filter(({ name }) => names.includes(name))
    .map(({ name, size }) => [name, size!] as const);

/** What no document may show, by kind; every kind's environments in the documents' prompt style. */
function heldOut(): Record<Kind, Set<string>> {
  const words = [...PAPER_WORDS, ...EVAL_WORDS, ...EVAL_LARGE_WORDS];
  const houses = HOUSE_SIZES.flatMap((size) => {
    const environment = createEnvironment("house_build", {
      prompt_style: "compact",
      sizes: [[...size]],
    });
    return sizesOf(environment, "eval", "eval_large", "paper")
      .flatMap(([split, count]) => prompts(environment, split, count).map(houseShown));
  });
  const coding = createEnvironment("humaneval", { prompt_style: "compact" });
  const tldr = createEnvironment("tldr");
  return {
    str_build: new Set(words.map((word) => shown(compactText(textRows(word), 0, 1, null)))),
    house_build: new Set(houses),
    coding: new Set(
      sizesOf(coding, "eval").flatMap(([split, count]) => prompts(coding, split, count).map(shown)),
    ),
    writing: new Set(
      sizesOf(tldr, "eval").flatMap(([split, count]) =>
        Array.from({ length: count }, (_, i) => (tldr.item(split, i).task as { post: string }).post)
      ),
    ),
  };
}

Deno.test("drawOf never shows an item of an evaluation in all draws of the embedded policy's pretraining", () => {
  const forbidden = heldOut();
  for (const [kind, set] of Object.entries(forbidden)) assert.ok(set.size >= 64, kind);
  const trained = new Set(
    TRAIN_WORDS.map((word) => shown(compactText(textRows(word), 0, 1, null))),
  );
  const seen: Record<Kind, number> = { str_build: 0, house_build: 0, coding: 0, writing: 0 };
  let words = 0, draws = 0;
  for (const stage of STAGES) {
    const { steps } = stage;
    const count = Math.ceil(steps / stage.stepsPerDraw);
    for (let draw = 0; draw < count; draw++) {
      for (const { kind, prompt } of drawOf({ stage, seed: 1, steps, draws }, draw).documents) {
        seen[kind]++;
        const part = kind === "house_build"
          ? houseShown(prompt)
          : kind === "writing"
          ? prompt.replace(/^tldr (?:short|long): /, "").trimEnd()
          : shown(prompt);
        assert.ok(!forbidden[kind].has(part), prompt);
        if (trained.has(part)) words++;
      }
    }
    draws += count;
  }
  // The comparison sees words where there are some: 60 % of StrBuild's documents.
  assert.ok(Math.abs(words / seen.str_build - 0.6) < 0.01, `${words} of ${seen.str_build}`);
  for (const [kind, count] of Object.entries(seen)) assert.ok(count > 5000, `${count} ${kind}`);
});

Deno.test("houseBuildDocument builds a part of the house where it is precise", () => {
  const random = uniforms(1);
  for (let i = 0; i < 200; i++) {
    const { prompt, response } = houseBuildDocument(random, 1);
    const lines = prompt.split("\n").slice(1);
    const fills = response.split("\n").filter((line) => line.startsWith("/fill "));
    const wrong = fills.filter((fill) => !lines.includes(fill.slice("/fill ".length)));
    assert.ok(wrong.length <= 3, response);
    assert.match(response, /^(?:\/kill\n)?(?:\/fill(?: \d+){6} [a-z_]+\n)*$/);
  }
});

Deno.test("codingDocument writes both agents' parts of a task where it is precise", () => {
  const random = uniforms(1);
  const answers = new Map<string, Set<string>>();
  for (let i = 0; i < 20_000; i++) {
    const { prompt, response } = codingDocument(random, 1);
    const [, agent, words] = / a(\d) (.*)\n$/.exec(prompt)!;
    const key = `${agent} ${words}`;
    answers.set(key, (answers.get(key) ?? new Set()).add(response));
  }
  assert.deepEqual(answers.get("1 Square, then add 5"), new Set(["x * x\n"]));
  const main = [...answers.get("2 Square, then add 5")!];
  assert.ok(main.length > 1);
  assert.deepEqual(
    main.filter((text) => !["x + 5\n", "aux(x) + 5\n", "(aux(x) + 5)\n"].includes(text)),
    [],
  );
});

Deno.test("stageSteps gives every update to a stage, as the recipe has them", () => {
  assert.deepEqual(stageSteps(RECIPE.steps), STAGES.map(({ steps }) => steps));
  for (const total of [1, 3, 1000]) {
    assert.equal(stageSteps(total).reduce((a, b) => a + b, 0), total);
  }
});
