/**
 * The forward pass of a decoder over whole sequences, as a graph: what score, value and
 * update share. Sequences are right-padded and attention is causal, so padding never reaches a
 * real token. Leaves out generation (program/decode.ts) and losses (program/update.ts).
 */
import type { Graph } from "../graph/graph.ts";
import { add, tanh } from "../graph/ops/elementwise.ts";
import { linear } from "../graph/ops/linear.ts";
import {
  attention,
  causalBias,
  rmsNorm,
  rotary,
  type RotaryTables,
  swiglu,
} from "../graph/ops/nn.ts";
import { concat, gatherRows, reshape, reshapeTo, shapeOf } from "../graph/ops/shape.ts";
import { recomputed } from "../graph/recompute.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { ModelConfig } from "./config.ts";
import { type Parameters, project } from "./project.ts";
import { ropeFrequencies } from "./rope.ts";
import type { ModelSpec } from "./spec.ts";

/**
 * Rotary tables for `positions` positions: angle = position · frequency, times `scale`: queries
 * are turned and scaled for attention in one pass.
 */
export function rotaryTables(
  g: Graph,
  config: ModelConfig,
  positions: number,
  scale = 1,
): RotaryTables {
  const half = config.headDim / 2;
  const frequencies = ropeFrequencies(config);
  const table = (f: (angle: number) => number) => {
    const data = new Float32Array(positions * half);
    for (let p = 0; p < positions; p++) {
      for (let i = 0; i < half; i++) {
        data[p * half + i] = scale * f(p * frequencies[i]!);
      }
    }
    return g.constant(data, [positions, half]);
  };
  return { cos: table(Math.cos), sin: table(Math.sin), minusSin: table((a) => -Math.sin(a)) };
}

/**
 * Final normed hidden states of right-padded sequences.
 * tokens int32 [batch, time] → [batch*time, hidden].
 * `recompute`: gradients keep the inputs of the layers and compute the rest again.
 */
export function hiddenStates(
  g: Graph,
  spec: ModelSpec,
  p: Parameters,
  tokens: Tensor,
  positions: number,
  recompute = false,
): Tensor {
  const { config } = spec;
  const { hiddenSize, heads, kvHeads, headDim, normEps } = config;
  const turnKeys = rotaryTables(g, config, positions);
  const turnQueries = rotaryTables(g, config, positions, 1 / Math.sqrt(headDim));
  const start = g.constant(BigInt64Array.of(0n), [1]);
  const bias = causalBias(g, tokens, 1);
  const size = shapeOf(g, tokens);
  const bySequence = concat(g, [size, g.indices([-1])], 0);
  const byHead = concat(g, [size, g.indices([-1, headDim])], 0);
  const split = (x: Tensor, n: number) => reshapeTo(g, x, byHead, ["batch", "time", n, headDim]);
  const turned = (x: Tensor, n: number, tables: RotaryTables) => {
    const wide = reshapeTo(g, x, bySequence, ["batch", "time", n * headDim]);
    return split(rotary(g, wide, start, tables), n);
  };

  const block = (x: Tensor, layer: number): Tensor => {
    const norm = (y: Tensor, name: string) =>
      rmsNorm(g, y, p.get(`model.layers.${layer}.${name}.weight`), normEps);
    const apply = <N extends string[]>(y: Tensor, ...names: N) =>
      project(g, spec, p, y, ...names.map((name) => `model.layers.${layer}.${name}`) as N);
    const h = norm(x, "input_layernorm");
    const [q, k, v] = apply(h, "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj");
    const turnedHeads = (y: Tensor, letter: "q" | "k", n: number, tables: RotaryTables) => {
      const name = `self_attn.${letter}_norm`; // of each head, in Qwen3
      if (!p.has(`model.layers.${layer}.${name}.weight`)) return turned(y, n, tables);
      return turned(norm(reshape(g, y, ["batch*time", n, headDim]), name), n, tables);
    };
    const attended = attention(
      g,
      turnedHeads(q, "q", heads, turnQueries),
      turnedHeads(k, "k", kvHeads, turnKeys),
      split(v, kvHeads),
      bias,
    );
    const [o] = apply(reshape(g, attended, ["batch*time", heads * headDim]), "self_attn.o_proj");
    const mid = add(g, x, o);

    const f = norm(mid, "post_attention_layernorm");
    const [gate, up] = apply(f, "mlp.gate_proj", "mlp.up_proj");
    const [down] = apply(swiglu(g, gate, up), "mlp.down_proj");
    return add(g, mid, down);
  };
  let x = reshape(g, gatherRows(g, p.get("model.embed_tokens.weight"), tokens), [
    "batch*time",
    hiddenSize,
  ]);
  for (let layer = 0; layer < config.layers; layer++) {
    x = recompute ? recomputed(g, x, (y) => block(y, layer)) : block(x, layer);
  }
  return rmsNorm(g, x, p.get("model.norm.weight"), normEps);
}

/** The matrix [vocab, hidden] that hidden states are multiplied with for logits. */
export const headWeight = ({ tied }: ModelConfig, p: Parameters): Tensor =>
  p.get(tied ? "model.embed_tokens.weight" : "lm_head.weight");

/** Vocabulary logits of chosen rows: hidden [n, hidden] → [n, vocab]. */
export const logits = (g: Graph, config: ModelConfig, p: Parameters, hidden: Tensor): Tensor =>
  linear(g, hidden, headWeight(config, p));

/** Value head, Linear → tanh → Linear(1): hidden [n, hidden] → [n]. */
export function valueHead(g: Graph, p: Parameters, hidden: Tensor): Tensor {
  const inner = tanh(
    g,
    add(g, linear(g, hidden, p.get("value_head.0.weight")), p.get("value_head.0.bias")),
  );
  const out = add(g, linear(g, inner, p.get("value_head.2.weight")), p.get("value_head.2.bias"));
  return reshape(g, out, [hidden.shape[0]!]);
}
