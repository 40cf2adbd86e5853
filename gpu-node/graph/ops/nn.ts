/**
 * The fused operations of a decoder: softmax, RMS normalisation, rotary embedding, causal
 * attention, log-probabilities of tokens. Forward in as few passes over memory as ONNX Runtime
 * offers, gradient by hand beside it.
 */
import type { Graph } from "../graph.ts";
import { shapeError, type Tensor } from "../tensor.ts";
import { add, mul, neg, sigmoid, sub } from "./elementwise.ts";
import { matmul } from "./linear.ts";
import { reduceSum, reshape, shapeOf, swapLast } from "./shape.ts";

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

/** x·w / sqrt(mean(x²) + eps) over the last axis; x [n, d], w [d]. */
export function rmsNorm(g: Graph, x: Tensor, w: Tensor, eps: number): Tensor {
  const [rows, width] = x.shape;
  if (x.shape.length !== 2 || typeof width !== "number" || w.shape[0] !== width) {
    shapeError("rmsNorm", "expected [rows, d] and [d]", x, w);
  }
  const column = [rows!, 1];
  const [y, inverse] = g.emit(
    "SimplifiedLayerNormalization",
    [x, w],
    [{ dtype: "float32", shape: x.shape }, { dtype: "float32", shape: column }],
    { axis: -1, epsilon: { float: eps }, stash_type: 1 },
  ) as [Tensor, Tensor];
  return g.record([x, w], y, (dy) => {
    // With e = dy∘x: dw = Σ inverse·e over rows, dx = inverse·(dy∘w) − x·(inverse³·(e·w)/d).
    const e = mul(g, dy, x);
    const dw = reduceSum(g, mul(g, e, inverse), [0]);
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
 * Rotary position embedding (rotate-half layout) of x [batch, heads, time, head_dim].
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
 * Scaled dot-product attention with an additive bias: q [.., t, d], k and v [.., s, d],
 * bias broadcast to [.., t, s] and taken as constant; leading axes of k and v may be 1.
 * The gradient uses rowsum(dP∘P) = rowsum(dO∘O), so that no extra [t, s] pass is needed.
 */
export function attention(g: Graph, q: Tensor, k: Tensor, v: Tensor, bias: Tensor): Tensor {
  const depth = q.shape.at(-1);
  if (typeof depth !== "number") shapeError("attention", "head size is not fixed", q);
  const scale = g.scalar(1 / Math.sqrt(depth));
  const [scaled, p, o] = g.quietly(() => {
    const scaled = mul(g, q, scale);
    const scores = add(g, matmul(g, scaled, swapLast(g, k)), bias);
    const p = softmax(g, scores);
    return [scaled, p, matmul(g, p, v)] as const;
  });
  const fold = (dy: Tensor, x: Tensor) => foldTo(g, dy, x);
  return g.record([q, k, v], o, (dO) => {
    const dP = matmul(g, dO, swapLast(g, v));
    const dS = mul(g, p, sub(g, dP, reduceSum(g, mul(g, dO, o), [-1], true)));
    return [
      fold(mul(g, matmul(g, dS, k), scale), q),
      fold(matmul(g, swapLast(g, dS), scaled), k),
      fold(matmul(g, swapLast(g, p), dO), v),
    ];
  });
}

/** Sums over the axes along which x was broadcast (grouped-query attention). */
function foldTo(g: Graph, dy: Tensor, x: Tensor): Tensor {
  const axes = x.shape.map((_, i) => i).filter((i) => x.shape[i] === 1 && dy.shape[i] !== 1);
  return axes.length ? reduceSum(g, dy, axes, true) : dy;
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
  const size = g.emit1(
    "Gather",
    [shapeOf(g, like), g.constant(BigInt64Array.of(BigInt(axis)), [])],
    [],
    { axis: 0 },
    { dtype: "int64" },
  );
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
