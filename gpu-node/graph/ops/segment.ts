/**
 * Sums over segments of a vector, and values of segments spread over their elements: the two
 * directions of "per sequence" and "per token". Each is the other's gradient.
 */
import type { Graph } from "../graph.ts";
import { type Dim, shapeError, type Tensor } from "../tensor.ts";

/**
 * Σ of x [n] over the elements of each segment → [count].
 * `segment` int32 [n] says where an element belongs; `size` int64 [1] holds the value of `count`.
 */
export function segmentSum(
  g: Graph,
  x: Tensor,
  segment: Tensor,
  size: Tensor,
  count: Dim,
): Tensor {
  if (x.shape.length !== 1 || segment.shape[0] !== x.shape[0]) {
    shapeError("segmentSum", "expected two vectors of one length", x, segment);
  }
  const zeros = g.emit1("ConstantOfShape", [size], [count], {}, { dtype: "float32" });
  const index = g.emit1("Cast", [segment], segment.shape, { to: 7 }, { dtype: "int64" });
  const y = g.emit1("ScatterElements", [zeros, index, x], [count], { axis: 0, reduction: "add" });
  return g.record([x], y, (dy) => [spread(g, dy, segment)]);
}

/** The value of each element's segment: x [count], segment int32 [n] → [n]. */
export function spread(g: Graph, x: Tensor, segment: Tensor): Tensor {
  const y = g.emit1("Gather", [x, segment], segment.shape, { axis: 0 });
  return g.record([x], y, (dy) => {
    const size = g.emit1("Shape", [x], [1], {}, { dtype: "int64" });
    return [segmentSum(g, dy, segment, size, x.shape[0]!)];
  });
}
