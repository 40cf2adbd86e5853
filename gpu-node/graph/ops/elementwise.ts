/**
 * Elementwise operations, each with its gradient beside it. Operands broadcast; the gradient of a
 * broadcast operand is summed back to its shape.
 */
import type { Graph } from "../graph.ts";
import { broadcastShape, type Dtype, sameShape, type Shape, type Tensor } from "../tensor.ts";
import { reduceSum, reshape } from "./shape.ts";

/** Sums `dy` over the axes along which an operand of shape `shape` was broadcast. */
export function unbroadcast(g: Graph, dy: Tensor, shape: Shape): Tensor {
  if (sameShape(dy.shape, shape)) return dy;
  const lead = dy.shape.length - shape.length;
  const axes = dy.shape.map((_, i) => i).filter((i) =>
    i < lead || (shape[i - lead] === 1 && dy.shape[i] !== 1)
  );
  const summed = reduceSum(g, dy, axes);
  return sameShape(summed.shape, shape) ? summed : reshape(g, summed, shape);
}

const binary = (g: Graph, op: string, a: Tensor, b: Tensor, dtype?: Dtype): Tensor =>
  g.emit1(op, [a, b], broadcastShape(op, a, b), {}, dtype ? { dtype } : {});

const unary = (g: Graph, op: string, x: Tensor): Tensor => g.emit1(op, [x], x.shape);

export function add(g: Graph, a: Tensor, b: Tensor): Tensor {
  return g.record(
    [a, b],
    binary(g, "Add", a, b),
    (dy) => [unbroadcast(g, dy, a.shape), unbroadcast(g, dy, b.shape)],
  );
}

export function sub(g: Graph, a: Tensor, b: Tensor): Tensor {
  return g.record(
    [a, b],
    binary(g, "Sub", a, b),
    (dy) => [unbroadcast(g, dy, a.shape), unbroadcast(g, neg(g, dy), b.shape)],
  );
}

export function mul(g: Graph, a: Tensor, b: Tensor): Tensor {
  return g.record([a, b], binary(g, "Mul", widened(g, a), widened(g, b)), (dy) => [
    unbroadcast(g, mul(g, dy, b), a.shape),
    unbroadcast(g, mul(g, dy, a), b.shape),
  ]);
}

export function div(g: Graph, a: Tensor, b: Tensor): Tensor {
  const y = binary(g, "Div", a, b);
  return g.record([a, b], y, (dy) => {
    const da = div(g, dy, b);
    return [unbroadcast(g, da, a.shape), unbroadcast(g, neg(g, mul(g, da, y)), b.shape)];
  });
}

/** The smaller of both; where they are equal, the gradient goes to `a`. */
export const minimum = (g: Graph, a: Tensor, b: Tensor): Tensor => chosen(g, "LessOrEqual", a, b);

/** The larger of both; where they are equal, the gradient goes to `a`. */
export const maximum = (g: Graph, a: Tensor, b: Tensor): Tensor =>
  chosen(g, "GreaterOrEqual", a, b);

function chosen(g: Graph, op: "LessOrEqual" | "GreaterOrEqual", a: Tensor, b: Tensor): Tensor {
  const first = compare(g, op, a, b);
  const none = g.scalar(0);
  return g.record([a, b], where(g, first, a, b), (dy) => [
    unbroadcast(g, where(g, first, dy, none), a.shape),
    unbroadcast(g, where(g, first, none, dy), b.shape),
  ]);
}

export function neg(g: Graph, x: Tensor): Tensor {
  return g.record([x], unary(g, "Neg", x), (dy) => [neg(g, dy)]);
}

export function exp(g: Graph, x: Tensor): Tensor {
  const y = unary(g, "Exp", x);
  return g.record([x], y, (dy) => [mul(g, dy, y)]);
}

export function log(g: Graph, x: Tensor): Tensor {
  return g.record([x], unary(g, "Log", x), (dy) => [div(g, dy, x)]);
}

export function sqrt(g: Graph, x: Tensor): Tensor {
  const y = unary(g, "Sqrt", x);
  return g.record([x], y, (dy) => [div(g, mul(g, dy, g.scalar(0.5)), y)]);
}

export function tanh(g: Graph, x: Tensor): Tensor {
  const y = unary(g, "Tanh", x);
  return g.record([x], y, (dy) => [mul(g, dy, sub(g, g.scalar(1), mul(g, y, y)))]);
}

export function sigmoid(g: Graph, x: Tensor): Tensor {
  const y = unary(g, "Sigmoid", x);
  return g.record([x], y, (dy) => [mul(g, dy, mul(g, y, sub(g, g.scalar(1), y)))]);
}

/** x·sigmoid(x), the activation of Llama's feed-forward block. */
export function silu(g: Graph, x: Tensor): Tensor {
  // QuickGelu with alpha 1 is SiLU in one pass.
  const y = g.emit1("QuickGelu", [x], x.shape, { alpha: { float: 1 } }, {
    domain: "com.microsoft",
  });
  return g.record([x], y, (dy) => {
    const s = unary(g, "Sigmoid", x);
    // d silu = s + y·(1 − s) = s·(1 − y) + y
    const slope = add(g, mul(g, s, sub(g, g.scalar(1), y)), y);
    return [mul(g, dy, slope)];
  });
}

/** Element type conversion; carries no gradient. */
export function cast(g: Graph, x: Tensor, dtype: Exclude<Dtype, "float16">): Tensor {
  const code = { float32: 1, int32: 6, int64: 7, bool: 9 }[dtype];
  return g.emit1("Cast", [x], x.shape, { to: code }, { dtype });
}

/** A weight as float32, where it is used: one that is held as float16 is never whole in both. */
export const widened = (g: Graph, x: Tensor): Tensor =>
  x.dtype === "float16" ? cast(g, x, "float32") : x;

/** Boolean comparison or logic of two tensors; carries no gradient. */
export const compare = (
  g: Graph,
  op: "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "Equal" | "And" | "Or",
  a: Tensor,
  b: Tensor,
): Tensor => binary(g, op, a, b, "bool");

/** Elementwise choice between two tensors of one type; carries no gradient. */
export function where(g: Graph, condition: Tensor, a: Tensor, b: Tensor): Tensor {
  const shape = broadcastShape("Where", condition, { ...a, shape: broadcastShape("Where", a, b) });
  return g.emit1("Where", [condition, a, b], shape, {}, { dtype: a.dtype });
}
