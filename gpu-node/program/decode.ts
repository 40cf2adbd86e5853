/**
 * The second half of sampling: a Loop that draws a token from the last hidden state and runs the
 * decoder on it, without leaving the runtime. It can go on where it stopped: what it carries comes
 * out and goes in again. Ends early once every row has drawn a stop token.
 * Inputs: hidden [batch, hidden]; position int64 [batch, 1] of the last token so far; done bool
 * [batch, 1]; stop int32 [batch, stops], −1 for none; uniforms [steps, batch, 1]; the controls of
 * draw.ts; mask [batch, ranks] with adapters; the cache `grown`, and with `behind` a cache `past`
 * before it, which is read and never copied; pads int32 [batch, 1], number of columns that are
 * padding in the first of them, from the column pads_start int32 [1] on.
 * Outputs: hidden and grown after the last step; tokens and logprobs [steps done, batch, 1].
 * Every row is independent of the others: their number changes nothing in it.
 */
import { Graph } from "../graph/graph.ts";
import { add, cast, compare } from "../graph/ops/elementwise.ts";
import { linear } from "../graph/ops/linear.ts";
import { dimension } from "../graph/ops/shape.ts";
import type { Tensor } from "../graph/tensor.ts";
import { cachedDecoder, type CachedWeights, cachedWeights } from "../model/cached.ts";
import type { LayerCache } from "../model/attend.ts";
import type { ModelConfig } from "../model/config.ts";
import { rotaryTables } from "../model/decoder.ts";
import type { ModelSpec } from "../model/spec.ts";
import type { LoraTarget } from "../verbs.ts";
import { inputCache, outputCache } from "./cache.ts";
import { type DrawControls, drawControls, type DrawTables, drawTables, drawToken } from "./draw.ts";
import { hiding, range } from "./prefill.ts";
import type { WeightSource } from "./weights.ts";

/** Variants of the program. */
export interface DecodeForm {
  /** Matrices that some row's adapter changes. */
  targets: readonly LoraTarget[];
  /** Some row draws from the most likely tokens only. */
  truncated: boolean;
  /** There is a cache behind the growing one; `shared`: a row per prompt, of equal groups. */
  behind: boolean | "shared";
}

interface Scope {
  config: ModelConfig;
  weights: CachedWeights;
  controls: DrawControls;
  tables: DrawTables;
  uniforms: Tensor;
  stop: Tensor;
  behind: LayerCache[] | null;
  bias: Tensor;
  /** Last row of the rotary tables. */
  lastPosition: bigint;
}

export function decodeGraph(
  spec: ModelSpec,
  source: WeightSource,
  positions: number,
  { targets, truncated, behind }: DecodeForm,
): Graph {
  const g = new Graph();
  const { config } = spec;
  const row = ["batch", 1] as const;
  const hidden = g.input("hidden", "float32", ["batch", config.hiddenSize]);
  const position = g.input("position", "int64", row);
  const done = g.input("done", "bool", row);
  const stop = g.input("stop", "int32", ["batch", "stops"]);
  const uniforms = g.input("uniforms", "float32", ["steps", "batch", 1]);
  const pads = g.input("pads", "int32", row);
  const padsStart = g.input("pads_start", "int32", [1]);
  const mask = () => g.input("mask", "bool", ["batch", "ranks"]);
  const adapters = targets.length ? { targets, mask: mask() } : undefined;
  const tables = rotaryTables(g, config, positions);
  const past = behind
    ? inputCache(g, "past", config, "past", behind === "shared" ? "prompts" : "batch")
    : null;
  const grown = inputCache(g, "grown", config, "grown");
  const body = loopBody(g, {
    config,
    weights: cachedWeights(g, spec, source(g), tables, adapters),
    controls: drawControls(g, truncated),
    tables: drawTables(g, config.vocabSize),
    uniforms,
    stop,
    behind: past,
    bias: paddingBias(g, (past ?? grown)[0]!.key, { pads, padsStart }, past ? null : uniforms),
    lastPosition: BigInt(positions - 1),
  });
  const carried = grown.flatMap((cache) => [cache.key, cache.value]);
  const always = g.constant(Uint8Array.of(1), []);
  const result = g.emit(
    "Loop",
    [dimension(g, uniforms, 0), always, hidden, position, done, ...carried],
    [
      { dtype: "float32", shape: hidden.shape },
      { dtype: "int64", shape: row },
      { dtype: "bool", shape: row },
      ...carried.map(({ shape }) => ({
        dtype: "float32" as const,
        shape: shape.map((dim) => dim === "grown" ? "grown+steps" : dim),
      })),
      { dtype: "int32", shape: ["steps", "batch", 1] },
      { dtype: "float32", shape: ["steps", "batch", 1] },
    ],
    { body },
  );
  const [after, , , ...rest] = result;
  g.output("hidden_after", after!);
  outputCache(
    g,
    "grown_after",
    grown.map((_, i) => ({ key: rest[2 * i]!, value: rest[2 * i + 1]! })),
  );
  g.output("tokens", rest.at(-2)!);
  g.output("logprobs", rest.at(-1)!);
  return g;
}

/** One step: draw a token, run the decoder on it. */
function loopBody(g: Graph, s: Scope): Graph {
  const { config, weights } = s;
  const b = new Graph(g);
  const iteration = b.input(b.name("iteration"), "int64", []);
  b.input(b.name("go"), "bool", []);
  const hidden = b.input(b.name("hidden"), "float32", ["batch", config.hiddenSize]);
  const before = b.input(b.name("position"), "int64", ["batch", 1]);
  const done = b.input(b.name("done"), "bool", ["batch", 1]);
  const past = inputCache(b, b.name("own"), config, "own");
  const one = b.constant(BigInt64Array.of(1n), []);

  const uniform = b.emit1("Gather", [s.uniforms, iteration], ["batch", 1], { axis: 0 });
  const { token, logprob } = drawToken(
    b,
    linear(b, hidden, weights.head),
    uniform,
    s.controls,
    s.tables,
  );
  const next = b.emit1("Add", [before, one], ["batch", 1]);
  // Rows that have ended may run on past the last position while others go on.
  const last = b.constant(BigInt64Array.of(s.lastPosition), []);
  const { hidden: after, present } = cachedDecoder(b, config, weights, {
    tokens: token,
    positions: b.emit1("Min", [next, last], ["batch", 1]),
    bias: s.behind ? s.bias : visiblePart(b, s.bias, past[0]!.key),
    past,
    ...s.behind && { behind: s.behind },
    total: "own+1",
  });
  const finished = compare(b, "Or", done, isStop(b, token, s.stop));
  const all = b.emit1("ReduceMin", [cast(b, finished, "int32")], [], { keepdims: 0 });
  const goOn = compare(b, "Less", all, b.constant(Int32Array.of(1), []));
  // Scan outputs must be values of their own: the encoder copies a tensor's second output.
  const out = (tensor: Tensor) => b.output(b.name("out"), tensor);
  [goOn, after, next, finished].forEach(out);
  for (const cache of present) [cache.key, cache.value].forEach(out);
  [token, logprob].forEach(out);
  return b;
}

/**
 * Bias [batch, 1, 1, length] that hides the padding within each prompt; with `steps`, followed by
 * as many zeros as there are steps.
 */
function paddingBias(
  g: Graph,
  key: Tensor,
  { pads, padsStart }: { pads: Tensor; padsStart: Tensor },
  steps: Tensor | null,
): Tensor {
  const length = key.shape[2]!;
  const numbers = range(g, dimension(g, key, 2), length);
  const columns = g.emit1("Unsqueeze", [numbers, g.indices([0])], [1, length]);
  const start = cast(g, padsStart, "int64");
  const hidden = compare(
    g,
    "And",
    compare(g, "GreaterOrEqual", columns, start),
    compare(g, "Less", columns, add(g, cast(g, pads, "int64"), start)),
  );
  const bias = g.emit1("Unsqueeze", [hiding(g, hidden), g.indices([1, 2])], [
    "batch",
    1,
    1,
    length,
  ]);
  if (!steps) return bias;
  const count = g.emit1("Unsqueeze", [dimension(g, steps, 0), g.indices([0])], [1]);
  const ends = g.emit1("Concat", [g.indices([0, 0, 0, 0, 0, 0, 0]), count], [8], { axis: 0 });
  return g.emit1("Pad", [bias, ends], ["batch", 1, 1, "length+steps"]);
}

/** The bias of the keys that are there once this step's has been added. */
function visiblePart(b: Graph, bias: Tensor, key: Tensor): Tensor {
  const one = b.constant(BigInt64Array.of(1n), []);
  const length = b.emit1("Add", [dimension(b, key, 2), one], []);
  const end = b.emit1("Unsqueeze", [length, b.indices([0])], [1]);
  return b.emit1("Slice", [bias, b.indices([0]), end, b.indices([3])], ["batch", 1, 1, "own+1"]);
}

/** bool [batch, 1]: the token is one of the row's stop tokens. */
function isStop(g: Graph, token: Tensor, stop: Tensor): Tensor {
  const hits = cast(g, compare(g, "Equal", token, stop), "int32");
  const any = g.emit1("ReduceMax", [hits, g.indices([1])], ["batch", 1], { keepdims: 1 });
  return cast(g, any, "bool");
}
