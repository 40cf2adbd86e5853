/**
 * Drawing one token per row inside a graph, by inverse CDF of the tempered softmax.
 * The uniforms come from the host, so a row's tokens depend on its own seed alone. Two levels
 * (blocks of 64, then within one block) avoid a vocabulary-squared triangle. Sums that round are
 * taken of whole blocks and by products: the CPU sums a row of any length in another order for each
 * place in memory that it may begin at.
 */
import type { Graph } from "../graph/graph.ts";
import { add, cast, compare, mul, sub, where } from "../graph/ops/elementwise.ts";
import { matmul } from "../graph/ops/linear.ts";
import { reduceSum, reshape, slice } from "../graph/ops/shape.ts";
import type { Dim, Tensor } from "../graph/tensor.ts";

const BLOCK = 64;
/** Largest uniform handed in, and the factor that keeps a draw inside its block. */
export const UNIFORM_STEPS = 2 ** 23;

/** Settings of each row, [rows, 1]. */
export interface DrawControls {
  /** 1/temperature (1 when greedy: logprobs are then those of temperature 1). */
  inverseTemperature: Tensor;
  /** bool: take the most likely token. */
  greedy: Tensor;
  /** Some rows draw from their most likely tokens only. */
  truncation: {
    /** int32: number of tokens; the vocabulary's size is all. */
    topK: Tensor;
    /** Share of their probability that is kept; above 1 is all. */
    topP: Tensor;
  } | null;
}

/** Declares the controls as graph inputs. */
export const drawControls = (g: Graph, truncated: boolean): DrawControls => ({
  inverseTemperature: g.input("inverse_temperature", "float32", ["batch", 1]),
  greedy: g.input("greedy", "bool", ["batch", 1]),
  truncation: truncated
    ? {
      topK: g.input("top_k", "int32", ["batch", 1]),
      topP: g.input("top_p", "float32", ["batch", 1]),
    }
    : null,
});

/** Upper-triangular ones [n, n]: x·U is the running sum of x. */
function triangle(g: Graph, n: number): Tensor {
  const data = new Float32Array(n * n);
  for (let i = 0; i < n; i++) data.fill(1, i * n + i, (i + 1) * n);
  return g.constant(data, [n, n], `running_sum_${n}`);
}

export interface DrawTables {
  within: Tensor;
  across: Tensor;
}

/** The triangles a vocabulary needs; made once in the root graph. */
export function drawTables(g: Graph, vocab: number): DrawTables {
  const blocks = Math.ceil(vocab / BLOCK);
  const within = triangle(g, BLOCK);
  return { within, across: blocks === BLOCK ? within : triangle(g, blocks) };
}

/**
 * logits [rows, vocab], uniform [rows, 1] → token int32 [rows, 1] and its logprob [rows, 1] under
 * the distribution drawn from.
 */
export function drawToken(
  g: Graph,
  logits: Tensor,
  uniform: Tensor,
  controls: DrawControls,
  tables: DrawTables,
): { token: Tensor; logprob: Tensor } {
  const [rows, vocab] = logits.shape as [Dim, number];
  const blocks = Math.ceil(vocab / BLOCK);
  const logp = g.emit1(
    "LogSoftmax",
    [mul(g, logits, controls.inverseTemperature)],
    logits.shape,
    { axis: -1 },
  );
  const whole = g.emit1("Exp", [logp], logits.shape);
  const { truncation } = controls;
  const kept = truncation && mostLikely(g, whole, truncation, tables);
  const p = kept ? mul(g, whole, kept.mask) : whole;
  const grid = inBlocks(g, p);

  // Level 1: the first block whose running sum exceeds u·total.
  const sums = matmul(g, reduceSum(g, grid, [2]), tables.across);
  const last = sliceLast(g, sums, blocks);
  const aim = mul(g, uniform, last);
  const block = countUpTo(g, sums, aim);
  const before = g.emit1("Pad", [sums, g.indices([0, 1, 0, 0])], [rows, blocks + 1]);
  const start = g.emit1("GatherElements", [before, block], [rows, 1], { axis: 1 });

  // Level 2: the same within the block; the aim stays below the block's own total.
  const row = g.emit1("GatherND", [grid, cast(g, block, "int64")], [rows, BLOCK], {
    batch_dims: 1,
  });
  const inner = matmul(g, row, tables.within);
  const limit = mul(g, sliceLast(g, inner, BLOCK), g.scalar(1 - 2 / UNIFORM_STEPS));
  const rest = g.emit1("Min", [sub(g, aim, start), limit], [rows, 1]);
  const offset = countUpTo(g, inner, rest);
  const base = g.emit1("Mul", [block, g.constant(Int32Array.of(BLOCK), [])], [rows, 1]);
  const drawn = g.emit1("Add", [base, offset], [rows, 1]);

  const best = cast(
    g,
    g.emit1("ArgMax", [logits], [rows, 1], { axis: 1, keepdims: 1 }, { dtype: "int64" }),
    "int32",
  );
  const token = where(g, controls.greedy, best, drawn);
  const logprob = g.emit1("GatherElements", [logp, token], [rows, 1], { axis: 1 });
  if (!kept) return { token, logprob };
  // Of all tokens the logarithm is exactly 0, whatever rounding has made of their sum.
  const logMass = where(g, kept.all, g.scalar(0), logOfRows(g, last));
  return { token, logprob: sub(g, logprob, logMass) };
}

/** p [rows, vocab] → [rows, blocks, 64], the last block filled up with zeros. */
function inBlocks(g: Graph, p: Tensor): Tensor {
  const [rows, vocab] = p.shape as [Dim, number];
  const blocks = Math.ceil(vocab / BLOCK);
  const spare = blocks * BLOCK - vocab;
  const padded = spare === 0
    ? p
    : g.emit1("Pad", [p, g.indices([0, 0, 0, spare])], [rows, blocks * BLOCK]);
  return reshape(g, padded, [rows, blocks, BLOCK]);
}

/**
 * The tokens that a row may draw: of its `topK` most likely ones the smallest set that holds the
 * share `topP` of their probability, at least one. Of equal probabilities the first tokens stay.
 * `mask` [rows, vocab] is 1 for them and 0 elsewhere; `all` [rows, 1] tells where nothing is cut.
 */
function mostLikely(
  g: Graph,
  p: Tensor,
  { topK, topP }: NonNullable<DrawControls["truncation"]>,
  tables: DrawTables,
): { mask: Tensor; all: Tensor } {
  const [rows, vocab] = p.shape as [Dim, number];
  const [sorted, order] = g.emit(
    "TopK",
    [p, g.indices([vocab])],
    [{ dtype: "float32", shape: p.shape }, { dtype: "int64", shape: p.shape }],
    { axis: 1, largest: 1, sorted: 1 },
  ) as [Tensor, Tensor];
  const ranks = g.constant(Int32Array.from({ length: vocab }, (_, i) => i), [1, vocab]);
  const among = cast(g, compare(g, "Less", ranks, topK), "float32");
  const candidates = mul(g, sorted, among);
  // Running sums before each rank, in two levels as below.
  const grid = inBlocks(g, candidates);
  const sums = reduceSum(g, grid, [2]);
  const upTo = matmul(g, sums, tables.across);
  const before = g.emit1("Unsqueeze", [
    sub(g, upTo, sums),
    g.indices([2]),
  ], [rows, grid.shape[1]!, 1]);
  const within = sub(g, matmul(g, grid, tables.within), grid);
  const running = slice(
    g,
    reshape(g, add(g, before, within), [rows, Number(grid.shape[1]) * BLOCK]),
    1,
    0,
    vocab,
  );
  const reach = mul(g, topP, sliceLast(g, upTo, Number(grid.shape[1])));
  // The first one always stays, whatever rounding has left of the sum before it.
  const inReach = compare(g, "Or", compare(g, "Less", running, reach), isFirst(g, vocab));
  const stays = mul(g, among, cast(g, inReach, "float32"));
  const mask = g.emit1("ScatterElements", [stays, order, stays], p.shape, { axis: 1 });
  const all = compare(g, "Equal", reduceSum(g, stays, [1], true), g.scalar(vocab));
  return { mask, all };
}

/**
 * Logarithm of x [rows, 1]. The CPU takes it of several numbers at a time, and of what is left over
 * in another way with other last bits: of sixteen copies of each number nothing is left over, so
 * that a row has the same bits beside any others.
 */
function logOfRows(g: Graph, x: Tensor): Tensor {
  const copies = mul(g, x, g.constant(new Float32Array(16).fill(1), [1, 16]));
  return slice(g, g.emit1("Log", [copies], copies.shape), 1, 0, 1);
}

const isFirst = (g: Graph, vocab: number): Tensor =>
  g.constant(Uint8Array.from({ length: vocab }, (_, i) => i === 0 ? 1 : 0), [1, vocab]);

/** Number of entries of each row that are ≤ the row's aim, int32 [rows, 1]. */
function countUpTo(g: Graph, running: Tensor, aim: Tensor): Tensor {
  const below = cast(g, compare(g, "LessOrEqual", running, aim), "float32");
  return cast(g, reduceSum(g, below, [1], true), "int32");
}

/** Last column, [rows, 1]. */
function sliceLast(g: Graph, x: Tensor, size: number): Tensor {
  return g.emit1(
    "Slice",
    [x, g.indices([size - 1]), g.indices([size]), g.indices([1])],
    [x.shape[0]!, 1],
  );
}
