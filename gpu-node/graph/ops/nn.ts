/**
 * The fused operations of a decoder: softmax, RMS normalisation, rotary embedding, causal
 * attention, log-probabilities of tokens. Forward in as few passes over memory as ONNX Runtime
 * offers, gradient by hand beside it.
 */
import type { Graph } from "../graph.ts";
import { type Dim, shapeError, type Tensor } from "../tensor.ts";
import { add, mul, neg, sigmoid, sub } from "./elementwise.ts";
import { matmul } from "./linear.ts";
import { dimension, reduceSum, reshape, transpose } from "./shape.ts";

/** Softmax over the last axis. */
export function softmax(g: Graph, x: Tensor): Tensor {
  const y = g.emit1("Softmax", [x], x.shape, { axis: -1 });
  return g.record([x], y, (dy) => [
    mul(g, y, sub(g, dy, reduceSum(g, mul(g, dy, y), [-1], true))),
  ]);
}

/** silu(gate)∘up, the gated activation of Llama's feed-forward block. */
export function swiglu(g: Graph, gate: Tensor, up: Tensor): Tensor {
  const [s, y, h] = g.quietly(() => {
    const s = sigmoid(g, gate);
    const y = mul(g, gate, s);
    return [s, y, mul(g, y, up)] as const;
  });
  // d silu = s + y − s·y
  return g.record([gate, up], h, (dh) => [
    mul(g, mul(g, dh, up), sub(g, add(g, s, y), mul(g, s, y))),
    mul(g, dh, y),
  ]);
}

/** x·w / sqrt(mean(x²) + eps) over the last axis; x [..., d], w [d]. */
export function rmsNorm(g: Graph, x: Tensor, w: Tensor, eps: number): Tensor {
  const rows = x.shape.slice(0, -1);
  const width = x.shape.at(-1);
  if (typeof width !== "number" || w.shape[0] !== width) {
    shapeError("rmsNorm", "expected [..., d] and [d]", x, w);
  }
  const column = [...rows, 1];
  const [y, inverse] = g.emit(
    "SimplifiedLayerNormalization",
    [x, w],
    [{ dtype: "float32", shape: x.shape }, { dtype: "float32", shape: column }],
    { axis: -1, epsilon: { float: eps }, stash_type: 1 },
  ) as [Tensor, Tensor];
  return g.record([x, w], y, (dy) => {
    // With e = dy∘x: dw = Σ inverse·e over rows, dx = inverse·(dy∘w) − x·(inverse³·(e·w)/d).
    const e = mul(g, dy, x);
    const dw = reduceSum(g, mul(g, e, inverse), [...rows.keys()]);
    const inner = matmul(g, e, reshape(g, w, [width, 1]));
    const cube = mul(g, mul(g, inverse, inverse), mul(g, inverse, g.scalar(1 / width)));
    return [
      sub(g, mul(g, mul(g, dy, w), inverse), mul(g, x, mul(g, inner, cube))),
      dw,
    ];
  });
}

/** Rotary tables: cos and sin [positions, head_dim/2]. */
export interface RotaryTables {
  cos: Tensor;
  sin: Tensor;
  /** −sin: the inverse rotation, which is the gradient. */
  minusSin: Tensor;
}

/**
 * Rotary position embedding (rotate-half layout) of x [batch, heads, time, head_dim], or of
 * x [batch, time, heads·head_dim].
 * `positions` is int64: [1] = position of the first token of every row, or [batch, time].
 */
export function rotary(g: Graph, x: Tensor, positions: Tensor, tables: RotaryTables): Tensor {
  const rotate = (t: Tensor, sin: Tensor) =>
    g.emit1("RotaryEmbedding", [t, positions, tables.cos, sin], t.shape, {}, {
      domain: "com.microsoft",
    });
  return g.record([x], rotate(x, tables.sin), (dy) => [rotate(dy, tables.minusSin)]);
}

/**
 * Dot-product attention with an additive bias: q [batch, time, heads, d] (already scaled), k and v
 * [batch, time, kvHeads, d], heads a multiple of kvHeads; bias [time, time], taken as constant.
 * Result [batch, time, heads, d]. The gradient uses rowsum(dP∘P) = rowsum(dO∘O), so that no
 * extra [time, time] pass is needed.
 */
export function attention(g: Graph, q: Tensor, k: Tensor, v: Tensor, bias: Tensor): Tensor {
  const [batch, time, heads, depth] = q.shape as [Dim, Dim, number, number];
  const kvHeads = k.shape[2] as number;
  if (heads % kvHeads !== 0) shapeError("attention", "heads are no multiple of kvHeads", q, k);
  const group = heads / kvHeads;
  // Rows [.., time, d] and columns [.., d, time] of a head. The runtime multiplies faster by
  // columns that were laid out once than by rows that it transposes on the way.
  const byHead = (x: Tensor, order: number[], per: number) => {
    const moved = transpose(g, x, order);
    const [rows, columns] = moved.shape.slice(2) as [Dim, Dim];
    return group === 1 ? moved : reshape(g, moved, [batch, kvHeads, per, rows, columns]);
  };
  const rowsOf = (x: Tensor, per: number) => byHead(x, [0, 2, 1, 3], per);
  const columnsOf = (x: Tensor, per: number) => byHead(x, [0, 2, 3, 1], per);
  const merge = (x: Tensor, n: number) =>
    transpose(g, group === 1 ? x : reshape(g, x, [batch, n, time, depth]), [0, 2, 1, 3]);
  const [p, o, out] = g.quietly(() => {
    const p = softmax(g, add(g, matmul(g, rowsOf(q, group), columnsOf(k, 1)), bias));
    const o = matmul(g, p, rowsOf(v, 1));
    return [p, o, merge(o, heads)] as const;
  });
  return g.record([q, k, v], out, (dOut) => {
    const dO = rowsOf(dOut, group);
    const dP = matmul(g, dO, columnsOf(v, 1));
    const dS = mul(g, p, sub(g, dP, reduceSum(g, mul(g, dO, o), [-1], true)));
    // xᵀ·weights [.., d, time], over the heads that share a key: a gradient of k or v.
    const shared = (x: Tensor, weights: Tensor) => {
      const columns = matmul(g, columnsOf(x, group), weights);
      return transpose(g, group === 1 ? columns : reduceSum(g, columns, [2]), [0, 3, 1, 2]);
    };
    return [merge(matmul(g, dS, rowsOf(k, 1)), heads), shared(q, dS), shared(dOut, p)];
  });
}

/**
 * log softmax(logits)[target] per row: logits [rows, vocab], targets int32 [rows] → [rows].
 * Gradient (onehot − softmax)·dy without a one-hot matrix.
 */
export function tokenLogprobs(g: Graph, logits: Tensor, targets: Tensor): Tensor {
  const [rows, vocab] = logits.shape;
  if (logits.shape.length !== 2 || targets.shape[0] !== rows || typeof vocab !== "number") {
    shapeError("tokenLogprobs", "expected [rows, vocab] and [rows]", logits, targets);
  }
  const all = g.emit1("LogSoftmax", [logits], logits.shape, { axis: -1 });
  const column = g.emit1("Unsqueeze", [targets, g.indices([1])], [rows!, 1]);
  const picked = g.emit1("GatherElements", [all, column], [rows!, 1], { axis: 1 });
  const y = g.emit1("Squeeze", [picked, g.indices([1])], [rows!]);
  return g.record([logits], y, (dy) => {
    const up = g.emit1("Unsqueeze", [dy, g.indices([1])], [rows!, 1]);
    const rest = neg(g, mul(g, g.emit1("Exp", [all], all.shape), up));
    return [
      g.emit1("ScatterElements", [rest, column, up], logits.shape, { axis: 1, reduction: "add" }),
    ];
  });
}

/** Causal bias [time, time]: 0 where key ≤ query, −1e9 elsewhere (finite, so rows stay finite). */
export function causalBias(g: Graph, like: Tensor, axis: number): Tensor {
  const time = like.shape[axis]!;
  const size = dimension(g, like, axis);
  const zero = g.constant(BigInt64Array.of(0n), []);
  const one = g.constant(BigInt64Array.of(1n), []);
  const range = g.emit1("Range", [zero, size, one], [time], {}, { dtype: "int64" });
  const keys = g.emit1("Unsqueeze", [range, g.indices([0])], [1, time]);
  const queries = g.emit1("Unsqueeze", [range, g.indices([1])], [time, 1]);
  const later = g.emit1("Greater", [keys, queries], [time, time], {}, { dtype: "bool" });
  return g.emit1("Where", [later, g.scalar(-1e9), g.scalar(0)], [time, time], {}, {
    dtype: "float32",
  });
}
