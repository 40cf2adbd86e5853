/**
 * Operations that move or sum elements: reshape, transpose, concat, slice, gather, reductions.
 * Each with its gradient beside it.
 */
import type { Graph } from "../graph.ts";
import { axisOf, type Dim, sameVolume, type Shape, shapeError, type Tensor } from "../tensor.ts";
import { mul, widened } from "./elementwise.ts";

/** Same elements, other shape. At most one named dimension may move to another position. */
export function reshape(g: Graph, x: Tensor, shape: Shape): Tensor {
  if (!sameVolume(x.shape, shape)) {
    shapeError("reshape", `[${shape.join(",")}] has another size`, x);
  }
  let free = 0;
  const target = shape.map((dim, i) => {
    if (typeof dim === "number") return dim;
    if (x.shape[i] === dim) return 0; // ONNX: copy this dimension from the input
    free++;
    return -1;
  });
  if (free > 1) shapeError("reshape", `[${shape.join(",")}] moves two named dimensions`, x);
  return g.record(
    [x],
    g.emit1("Reshape", [x, g.indices(target)], shape),
    (dy) => [reshapeLike(g, dy, x)],
  );
}

/** Reshape to the run-time shape of another tensor with the same number of elements. */
export function reshapeLike(g: Graph, x: Tensor, like: Tensor): Tensor {
  if (!sameVolume(x.shape, like.shape)) shapeError("reshapeLike", "sizes differ", x, like);
  const y = g.emit1("Reshape", [x, shapeOf(g, like)], like.shape);
  return g.record([x], y, (dy) => [reshapeLike(g, dy, x)]);
}

/** Reshape to a shape computed at run time: `vector` is int64 and agrees with `shape`. */
export function reshapeTo(g: Graph, x: Tensor, vector: Tensor, shape: Shape): Tensor {
  if (!sameVolume(x.shape, shape)) {
    shapeError("reshapeTo", `[${shape.join(",")}] has another size`, x);
  }
  const y = g.emit1("Reshape", [x, vector], shape);
  return g.record([x], y, (dy) => [reshapeLike(g, dy, x)]);
}

/** Run-time size of one dimension, an int64 scalar. */
export const dimension = (g: Graph, x: Tensor, axis: number): Tensor =>
  g.emit1("Gather", [shapeOf(g, x), g.constant(BigInt64Array.of(BigInt(axis)), [])], [], {
    axis: 0,
  });

/** Run-time shape as an int64 vector. */
export const shapeOf = (g: Graph, x: Tensor): Tensor =>
  g.emit1("Shape", [x], [x.shape.length], {}, { dtype: "int64" });

export function transpose(g: Graph, x: Tensor, order: readonly number[]): Tensor {
  const y = g.emit1("Transpose", [x], order.map((i) => x.shape[i]!), { perm: [...order] });
  const inverse = order.map((_, i) => order.indexOf(i));
  return g.record([x], y, (dy) => [transpose(g, dy, inverse)]);
}

/** Swaps the last two axes. */
export function swapLast(g: Graph, x: Tensor): Tensor {
  const n = x.shape.length;
  return transpose(g, x, [...Array(n - 2).keys(), n - 1, n - 2]);
}

/** Joins along `axis`, whose dimensions must be numbers unless `joined` names the result. */
export function concat(g: Graph, parts: readonly Tensor[], axis: number, joined?: Dim): Tensor {
  const first = parts[0]!;
  const at = axisOf(axis, first.shape.length);
  const sizes = parts.map((p) => p.shape[at]!);
  for (const part of parts) {
    const fits = part.shape.length === first.shape.length &&
      part.shape.every((dim, i) => i === at || dim === first.shape[i]);
    if (!fits) shapeError("concat", `other axes than ${at} differ`, first, part);
  }
  const total = joined ?? sizes.reduce<number>((sum, dim) => sum + Number(dim), 0);
  const y = g.emit1("Concat", parts, first.shape.map((d, i) => i === at ? total : d), { axis: at });
  return g.record([...parts], y, (dy) => {
    let start = 0;
    return sizes.map((size) => slice(g, dy, at, start, start += Number(size)));
  });
}

/** Elements [start, end) along one axis of numeric size; negative ends count from the back. */
export function slice(g: Graph, x: Tensor, axis: number, start: number, end: number): Tensor {
  const at = axisOf(axis, x.shape.length);
  const size = x.shape[at];
  if (typeof size !== "number" || start < 0 || end > size || start >= end) {
    shapeError("slice", `range [${start}, ${end}) of axis ${at}`, x);
  }
  const shape = x.shape.map((d, i) => i === at ? end - start : d);
  const y = g.emit1("Slice", [x, g.indices([start]), g.indices([end]), g.indices([at])], shape);
  return g.record([x], y, (dy) => {
    const pads = Array(x.shape.length * 2).fill(0);
    pads[at] = start;
    pads[x.shape.length + at] = size - end;
    return [g.emit1("Pad", [dy, g.indices(pads)], x.shape)];
  });
}

/** Consecutive pieces of the given sizes along one axis; carries no gradient. */
export function split(g: Graph, x: Tensor, axis: number, sizes: readonly number[]): Tensor[] {
  const at = axisOf(axis, x.shape.length);
  if (sizes.reduce((a, b) => a + b, 0) !== x.shape[at]) {
    shapeError("split", `pieces ${sizes.join(" + ")} of axis ${at}`, x);
  }
  const outputs = sizes.map((size) => ({
    dtype: x.dtype,
    shape: x.shape.map((d, i) => i === at ? size : d),
  }));
  return g.emit("Split", [x, g.indices(sizes)], outputs, { axis: at });
}

/** Largest table whose gradient is a product with a one-hot matrix. */
const ONE_HOT_ROWS = 8192;

/** Rows of `table` [rows, width] chosen by int32 `index` [n], no row twice: result [n, width]. */
export function pickRows(g: Graph, table: Tensor, index: Tensor): Tensor {
  return g.record([table], gather(g, table, index), (dy) => {
    const column = g.emit1("Unsqueeze", [wide(g, index), g.indices([-1])], [...index.shape, 1]);
    return [g.emit1("ScatterND", [zerosLike(g, table), column, dy], table.shape)];
  });
}

/**
 * Rows of `table` [rows, width] chosen by int32 `index`: result [...index, width].
 * Rows may repeat; their gradients add up. The runtime's ScatterND adds repeated rows from several
 * threads at once and loses some; a product with a one-hot matrix is exact and fast for small
 * tables, ScatterElements (one row after the other) for large ones.
 */
export function gatherRows(g: Graph, table: Tensor, index: Tensor): Tensor {
  return g.record([table], gather(g, table, index), (dy) => {
    const [count, width] = table.shape as [number, number];
    if (count <= ONE_HOT_ROWS) {
      const ids = g.constant(Int32Array.from({ length: count }, (_, i) => i), [count, 1]);
      const flat = g.emit1("Reshape", [index, g.indices([1, -1])], [1, "n"]);
      const hits = g.emit1("Equal", [ids, flat], [count, "n"], {}, { dtype: "bool" });
      const oneHot = g.emit1("Cast", [hits], [count, "n"], { to: 1 }, { dtype: "float32" });
      const rows = g.emit1("Reshape", [dy, g.indices([-1, width])], ["n", width]);
      return [g.emit1("MatMul", [oneHot, rows], table.shape)];
    }
    const column = g.emit1("Reshape", [wide(g, index), g.indices([-1, 1])], ["n", 1]);
    const rows = g.emit1("Reshape", [dy, g.indices([-1, width])], ["n", width]);
    const each = g.emit1("Expand", [column, shapeOf(g, rows)], ["n", width]);
    return [
      g.emit1("ScatterElements", [zerosLike(g, table), each, rows], table.shape, {
        axis: 0,
        reduction: "add",
      }),
    ];
  });
}

const gather = (g: Graph, table: Tensor, index: Tensor): Tensor =>
  widened(
    g,
    g.emit1("Gather", [table, index], [...index.shape, ...table.shape.slice(1)], { axis: 0 }),
  );

const wide = (g: Graph, index: Tensor): Tensor =>
  g.emit1("Cast", [index], index.shape, { to: 7 }, { dtype: "int64" });

const zerosLike = (g: Graph, x: Tensor): Tensor =>
  g.emit1("ConstantOfShape", [shapeOf(g, x)], x.shape, {}, { dtype: "float32" });

/** Sum over axes, which disappear unless kept as 1. */
export function reduceSum(g: Graph, x: Tensor, axes: readonly number[], keep = false): Tensor {
  const at = axes.map((a) => axisOf(a, x.shape.length));
  const kept = x.shape.map((d, i) => at.includes(i) ? 1 : d);
  const shape = keep ? kept : x.shape.filter((_, i) => !at.includes(i));
  const y = at.length === 0
    ? x
    : g.emit1("ReduceSum", [x, g.indices(at)], shape, { keepdims: keep ? 1 : 0 });
  return g.record([x], y, (dy) => {
    const column = keep || at.length === 0 ? dy : g.emit1("Unsqueeze", [dy, g.indices(at)], kept);
    return [expandLike(g, column, x)];
  });
}

/** Mean over one axis of numeric size. */
export function reduceMean(g: Graph, x: Tensor, axis: number, keep = false): Tensor {
  const size = x.shape[axisOf(axis, x.shape.length)];
  if (typeof size !== "number") shapeError("reduceMean", `axis ${axis} has no fixed size`, x);
  return mul(g, reduceSum(g, x, [axis], keep), g.scalar(1 / size));
}

/** Broadcasts to the run-time shape of `like`. */
export function expandLike(g: Graph, x: Tensor, like: Tensor): Tensor {
  const y = g.emit1("Expand", [x, shapeOf(g, like)], like.shape);
  return g.record([x], y, (dy) => {
    const axes = x.shape.map((_, i) => i).filter((i) => x.shape[i] === 1 && dy.shape[i] !== 1);
    return [reduceSum(g, dy, axes, true)];
  });
}
