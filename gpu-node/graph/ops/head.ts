/**
 * Log-probabilities of tokens straight from hidden states, the vocabulary in pieces: the logits of
 * all rows never exist at once. Forward keeps one number per row, the log of the normaliser; the
 * gradient computes each piece of the logits again.
 */
import { Graph } from "../graph.ts";
import { type Dim, shapeError, type Tensor } from "../tensor.ts";
import { add, compare, exp, log, mul, neg, sub, widened } from "./elementwise.ts";
import { reduceSum } from "./shape.ts";

/** Columns of logits that exist at once: 134 MB for 16384 rows. */
const PIECE = 2048;

/** A cut of the vocabulary into `count` pieces of `width` words, the last of `last`. */
interface Cut {
  count: number;
  width: number;
  last: number;
}

/** Equal pieces where a count of up to twice the least divides the vocabulary. */
export function cutOf(vocab: number): Cut {
  const least = Math.ceil(vocab / PIECE);
  let count = least;
  while (count < 2 * least && vocab % count !== 0) count++;
  if (vocab % count !== 0) count = least;
  const width = Math.ceil(vocab / count);
  return { count, width, last: vocab - (count - 1) * width };
}

/**
 * log softmax(hidden·wᵀ)[target] per row: hidden [rows, in], w [vocab, in], targets int32 [rows]
 * → [rows].
 */
export function headLogprobs(
  g: Graph,
  hidden: Tensor,
  w: Tensor,
  targets: Tensor,
  cut = cutOf(Number(w.shape[0])),
): Tensor {
  const [rows, width] = hidden.shape as [Dim, Dim];
  if (w.shape[1] !== width || typeof w.shape[0] !== "number" || targets.shape[0] !== rows) {
    shapeError("headLogprobs", "expected [rows, in], [vocab, in] and [rows]", hidden, w, targets);
  }
  const [normaliser, y] = g.quietly(() => {
    const normaliser = logNormaliser(g, hidden, w, cut);
    const words = widened(g, g.emit1("Gather", [w, targets], [rows, width], { axis: 0 }));
    const logit = reduceSum(g, mul(g, hidden, words), [1], true);
    const y = g.emit1("Squeeze", [sub(g, logit, normaliser), g.indices([1])], [rows]);
    return [normaliser, y] as const;
  });
  return g.record([hidden, w], y, (dy, wanted) => {
    const column = g.emit1("Unsqueeze", [dy, g.indices([1])], [rows, 1]);
    const [dHidden, dW] = headGradients(g, hidden, w, targets, normaliser, column, cut, wanted[1]!);
    return [mul(g, dHidden, column), dW];
  });
}

/** log Σ exp(logits) per row → [rows, 1]. */
function logNormaliser(g: Graph, hidden: Tensor, w: Tensor, cut: Cut): Tensor {
  const [rows] = hidden.shape as [Dim];
  const { body, piece } = overPieces(g, w, cut);
  const logits = body.emit1("Gemm", [hidden, piece], [rows, "piece"], { transB: 1 });
  body.output(body.name("sum"), logSumExp(body, logits, -1));
  const sums = loop(g, body, cut, [], [[cut.count, rows, 1]])[0]!;
  return g.emit1("Squeeze", [logSumExp(g, sums, 0), g.indices([0])], [rows, 1]);
}

function logSumExp(g: Graph, x: Tensor, axis: number): Tensor {
  const kept = x.shape.map((d, i) => i === (axis < 0 ? axis + x.shape.length : axis) ? 1 : d);
  const most = g.emit1("ReduceMax", [x, g.indices([axis])], kept, { keepdims: 1 });
  return add(g, most, log(g, reduceSum(g, exp(g, sub(g, x, most)), [axis], true)));
}

/** (onehot − softmax)·w, still without the factor dy of each row, and the gradient of w or null. */
function headGradients(
  g: Graph,
  hidden: Tensor,
  w: Tensor,
  targets: Tensor,
  normaliser: Tensor,
  dy: Tensor,
  cut: Cut,
  learnsW: boolean,
): [Tensor, Tensor | null] {
  const [rows, width] = hidden.shape as [Dim, Dim];
  const [vocab] = w.shape as [number];
  const size = g.emit1("Shape", [hidden], [2], {}, { dtype: "int64" });
  const none = g.emit1("ConstantOfShape", [size], hidden.shape, {}, { dtype: "float32" });
  const weighted = mul(g, hidden, dy);
  const minus = neg(g, normaliser);
  const column = g.emit1("Unsqueeze", [targets, g.indices([1])], [rows, 1]);

  const { body, piece, words } = overPieces(g, w, cut);
  const sum = body.input(body.name("sum"), "float32", hidden.shape);
  const scores = body.emit1("Gemm", [hidden, piece, minus], [rows, "piece"], { transB: 1 });
  const hits = compare(body, "Equal", column, words);
  const hot = body.emit1("Cast", [hits], [rows, "piece"], { to: 1 }, { dtype: "float32" });
  const rest = sub(body, hot, exp(body, scores));
  body.output(body.name("sum"), body.emit1("Gemm", [rest, piece, sum], hidden.shape));
  if (learnsW) {
    const dPiece = body.emit1("Gemm", [rest, weighted], ["piece", width], { transA: 1 });
    body.output(body.name("piece"), padded(body, dPiece, cut));
  }
  const scans = learnsW ? [[cut.count, cut.width, width]] : [];
  const [total, pieces] = loop(g, body, cut, [none], scans);
  if (!pieces) return [total!, null];
  const all = g.emit1("Reshape", [pieces, g.indices([-1, Number(width)])], [
    cut.count * cut.width,
    width,
  ]);
  if (cut.last === cut.width) return [total!, all];
  const range = [g.indices([0]), g.indices([vocab]), g.indices([0])];
  return [total!, g.emit1("Slice", [all, ...range], w.shape)];
}

/** Every piece's gradient as long as the first: the last one is filled up with zeros. */
function padded(body: Graph, piece: Tensor, { width, last }: Cut): Tensor {
  if (last === width) return piece;
  const size = body.emit1("Shape", [piece], [2], {}, { dtype: "int64" });
  const whole = body.indices([width, Number(piece.shape[1])]);
  const missing = body.emit1("Sub", [whole, size], [2]);
  const pads = body.emit1("Concat", [body.indices([0, 0]), missing], [4], { axis: 0 });
  return body.emit1("Pad", [piece, pads], [width, piece.shape[1]!]);
}

/** The body of a loop over the pieces of w, with the current piece and its words' ids [1, piece]. */
function overPieces(g: Graph, w: Tensor, { width }: Cut) {
  const body = new Graph(g);
  const at = body.input(body.name("at"), "int64", []);
  const going = body.input(body.name("going"), "bool", []);
  body.output(body.name("going"), body.emit1("Identity", [going], []));
  const scalar = (x: number) => body.constant(BigInt64Array.of(BigInt(x)), []);
  const start = body.emit1("Mul", [at, scalar(width)], []);
  const stop = body.emit1("Min", [
    body.emit1("Add", [start, scalar(width)], []),
    scalar(Number(w.shape[0])),
  ], []);
  const vector = (x: Tensor) => body.emit1("Unsqueeze", [x, body.indices([0])], [1]);
  const piece = widened(
    body,
    body.emit1("Slice", [w, vector(start), vector(stop), body.indices([0])], [
      "piece",
      w.shape[1]!,
    ]),
  );
  const range = body.emit1("Range", [start, stop, scalar(1)], ["piece"], {}, { dtype: "int64" });
  const ids = body.emit1("Cast", [range], ["piece"], { to: 6 }, { dtype: "int32" });
  const words = body.emit1("Unsqueeze", [ids, body.indices([0])], [1, "piece"]);
  return { body, piece, words };
}

/** Runs the body once per piece: final values of what it carries, then what it collects. */
function loop(
  g: Graph,
  body: Graph,
  { count }: Cut,
  carried: readonly Tensor[],
  scans: readonly (readonly Dim[])[],
): Tensor[] {
  const times = g.constant(BigInt64Array.of(BigInt(count)), []);
  const outputs = [...carried.map(({ shape }) => shape), ...scans];
  return g.emit(
    "Loop",
    [times, g.constant(Uint8Array.of(1), []), ...carried],
    outputs.map((shape) => ({ dtype: "float32" as const, shape })),
    { body },
  );
}
