/**
 * Attention of new queries on cached keys and values, grouped heads included: on one piece of
 * cache, or on one that is only read and one that grows behind it.
 */
import type { Graph } from "../graph/graph.ts";
import { add } from "../graph/ops/elementwise.ts";
import { matmul } from "../graph/ops/linear.ts";
import { softmax } from "../graph/ops/nn.ts";
import { concat, dimension, reshape, swapLast, transpose } from "../graph/ops/shape.ts";
import type { Dim, Tensor } from "../graph/tensor.ts";
import type { ModelConfig } from "./config.ts";

/** Keys and values of one layer, each [batch, kvHeads, length, headDim]. */
export interface LayerCache {
  key: Tensor;
  value: Tensor;
}

/**
 * q [batch, heads, time, d] on keys and values of length `total`, bias [batch, 1, time, total].
 * One query per row: the heads of a group become query rows of one product, so keys are read once
 * per group.
 */
export function attend(
  g: Graph,
  { heads, kvHeads, headDim }: ModelConfig,
  q: Tensor,
  { key, value }: LayerCache,
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

/**
 * One query per row, q [batch, heads, 1, d], on the keys of two pieces, of which the first is
 * masked by `bias` [batch, 1, 1, length]. That one may have a row per prompt instead of a row per
 * query: queries of one prompt follow each other and become rows of one product with its keys.
 * `lengths` int64 [2] are those of the pieces (lengthsOf).
 */
export function attendBehind(
  g: Graph,
  { heads, kvHeads, headDim }: ModelConfig,
  q: Tensor,
  behind: LayerCache,
  own: LayerCache,
  bias: Tensor,
  lengths: Tensor,
): Tensor {
  const batch = q.shape[0]!;
  const queries = reshape(g, q, [batch, kvHeads, heads / kvHeads, headDim]);
  const pieces = [behind, own];
  const on = (x: Tensor, y: Tensor) => y.shape[0] === batch ? matmul(g, x, y) : onShared(g, x, y);
  const scores = pieces.map(({ key }) => on(queries, swapLast(g, key)));
  scores[0] = add(g, scores[0]!, bias);
  const all = softmax(g, concat(g, scores, 3, "all"));
  const weights = g.emit(
    "Split",
    [all, lengths],
    scores.map(({ dtype, shape }) => ({ dtype, shape })),
    { axis: 3 },
  );
  const [first, second] = pieces.map(({ value }, i) => on(weights[i]!, value));
  return reshape(g, add(g, first!, second!), [batch, heads, 1, headDim]);
}

/** Run-time lengths of pieces of cache, int64 [pieces]; `more` new keys in the last. */
export function lengthsOf(g: Graph, pieces: readonly LayerCache[], more: number): Tensor {
  const lengths = concat(g, pieces.map(({ key }) => size(g, key, 2)), 0);
  const added = BigInt64Array.from(pieces, (_, i) => i === pieces.length - 1 ? BigInt(more) : 0n);
  return add(g, lengths, g.constant(added, [pieces.length]));
}

/** x [prompts·group, kvHeads, rows, k] · y [prompts, kvHeads, k, n], a group on each of y. */
function onShared(g: Graph, x: Tensor, y: Tensor): Tensor {
  const [batch, kvHeads, rows, k] = x.shape as [Dim, number, number, Dim];
  const [prompts, , , n] = y.shape as [Dim, number, Dim, Dim];
  const to = (t: Tensor, sizes: Tensor[], shape: Dim[]) =>
    g.emit1("Reshape", [t, concat(g, sizes, 0)], shape);
  const [width, columns] = [size(g, x, 3), size(g, y, 3)];
  const grouped = to(x, [size(g, y, 0), g.indices([-1, kvHeads, rows]), width], [
    prompts,
    "group",
    kvHeads,
    rows,
    k,
  ]);
  const byHead = to(
    transpose(g, grouped, [0, 2, 1, 3, 4]),
    [g.indices([0, 0, -1]), width],
    [prompts, kvHeads, "group*rows", k],
  );
  const product = to(
    matmul(g, byHead, y),
    [g.indices([0, 0, -1, rows]), columns],
    [prompts, kvHeads, "group", rows, n],
  );
  return to(
    transpose(g, product, [0, 2, 1, 3, 4]),
    [g.indices([-1, kvHeads, rows]), columns],
    [batch, kvHeads, rows, n],
  );
}

/** Run-time size of one dimension, int64 [1]. */
const size = (g: Graph, x: Tensor, axis: number): Tensor =>
  g.emit1("Unsqueeze", [dimension(g, x, axis), g.indices([0])], [1]);
