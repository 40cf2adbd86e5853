/**
 * The decoder with a key/value cache, as a graph: what sampling (program/sample.ts) and the
 * Transformers.js folder (model/export.ts) share. Query, key and value projections run as one
 * product, gate and up as another; the attention scale is folded into the query weights, or into
 * the weights of the norm that follows them.
 * Leaves out gradients: nothing here is differentiated.
 */
import type { Graph } from "../graph/graph.ts";
import { add, mul, silu } from "../graph/ops/elementwise.ts";
import { linear, matmul } from "../graph/ops/linear.ts";
import { rmsNorm, rotary, type RotaryTables, softmax } from "../graph/ops/nn.ts";
import {
  concat,
  gatherRows,
  reshape,
  reshapeTo,
  shapeOf,
  split,
  swapLast,
  transpose,
} from "../graph/ops/shape.ts";
import type { Dim, Tensor } from "../graph/tensor.ts";
import type { ModelConfig } from "./config.ts";
import type { Parameters } from "./project.ts";
import type { ModelSpec } from "./spec.ts";

/** One layer's weights, fused once per graph run (or folded, where they are constants). */
interface FusedLayer {
  inputNorm: Tensor;
  /** [(heads + 2·kvHeads)·headDim, hidden] */
  qkv: Matrix;
  /** Norm of each head of queries and keys: [heads + kvHeads, 1, headDim]. */
  headNorms?: Tensor;
  output: Matrix;
  postNorm: Tensor;
  /** [2·intermediate, hidden] */
  gateUp: Matrix;
  down: Matrix;
}

interface Matrix {
  weight: Tensor;
  bias?: Tensor;
}

export interface FusedWeights {
  embedding: Tensor;
  layers: FusedLayer[];
  norm: Tensor;
  head: Tensor;
  tables: RotaryTables;
}

export function fuseWeights(
  g: Graph,
  { config, lora }: ModelSpec,
  p: Parameters,
  tables: RotaryTables,
): FusedWeights {
  const { heads, kvHeads, headDim } = config;
  const scale = g.scalar(1 / Math.sqrt(headDim));
  const embedding = p.get("model.embed_tokens.weight");
  return {
    embedding,
    layers: Array.from({ length: config.layers }, (_, layer) => {
      const has = (name: string) => p.has(`model.layers.${layer}.${name}`);
      // Whatever computes the queries last is scaled, which scales all scores.
      const last = has("self_attn.q_norm.weight") ? "self_attn.q_norm" : "self_attn.q_proj";
      const scaled = (name: string, x: Tensor) => name === last ? mul(g, x, scale) : x;
      const w = (name: string) => {
        const matrix = `model.layers.${layer}.${name}`;
        const weight = p.get(`${matrix}.weight`);
        if (!lora || !p.has(`${matrix}.lora_A`)) return scaled(name, weight);
        const change = matmul(g, p.get(`${matrix}.lora_B`), p.get(`${matrix}.lora_A`));
        return scaled(name, add(g, weight, mul(g, change, g.scalar(lora.alpha / lora.rank))));
      };
      const bias = (name: string) => scaled(name, p.get(`model.layers.${layer}.${name}.bias`));
      const matrix = (...names: string[]): Matrix => ({
        weight: joined(g, names.map(w)),
        ...(has(`${names[0]}.bias`) && { bias: joined(g, names.map(bias)) }),
      });
      const perHead = (name: string, n: number) =>
        g.emit1("Expand", [w(name), g.indices([n, 1, headDim])], [n, 1, headDim]);
      return {
        inputNorm: w("input_layernorm"),
        qkv: matrix("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        ...(has("self_attn.q_norm.weight") && {
          headNorms: concat(g, [
            perHead("self_attn.q_norm", heads),
            perHead("self_attn.k_norm", kvHeads),
          ], 0),
        }),
        output: matrix("self_attn.o_proj"),
        postNorm: w("post_attention_layernorm"),
        gateUp: matrix("mlp.gate_proj", "mlp.up_proj"),
        down: matrix("mlp.down_proj"),
      };
    }),
    norm: p.get("model.norm.weight"),
    head: config.tied ? embedding : p.get("lm_head.weight"),
    tables,
  };
}

const joined = (g: Graph, parts: Tensor[]): Tensor =>
  parts.length === 1 ? parts[0]! : concat(g, parts, 0);

/** x [rows, in] → [rows, out]. */
function apply(g: Graph, { weight, bias }: Matrix, x: Tensor): Tensor {
  const y = linear(g, x, weight);
  return bias ? add(g, y, bias) : y;
}

/** Keys and values of one layer, each [batch, kvHeads, length, headDim]. */
export interface LayerCache {
  key: Tensor;
  value: Tensor;
}

export interface CachedInputs {
  /** int32 [batch, time] */
  tokens: Tensor;
  /** int64 [batch, time] */
  positions: Tensor;
  /** Additive bias [batch, 1, time, total]: 0 = visible, −1e9 = hidden. */
  bias: Tensor;
  /** Cache of earlier tokens; absent when there are none. */
  past?: LayerCache[];
  /** Name of the key length after this call. */
  total: Dim;
}

/** Runs the layers on new tokens: final normed hidden states [batch*time, hidden] and the cache. */
export function cachedDecoder(
  g: Graph,
  config: ModelConfig,
  w: FusedWeights,
  inputs: CachedInputs,
): { hidden: Tensor; present: LayerCache[] } {
  const { hiddenSize, heads, kvHeads, headDim, normEps } = config;
  const [batch, time] = inputs.tokens.shape as [Dim, Dim];
  const flat = time === 1 ? batch : `${batch}*${time}`;
  const all = heads + 2 * kvHeads;
  const vector = time === 1
    ? null
    : concat(g, [shapeOf(g, inputs.tokens), g.indices([all, headDim])], 0);
  const present: LayerCache[] = [];
  let x = reshape(g, gatherRows(g, w.embedding, inputs.tokens), [flat, hiddenSize]);
  for (const [i, layer] of w.layers.entries()) {
    const projected = apply(g, layer.qkv, rmsNorm(g, x, layer.inputNorm, normEps));
    const byHead = vector
      ? transpose(g, reshapeTo(g, projected, vector, [batch, time, all, headDim]), [0, 2, 1, 3])
      : reshape(g, projected, [batch, all, 1, headDim]);
    const [turning, fresh] = split(g, byHead, 1, [heads + kvHeads, kvHeads]);
    const normed = layer.headNorms
      ? mul(g, rmsNorm(g, turning!, ones(g, headDim), normEps), layer.headNorms)
      : turning!;
    const [q, k] = split(g, rotary(g, normed, inputs.positions, w.tables), 1, [heads, kvHeads]);
    const past = inputs.past?.[i];
    const key = past ? concat(g, [past.key, k!], 2, inputs.total) : k!;
    const value = past ? concat(g, [past.value, fresh!], 2, inputs.total) : fresh!;
    present.push({ key, value });
    const o = attend(g, config, q!, key, value, inputs.bias);
    x = add(g, x, apply(g, layer.output, rowsOf(g, o, flat, heads * headDim, time)));

    const projectedUp = apply(g, layer.gateUp, rmsNorm(g, x, layer.postNorm, normEps));
    const [gate, up] = split(g, projectedUp, 1, [config.intermediateSize, config.intermediateSize]);
    x = add(g, x, apply(g, layer.down, mul(g, silu(g, gate!), up!)));
  }
  return { hidden: rmsNorm(g, x, w.norm, normEps), present };
}

const ones = (g: Graph, n: number): Tensor => g.constant(new Float32Array(n).fill(1), [n]);

/** [batch, heads, time, headDim] → [batch*time, heads·headDim]. */
function rowsOf(g: Graph, o: Tensor, flat: Dim, width: number, time: Dim): Tensor {
  return reshape(g, time === 1 ? o : transpose(g, o, [0, 2, 1, 3]), [flat, width]);
}

/**
 * Attention of q [batch, heads, time, d] on grouped keys and values. One query per row: the heads
 * of a group become query rows of one product, so keys are read once per group.
 */
function attend(
  g: Graph,
  { heads, kvHeads, headDim }: ModelConfig,
  q: Tensor,
  key: Tensor,
  value: Tensor,
  bias: Tensor,
): Tensor {
  const [batch, , time] = q.shape as [Dim, Dim, Dim, Dim];
  const total = key.shape[2]!;
  const group = heads / kvHeads;
  const direct = (queries: Tensor, k: Tensor, v: Tensor, b: Tensor) =>
    matmul(g, softmax(g, add(g, matmul(g, queries, swapLast(g, k)), b)), v);
  if (group === 1) return direct(q, key, value, bias);
  if (time === 1) {
    const folded = direct(reshape(g, q, [batch, kvHeads, group, headDim]), key, value, bias);
    return reshape(g, folded, [batch, heads, 1, headDim]);
  }
  const widen = (x: Tensor) => reshape(g, x, [batch, kvHeads, 1, total, headDim]);
  const wideBias = g.emit1("Unsqueeze", [bias, g.indices([1])], [
    bias.shape[0]!,
    1,
    ...bias.shape.slice(1),
  ]);
  const queries = reshape(g, q, [batch, kvHeads, group, time, headDim]);
  const o = direct(queries, widen(key), widen(value), wideBias);
  return reshape(g, o, [batch, heads, time, headDim]);
}
