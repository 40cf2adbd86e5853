/**
 * Matrix products with their gradients. Weights keep the [out, in] layout of checkpoints, so that
 * nothing is transposed on import or export.
 */
import type { Graph } from "../graph.ts";
import { type Dim, type Shape, shapeError, type Tensor } from "../tensor.ts";
import { unbroadcast, widened } from "./elementwise.ts";
import { swapLast } from "./shape.ts";

/** Batched matrix product a [..., m, k] · b [..., k, n]; leading axes broadcast. */
export function matmul(g: Graph, a: Tensor, b: Tensor): Tensor {
  const [m, k] = a.shape.slice(-2) as [Dim, Dim];
  const [k2, n] = b.shape.slice(-2) as [Dim, Dim];
  if (k !== k2) shapeError("matmul", `inner dimensions ${k} and ${k2} differ`, a, b);
  const y = g.emit1("MatMul", [a, b], [...leading(a, b), m, n]);
  return g.record([a, b], y, (dy) => [
    unbroadcast(g, matmul(g, dy, swapLast(g, b)), a.shape),
    unbroadcast(g, matmul(g, swapLast(g, a), dy), b.shape),
  ]);
}

function leading(a: Tensor, b: Tensor): Shape {
  const [x, y] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const rank = Math.max(x.length, y.length);
  return Array.from({ length: rank }, (_, i) => {
    const p = x[x.length - rank + i] ?? 1;
    const q = y[y.length - rank + i] ?? 1;
    if (p !== q && p !== 1 && q !== 1) shapeError("matmul", `batch ${p} and ${q} differ`, a, b);
    return p === 1 ? q : p;
  });
}

/** x [n, in] · wᵀ with w [out, in], and `plus` [out] or [n, out] added in the same pass. */
export function linear(g: Graph, x: Tensor, w: Tensor, plus?: Tensor): Tensor {
  if (x.shape.length !== 2 || w.shape.length !== 2 || x.shape[1] !== w.shape[1]) {
    shapeError("linear", "expected [n, in] and [out, in]", x, w);
  }
  const y = gemm(g, x, w, false, true, [x.shape[0]!, w.shape[0]!], plus);
  return g.record(plus ? [x, w, plus] : [x, w], y, (dy) => [
    gemm(g, dy, w, false, false, x.shape),
    weightGradient(g, dy, x, w.shape),
    plus ? unbroadcast(g, dy, plus.shape) : null,
  ]);
}

/** Widths below this fill less than the runtime's vectors. */
const THIN = 32;

/**
 * dyᵀ·x. For a thin x the other way round, (xᵀ·dy)ᵀ, so that the runtime's vectors run along dy.
 * It would turn a plain transpose of the product back into the slow form, hence the third axis.
 */
function weightGradient(g: Graph, dy: Tensor, x: Tensor, [out, width]: Shape): Tensor {
  if (Number(width) >= THIN) return gemm(g, dy, x, true, false, [out!, width!]);
  const sides = [Number(out), Number(width)] as const;
  const product = gemm(g, x, dy, true, false, [width!, out!]);
  const cube = g.emit1("Reshape", [product, g.indices([sides[1], sides[0], 1])], [
    sides[1],
    sides[0],
    1,
  ]);
  const turned = g.emit1("Transpose", [cube], [...sides, 1], { perm: [1, 0, 2] });
  return g.emit1("Reshape", [turned, g.indices(sides)], [out!, width!]);
}

function gemm(
  g: Graph,
  a: Tensor,
  b: Tensor,
  tA: boolean,
  tB: boolean,
  shape: Shape,
  plus?: Tensor,
): Tensor {
  const factors = [widened(g, a), widened(g, b)];
  return g.emit1("Gemm", plus ? [...factors, plus] : factors, shape, {
    transA: tA ? 1 : 0,
    transB: tB ? 1 : 0,
  });
}
