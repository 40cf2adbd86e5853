/**
 * PyTorch's numbers for the small random models of tests/golden/torch, in the form of our verbs,
 * and comparisons with the tolerances that the numbers deserve.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { GradientReport, UpdateRequest } from "../../gpu-node/verbs.ts";

export const GOLDEN = new URL("../golden/torch/", import.meta.url).pathname;
export const FAMILIES = ["llama-tiny", "qwen2-tiny", "qwen3-tiny"];

export type GoldenReports = Record<string, GradientReport>;

/** One family's folder, its numbers, its batch as sequences. */
export function golden(family: string) {
  const folder = join(GOLDEN, family);
  const expected = JSON.parse(Deno.readTextFileSync(join(folder, "expected.json")));
  const { input_ids, lengths, prompt_lengths, advantages } = expected.batch;
  const sequences = (input_ids as number[][]).map((ids, i) => ({
    tokens: ids.slice(0, lengths[i]),
    prompt_length: prompt_lengths[i] as number,
  }));
  const policyGradient = (extra: Partial<UpdateRequest> = {}): UpdateRequest => ({
    policy: "tiny",
    seq: 1,
    loss: "policy_gradient",
    batch: sequences.map((s, i) => ({ ...s, advantage: advantages[i] as number })),
    optimizer: { name: "adamw", learning_rate: 0.01, weight_decay: 0.01 },
    ...extra,
  });
  return { folder, expected, sequences, advantages: advantages as number[], policyGradient };
}

export const close = (a: number, b: number, tolerance: number, what: string) =>
  assert.ok(Math.abs(a - b) <= tolerance, `${what}: ${a} is not within ${tolerance} of ${b}`);
export const relative = (a: number, b: number, tolerance: number, what: string) =>
  close(a, b, tolerance * Math.max(1e-2, Math.abs(b)), what);

export function compareGradients(
  actual: GoldenReports,
  expected: GoldenReports,
  tolerance: number,
) {
  assert.deepEqual(Object.keys(actual).sort(), Object.keys(expected).sort());
  for (const [name, e] of Object.entries(expected)) {
    const a = actual[name]!;
    relative(a.norm, e.norm, tolerance, `norm of ${name}`);
    const scale = Math.max(e.norm / 10, 1e-2);
    for (const end of ["first", "last"] as const) {
      e[end].forEach((x, i) => close(a[end][i]!, x, tolerance * scale, `${name} ${end}[${i}]`));
    }
  }
}
