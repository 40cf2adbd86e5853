/**
 * The decoder with a key/value cache, as a graph: what sampling (program/prefill.ts, decode.ts)
 * and the Transformers.js folder (model/export.ts) share. The attention scale is folded into the
 * query weights, or into the norm that follows them. Adapters of several policies run beside the
 * weights, each row through its own.
 * Leaves out gradients: nothing here is differentiated.
 */
import type { Graph } from "../graph/graph.ts";
import { add, mul, silu, where } from "../graph/ops/elementwise.ts";
import { linear } from "../graph/ops/linear.ts";
import { rmsNorm, rotary, type RotaryTables } from "../graph/ops/nn.ts";
import { concat, gatherRows, reshape, reshapeTo, shapeOf, transpose } from "../graph/ops/shape.ts";
import type { Dim, Tensor } from "../graph/tensor.ts";
import type { LoraTarget } from "../verbs.ts";
import { attend, attendBehind, type LayerCache, lengthsOf } from "./attend.ts";
import type { ModelConfig } from "./config.ts";
import type { Parameters } from "./project.ts";
import type { ModelSpec } from "./spec.ts";

/** Matrices that take the same input. */
interface Matrices {
  parts: { weight: Tensor; bias?: Tensor; loraB?: Tensor }[];
  /** Rows of all adapters of the parts that have one: [ranks·parts, in]. */
  loraA?: Tensor;
  /** bool [rows, ranks·parts]: where the row's adapter stands. */
  mask?: Tensor;
}

interface CachedLayer {
  inputNorm: Tensor;
  qkv: Matrices;
  /** Norms of each head of queries and of keys, [headDim]. */
  headNorms?: [Tensor, Tensor];
  output: Matrices;
  postNorm: Tensor;
  gateUp: Matrices;
  down: Matrices;
}

export interface CachedWeights {
  embedding: Tensor;
  layers: CachedLayer[];
  norm: Tensor;
  head: Tensor;
  tables: RotaryTables;
}

/**
 * Adapters of all policies in a batch, side by side: inputs `<matrix>.A` [ranks, in] and
 * `<matrix>.B` [out, ranks] for every targeted matrix; A scaled by alpha/rank; `mask` bool
 * [rows, ranks] is true in the columns of the row's own adapter. The others' are left out and not
 * multiplied by 0, which would let what is not finite in one adapter into every row.
 */
export interface Adapters {
  targets: readonly LoraTarget[];
  mask: Tensor;
}

/** Prepares what every step reads; call it with the root graph. */
export function cachedWeights(
  g: Graph,
  { config }: Pick<ModelSpec, "config">,
  p: Parameters,
  tables: RotaryTables,
  adapters?: Adapters,
): CachedWeights {
  const { hiddenSize, headDim } = config;
  const scale = g.scalar(1 / Math.sqrt(headDim));
  const embedding = p.get("model.embed_tokens.weight");
  const masks: Tensor[] = [];
  const maskOf = (parts: number) =>
    masks[parts] ??= parts === 1
      ? adapters!.mask
      : concat(g, Array<Tensor>(parts).fill(adapters!.mask), 1, `ranks_${parts}`);
  const layer = (index: number): CachedLayer => {
    const full = (name: string) => `model.layers.${index}.${name}`;
    const normedHeads = p.has(full("self_attn.q_norm.weight"));
    // Whatever computes the queries last is scaled, which scales all scores.
    const last = normedHeads ? "self_attn.q_norm" : "self_attn.q_proj";
    const scaled = (name: string, x: Tensor) => name === last ? mul(g, x, scale) : x;
    const w = (name: string) => scaled(name, p.get(`${full(name)}.weight`));
    const matrices = (room: string, names: LoraTarget[], width = hiddenSize): Matrices => {
      const adapted = names.filter((name) => adapters?.targets.includes(name));
      const parts = names.map((short) => {
        const name = `${room}.${short}`;
        const weight = w(name);
        const B = () => g.input(`${full(name)}.B`, "float32", [weight.shape[0]!, "ranks"]);
        return {
          weight,
          ...(p.has(`${full(name)}.bias`) && { bias: scaled(name, p.get(`${full(name)}.bias`)) }),
          ...(adapted.includes(short) && { loraB: scaled(name, B()) }),
        };
      });
      if (adapted.length === 0) return { parts };
      const A = adapted.map((name) =>
        g.input(`${full(`${room}.${name}`)}.A`, "float32", ["ranks", width])
      );
      const loraA = A.length === 1 ? A[0]! : concat(g, A, 0, `ranks_${A.length}`);
      return { parts, loraA, mask: maskOf(A.length) };
    };
    return {
      inputNorm: w("input_layernorm"),
      qkv: matrices("self_attn", ["q_proj", "k_proj", "v_proj"]),
      ...(normedHeads && { headNorms: [w("self_attn.q_norm"), w("self_attn.k_norm")] }),
      output: matrices("self_attn", ["o_proj"], config.heads * headDim),
      postNorm: w("post_attention_layernorm"),
      gateUp: matrices("mlp", ["gate_proj", "up_proj"]),
      down: matrices("mlp", ["down_proj"], config.intermediateSize),
    };
  };
  return {
    embedding,
    layers: Array.from({ length: config.layers }, (_, i) => layer(i)),
    norm: p.get("model.norm.weight"),
    head: config.tied ? embedding : p.get("lm_head.weight"),
    tables,
  };
}

/** x [rows, in] → [rows, out] for every part, the row's own adapter included. */
function apply(g: Graph, { parts, loraA, mask }: Matrices, x: Tensor): Tensor[] {
  const rows = x.shape[0]!;
  const inner = loraA ? where(g, mask!, linear(g, x, loraA), g.scalar(0)) : null;
  const adapted = parts.filter((part) => part.loraB).length;
  const inners = adapted < 2 ? [inner] : g.emit(
    "Split",
    [inner],
    Array.from({ length: adapted }, () => ({ dtype: "float32", shape: [rows, "ranks"] } as const)),
    { axis: 1, num_outputs: adapted },
  );
  return parts.map(({ weight, bias, loraB }) => {
    const y = linear(g, x, weight);
    const biased = bias ? add(g, y, bias) : y;
    if (!loraB) return biased;
    // The product is added to what is there, without a pass of its own.
    return g.emit1("Gemm", [inners.shift()!, loraB, biased], y.shape, { transA: 0, transB: 1 });
  });
}

export interface CachedInputs {
  /** int32 [batch, time] */
  tokens: Tensor;
  /** int64 [batch, time] */
  positions: Tensor;
  /** Additive bias: 0 = visible, −1e9 = hidden. [batch, 1, time, total], or that of `behind`. */
  bias: Tensor;
  /** Cache of earlier tokens; absent when there are none. */
  past?: LayerCache[];
  /**
   * Keys and values of tokens before `past`, which are only read: nothing is copied behind them.
   * For one new token per row; all of `past` is visible then.
   */
  behind?: LayerCache[];
  /** Name of the key length (without `behind`) after this call. */
  total: Dim;
}

/**
 * Runs the layers on new tokens: final normed hidden states [batch*time, hidden], and `past` with
 * the new tokens added.
 */
export function cachedDecoder(
  g: Graph,
  config: ModelConfig,
  w: CachedWeights,
  inputs: CachedInputs,
): { hidden: Tensor; present: LayerCache[] } {
  const { hiddenSize, heads, kvHeads, headDim, normEps } = config;
  const { tokens, positions, bias, past, behind, total } = inputs;
  const [batch, time] = tokens.shape as [Dim, Dim];
  const flat = time === 1 ? batch : `${batch}*${time}`;
  const size = time === 1 ? null : shapeOf(g, tokens);
  const headed = new Map(
    size ? [heads, kvHeads].map((n) => [n, concat(g, [size, g.indices([n, headDim])], 0)]) : [],
  );
  // [rows, n·d] → [batch, n, time, d] and back
  const byHead = (x: Tensor, n: number) =>
    size
      ? transpose(g, reshapeTo(g, x, headed.get(n)!, [batch, time, n, headDim]), [0, 2, 1, 3])
      : reshape(g, x, [batch, n, 1, headDim]);
  const byRow = (x: Tensor) =>
    reshape(g, size ? transpose(g, x, [0, 2, 1, 3]) : x, [flat, heads * headDim]);
  const present: LayerCache[] = [];
  const lengths = behind && lengthsOf(g, [behind[0]!, past![0]!], 1);
  let x = reshape(g, gatherRows(g, w.embedding, tokens), [flat, hiddenSize]);
  let normed = rmsNorm(g, x, w.layers[0]!.inputNorm, normEps);
  const advance = (y: Tensor, norm: Tensor) => {
    [x, normed] = addNorm(g, x, y, norm, normEps);
  };
  for (const [i, layer] of w.layers.entries()) {
    const turn = (y: Tensor, n: number, norm?: Tensor) => {
      const split = byHead(y, n);
      return rotary(g, norm ? rmsNorm(g, split, norm, normEps) : split, positions, w.tables);
    };
    const [q, k, v] = apply(g, layer.qkv, normed);
    const query = turn(q!, heads, layer.headNorms?.[0]);
    const grow = (before: Tensor | undefined, y: Tensor) =>
      before ? concat(g, [before, y], 2, total) : y;
    const own = {
      key: grow(past?.[i]?.key, turn(k!, kvHeads, layer.headNorms?.[1])),
      value: grow(past?.[i]?.value, byHead(v!, kvHeads)),
    };
    const o = behind
      ? attendBehind(g, config, query, behind[i]!, own, bias, lengths!)
      : attend(g, config, query, own, bias);
    present.push(own);
    advance(apply(g, layer.output, byRow(o))[0]!, layer.postNorm);
    const [gate, up] = apply(g, layer.gateUp, normed);
    const down = apply(g, layer.down, mul(g, silu(g, gate!), up!))[0]!;
    advance(down, w.layers[i + 1]?.inputNorm ?? w.norm);
  }
  return { hidden: normed, present };
}

/** The sum and its norm, in one pass. */
function addNorm(g: Graph, x: Tensor, y: Tensor, w: Tensor, eps: number): [Tensor, Tensor] {
  const [normed, sum] = g.emit(
    "SkipSimplifiedLayerNormalization",
    [x, y, w],
    [x, null, null, x],
    { epsilon: { float: eps } },
    "com.microsoft",
  ) as [Tensor, Tensor];
  return [sum, normed];
}
