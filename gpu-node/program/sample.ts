/**
 * Generation as one graph: prefill of left-padded prompts, then a Loop that draws a token, runs
 * the decoder on it and grows the key/value cache, without leaving the runtime.
 * Inputs: tokens int32 [batch, prompt]; pads int32 [batch, 1] = left padding of each row;
 * uniforms float32 [steps, batch, 1]; stop int32 [1, stops]; inverse_temperature, greedy.
 * Outputs: first [batch, 1] and rest [steps−1, batch, 1], of tokens and logprobs.
 * Every row is independent of the others: their number changes nothing in it.
 */
import { Graph } from "../graph/graph.ts";
import { cast, compare, sub, where } from "../graph/ops/elementwise.ts";
import { linear } from "../graph/ops/linear.ts";
import { concat, dimension, shapeOf } from "../graph/ops/shape.ts";
import type { Dim, Tensor } from "../graph/tensor.ts";
import { cachedDecoder, type FusedWeights, fuseWeights, type LayerCache } from "../model/cached.ts";
import type { ModelConfig } from "../model/config.ts";
import { rotaryTables } from "../model/decoder.ts";
import { parameterInputs, type Parameters } from "../model/project.ts";
import type { ModelSpec, Shapes } from "../model/spec.ts";
import { type DrawControls, type DrawTables, drawTables, drawToken } from "./draw.ts";

/** Where the weights come from: graph inputs (they change often) or constants (they do not). */
export type WeightSource = (g: Graph) => Parameters;

export const weightsAsInputs = (shapes: Shapes): WeightSource => (g) => parameterInputs(g, shapes);

/** Constants are packed once when the session is made, which makes every step faster. */
export const weightsAsConstants =
  (shapes: Shapes, data: (name: string) => Float32Array): WeightSource => (g) => {
    const known = new Map<string, Tensor>();
    return {
      has: (name) => shapes.has(name),
      get(name) {
        const tensor = known.get(name) ?? g.constant(data(name), shapes.get(name)!, name);
        known.set(name, tensor);
        return tensor;
      },
    };
  };

export function sampleGraph(spec: ModelSpec, source: WeightSource, positions: number): Graph {
  const g = new Graph();
  const { config } = spec;
  const weights = fuseWeights(g, spec, source(g), rotaryTables(g, config, positions));
  const tokens = g.input("tokens", "int32", ["batch", "prompt"]);
  const pads = g.input("pads", "int32", ["batch", 1]);
  const uniforms = g.input("uniforms", "float32", ["steps", "batch", 1]);
  const stop = g.input("stop", "int32", [1, "stops"]);
  const controls: DrawControls = {
    inverseTemperature: g.input("inverse_temperature", "float32", []),
    greedy: g.input("greedy", "bool", []),
  };
  const tables = drawTables(g, config.vocabSize);
  const { positions: at, bias, visible } = promptMasks(g, tokens, pads);
  const { hidden, present } = cachedDecoder(g, config, weights, {
    tokens,
    positions: at,
    bias,
    total: "prompt",
  });
  const draw = (body: Graph, rows: Tensor, uniform: Tensor) =>
    drawToken(body, linear(body, rows, weights.head), uniform, controls, tables);
  const lastRows = lastOf(g, hidden, tokens, config.hiddenSize);
  const zero = g.constant(BigInt64Array.of(0n), []);
  const first = draw(g, lastRows, pick(g, uniforms, zero, ["batch", 1]));

  const steps = dimension(g, uniforms, 0);
  const one = g.constant(BigInt64Array.of(1n), []);
  const trips = g.emit1("Sub", [steps, one], []);
  const body = loopBody(g, config, weights, { uniforms, stop, visible, tokens, controls, tables });
  const lastAt = g.emit1(
    "Slice",
    [at, g.indices([-1]), g.indices([2 ** 31]), g.indices([1])],
    ["batch", 1],
  );
  const caches = present.flatMap((c) => [c.key, c.value]);
  const always = g.constant(Uint8Array.of(1), []);
  const outputs = g.emit(
    "Loop",
    [trips, always, first.token, lastAt, isStop(g, first.token, stop), ...caches],
    [
      { dtype: "int32", shape: ["batch", 1] },
      { dtype: "int64", shape: ["batch", 1] },
      { dtype: "bool", shape: ["batch", 1] },
      ...caches.map((c) => ({ dtype: c.dtype, shape: grown(c, "final") })),
      { dtype: "int32", shape: ["generated", "batch", 1] },
      { dtype: "float32", shape: ["generated", "batch", 1] },
    ],
    { body },
  );
  g.output("first_token", first.token);
  g.output("first_logprob", first.logprob);
  g.output("tokens_rest", outputs.at(-2)!);
  g.output("logprobs_rest", outputs.at(-1)!);
  return g;
}

interface LoopScope {
  uniforms: Tensor;
  stop: Tensor;
  visible: Tensor;
  tokens: Tensor;
  controls: DrawControls;
  tables: DrawTables;
}

/** One step: run the decoder on the last token, draw the next one. */
function loopBody(g: Graph, config: ModelConfig, w: FusedWeights, scope: LoopScope): Graph {
  const b = new Graph(g);
  const iteration = b.input(b.name("iteration"), "int64", []);
  b.input(b.name("go"), "bool", []);
  const token = b.input(b.name("token"), "int32", ["batch", 1]);
  const at = b.input(b.name("position"), "int64", ["batch", 1]);
  const done = b.input(b.name("done"), "bool", ["batch", 1]);
  const shape = ["batch", config.kvHeads, "past", config.headDim] as const;
  const past: LayerCache[] = w.layers.map(() => ({
    key: b.input(b.name("key"), "float32", shape),
    value: b.input(b.name("value"), "float32", shape),
  }));
  const one = b.constant(BigInt64Array.of(1n), []);
  const step = b.emit1("Add", [iteration, one], []);
  const positions = b.emit1("Add", [at, one], ["batch", 1]);
  // Everything generated is visible; only the prompt's padding stays hidden.
  const length = b.emit1("Add", [dimension(b, scope.tokens, 1), step], []);
  const end = b.emit1("Unsqueeze", [length, b.indices([0])], [1]);
  const bias = b.emit1(
    "Slice",
    [scope.visible, b.indices([0]), end, b.indices([3])],
    ["batch", 1, 1, "total"],
  );
  const { hidden, present } = cachedDecoder(b, config, w, {
    tokens: token,
    positions,
    bias,
    past,
    total: "total",
  });
  const uniform = pick(b, scope.uniforms, step, ["batch", 1]);
  const next = drawToken(b, linear(b, hidden, w.head), uniform, scope.controls, scope.tables);
  const finished = compare(b, "Or", done, isStop(b, next.token, scope.stop));
  const all = b.emit1("ReduceMin", [cast(b, finished, "int32")], [], { keepdims: 0 }, {
    dtype: "int32",
  });
  const goOn = compare(b, "Less", all, b.constant(Int32Array.of(1), []));
  // Scan outputs must be values of their own: the encoder copies a tensor's second output.
  const out = (tensor: Tensor) => b.output(b.name("out"), tensor);
  out(goOn);
  out(next.token);
  out(positions);
  out(finished);
  for (const cache of present) [cache.key, cache.value].forEach(out);
  out(next.token);
  out(next.logprob);
  return b;
}

/** Per-row positions, attention bias of the prompt, and key visibility for all later steps. */
function promptMasks(g: Graph, tokens: Tensor, pads: Tensor) {
  const int = (n: bigint) => g.constant(BigInt64Array.of(n), []);
  const range = (end: Tensor, dim: Dim) =>
    g.emit1("Range", [int(0n), end, int(1n)], [dim], {}, { dtype: "int64" });
  const width = dimension(g, tokens, 1);
  const wide = cast(g, pads, "int64");
  const columns = g.emit1("Unsqueeze", [range(width, "prompt"), g.indices([0])], [1, "prompt"]);
  const offset = sub(g, columns, wide);
  const positions = g.emit1("Max", [offset, int(0n)], ["batch", "prompt"]);
  const masked = (condition: Tensor) => where(g, condition, g.scalar(-1e9), g.scalar(0));
  const hiddenKeys = g.emit1(
    "Unsqueeze",
    [compare(g, "Less", columns, wide), g.indices([1, 2])],
    ["batch", 1, 1, "prompt"],
  );
  const queries = g.emit1("Unsqueeze", [columns, g.indices([-1])], [1, "prompt", 1]);
  const later = compare(g, "Greater", columns, queries);
  const bias = masked(compare(g, "Or", hiddenKeys, later));
  const steps = g.emit1("Reshape", [
    dimension(g, { name: "uniforms", dtype: "float32", shape: ["steps", "batch", 1] }, 0),
    g.indices([1]),
  ], [1]);
  const ends = concat(g, [g.indices([0, 0, 0, 0, 0, 0, 0]), steps], 0);
  const visible = g.emit1("Pad", [masked(hiddenKeys), ends], ["batch", 1, 1, "prompt+steps"]);
  return { positions, bias, visible };
}

/** Row `index` (int64 scalar) of the first axis. */
const pick = (g: Graph, x: Tensor, index: Tensor, shape: Dim[]): Tensor =>
  g.emit1("Gather", [x, index], shape, { axis: 0 });

/** Hidden states [batch*prompt, hidden] → those of each row's last token [batch, hidden]. */
function lastOf(g: Graph, hidden: Tensor, tokens: Tensor, size: number): Tensor {
  const vector = concat(g, [shapeOf(g, tokens), g.indices([size])], 0);
  const cube = g.emit1("Reshape", [hidden, vector], ["batch", "prompt", size]);
  return g.emit1("Gather", [cube, g.constant(BigInt64Array.of(-1n), [])], ["batch", size], {
    axis: 1,
  });
}

/** bool [batch, 1]: the token is one of the stop tokens. */
function isStop(g: Graph, token: Tensor, stop: Tensor): Tensor {
  const hits = cast(g, compare(g, "Equal", token, stop), "int32");
  const any = g.emit1("ReduceMax", [hits, g.indices([1])], ["batch", 1], { keepdims: 1 });
  return cast(g, any, "bool");
}

const grown = (cache: Tensor, length: Dim): Dim[] =>
  cache.shape.map((d, i) => i === 2 ? length : d);
