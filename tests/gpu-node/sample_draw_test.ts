/** Drawing inside a graph, truncation included, against the rules written out on the host. */
import assert from "node:assert/strict";
import { cpuDevice } from "../../gpu-node/device.ts";
import { drawToken as onHost } from "../../gpu-node/frozen/draw.ts";
import { Graph } from "../../gpu-node/graph/graph.ts";
import { drawControls, drawTables, drawToken, UNIFORM_STEPS } from "../../gpu-node/program/draw.ts";
import { uniforms } from "../../shared/random.ts";
import { close } from "./golden.ts";

interface Setting {
  temperature: number;
  top_p: number;
  top_k: number;
}

/** One row per setting, drawn by the program. */
async function inGraph(
  logits: Float32Array,
  uniform: Float32Array,
  settings: readonly Setting[],
  truncated: boolean,
) {
  const rows = settings.length;
  const vocab = logits.length / rows;
  const g = new Graph();
  const input = g.input("logits", "float32", ["batch", vocab]);
  const u = g.input("uniform", "float32", ["batch", 1]);
  const drawn = drawToken(g, input, u, drawControls(g, truncated), drawTables(g, vocab));
  g.output("token", drawn.token);
  g.output("logprob", drawn.logprob);
  const program = await (await cpuDevice()).compile(g);
  const column = (data: Float32Array | Int32Array | Uint8Array) => ({ data, dims: [rows, 1] });
  const { token, logprob } = await program.run({
    logits: { data: logits, dims: [rows, vocab] },
    uniform: column(uniform),
    inverse_temperature: column(Float32Array.from(settings, (s) => 1 / (s.temperature || 1))),
    greedy: column(Uint8Array.from(settings, (s) => s.temperature === 0 ? 1 : 0)),
    ...truncated && {
      top_k: column(Int32Array.from(settings, (s) => s.top_k || vocab)),
      top_p: column(Float32Array.from(settings, (s) => s.top_p < 1 ? s.top_p : 2)),
    },
  });
  await program.release();
  return { tokens: token!.data as Int32Array, logprobs: logprob!.data as Float32Array };
}

const SETTINGS = [0.3, 1, 2].flatMap((temperature) =>
  [0.05, 0.5, 0.9, 0.999, 1].flatMap((top_p) =>
    [0, 1, 2, 7, 40, 5000].map((top_k) => ({ temperature, top_p, top_k }))
  )
);

for (const vocab of [5, 97, 512, 4500]) {
  const random = uniforms(vocab);
  const logits = Float32Array.from({ length: SETTINGS.length * vocab }, () => 4 * random() - 2);
  const uniform = Float32Array.from(
    SETTINGS,
    () => Math.floor(random() * UNIFORM_STEPS) / UNIFORM_STEPS,
  );
  const row = (r: number) => logits.subarray(r * vocab, (r + 1) * vocab);

  Deno.test(`drawToken draws the host's tokens out of ${vocab}, truncated or not`, async () => {
    const { tokens, logprobs } = await inGraph(logits, uniform, SETTINGS, true);
    let same = 0;
    SETTINGS.forEach((setting, r) => {
      const host = onHost(row(r), uniform[r]!, setting);
      const what = `${JSON.stringify(setting)} of ${vocab}`;
      if (tokens[r] === host.token) {
        same++;
        close(logprobs[r]!, host.logprob, 1e-4, what);
      } else {
        // Rounding may take the other side of an edge: a hair's breadth away the host agrees.
        const near = [-1e-5, 1e-5].map((d) =>
          onHost(row(r), Math.min(1 - 1e-7, Math.max(0, uniform[r]! + d)), setting).token
        );
        assert.ok(near.includes(tokens[r]!), `${what}: ${tokens[r]} instead of ${host.token}`);
      }
    });
    assert.ok(same > 0.95 * SETTINGS.length, `${same} of ${SETTINGS.length} agree`);
  });

  Deno.test(`drawToken out of ${vocab} gives whole rows the same bits beside truncated ones`, async () => {
    const whole = SETTINGS.map((s, r) => r % 2 ? s : { ...s, top_p: 1, top_k: 0 });
    const beside = await inGraph(logits, uniform, whole, true);
    const alone = await inGraph(logits, uniform, whole, false);
    for (let r = 0; r < whole.length; r += 2) {
      assert.equal(beside.tokens[r], alone.tokens[r]);
      assert.equal(beside.logprobs[r], alone.logprobs[r]);
    }
  });
}

Deno.test("drawToken keeps the first of equal tokens where truncation must choose", async () => {
  const settings = [
    { temperature: 1, top_p: 1, top_k: 2 },
    { temperature: 1, top_p: 0.5, top_k: 0 },
    { temperature: 0, top_p: 0.1, top_k: 1 },
  ];
  const tokens = [0, 0, 0];
  for (const u of [0, 0.49, 0.51, 0.999]) {
    const drawn = await inGraph(
      new Float32Array(3 * 4),
      new Float32Array(3).fill(u),
      settings,
      true,
    );
    drawn.tokens.forEach((token, r) => tokens[r] = Math.max(tokens[r]!, token));
    close(drawn.logprobs[0]!, Math.log(1 / 2), 1e-6, "top_k 2 of 4");
    close(drawn.logprobs[1]!, Math.log(1 / 2), 1e-6, "top_p 0.5 of 4");
  }
  assert.deepEqual(tokens, [1, 1, 0]);
});
