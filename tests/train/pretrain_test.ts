/**
 * Pretraining: a seed decides every byte of the policy, and no held-out word is among the
 * documents that the embedded policy was made from.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { textRows } from "../../shared/environments/minecraft/font.ts";
import { compactText } from "../../shared/environments/minecraft/str_build/compact.ts";
import {
  EVAL_LARGE_WORDS,
  EVAL_WORDS,
  PAPER_WORDS,
  TRAIN_WORDS,
} from "../../shared/environments/minecraft/str_build/splits.ts";
import { seedOf, uniforms } from "../../shared/random.ts";
import { document } from "../../train/pretrain/documents.ts";
import { pretrain } from "../../train/pretrain/main.ts";
import { preciseShare, RECIPE } from "../../train/pretrain/model_recipe.ts";

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

/** What a prompt shows of its target, without turn, reward and agent. */
const targetIn = (prompt: string): string => prompt.replace(/^t\d( r\S+)? a\d/, "");
const targetOf = (word: string) => targetIn(compactText(textRows(word), 0, 1, null));

Deno.test("document never shows a held-out word in all draws of the embedded policy's pretraining", () => {
  const heldOut = new Set([...PAPER_WORDS, ...EVAL_WORDS, ...EVAL_LARGE_WORDS].map(targetOf));
  const trained = new Set(TRAIN_WORDS.map(targetOf));
  let words = 0;
  // Draws of train/pretrain/main.ts: documents of eight steps at once.
  for (let step = 0; step < RECIPE.steps; step += 8) {
    const random = uniforms(seedOf("documents", 1, step / 8));
    const precise = preciseShare(step, RECIPE.steps);
    for (let i = 0; i < 8 * RECIPE.documentsPerStep; i++) {
      const target = targetIn(document(random, { precise }).prompt);
      assert.ok(!heldOut.has(target), target);
      if (trained.has(target)) words++;
    }
  }
  // The comparison sees words where there are some: 60 % of the documents.
  const all = RECIPE.steps * RECIPE.documentsPerStep;
  assert.ok(Math.abs(words / all - 0.6) < 0.01, `${words} of ${all}`);
});
