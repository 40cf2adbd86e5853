/**
 * Every differentiable operation against central finite differences in float32.
 * The loss is a fixed random weighting of the operation's output.
 */
import assert from "node:assert/strict";
import { cpuDevice } from "../../gpu-node/device.ts";
import { gradients } from "../../gpu-node/graph/gradient.ts";
import { Graph } from "../../gpu-node/graph/graph.ts";
import type { Shape, Tensor } from "../../gpu-node/graph/tensor.ts";
import * as el from "../../gpu-node/graph/ops/elementwise.ts";
import * as sh from "../../gpu-node/graph/ops/shape.ts";
import { linear, matmul } from "../../gpu-node/graph/ops/linear.ts";
import * as segments from "../../gpu-node/graph/ops/segment.ts";
import { headLogprobs } from "../../gpu-node/graph/ops/head.ts";
import * as nn from "../../gpu-node/graph/ops/nn.ts";
import { uniforms } from "../../shared/random.ts";

type Build = (g: Graph, ...inputs: Tensor[]) => Tensor;
interface Case {
  name: string;
  shapes: Shape[];
  build: Build;
  /** Range of the inputs' values. */
  range?: [number, number];
  /** Entries to check, where there are too many to check all. */
  only?: number[];
  /** Named dimensions' sizes. */
  sizes?: Record<string, number>;
}

const rotaryTables = (g: Graph): nn.RotaryTables => {
  const angle = Float32Array.from({ length: 12 }, (_, i) => Math.floor(i / 2) * (i % 2 ? 0.1 : 1));
  const of = (f: (x: number) => number) => g.constant(angle.map(f), [6, 2]);
  return { cos: of(Math.cos), sin: of(Math.sin), minusSin: of((x) => -Math.sin(x)) };
};

const cases: Case[] = [
  { name: "add", shapes: [[3, 4], [4]], build: el.add },
  { name: "sub", shapes: [[3, 1], [3, 4]], build: el.sub },
  { name: "mul", shapes: [["n", 4], [4]], build: el.mul, sizes: { n: 3 } },
  { name: "div", shapes: [[3, 4], [3, 1]], build: el.div, range: [0.5, 2] },
  { name: "minimum", shapes: [[3, 4], [4]], build: el.minimum },
  { name: "maximum", shapes: [[3, 4], [3, 1]], build: el.maximum },
  { name: "neg", shapes: [[5]], build: el.neg },
  { name: "exp", shapes: [[5]], build: el.exp },
  { name: "log", shapes: [[5]], build: el.log, range: [0.5, 2] },
  { name: "sqrt", shapes: [[5]], build: el.sqrt, range: [0.5, 2] },
  { name: "tanh", shapes: [[5]], build: el.tanh },
  { name: "sigmoid", shapes: [[5]], build: el.sigmoid },
  { name: "silu", shapes: [[6]], build: el.silu, range: [-3, 3] },
  {
    name: "reshape",
    shapes: [["n", 6]],
    build: (g, x) => sh.reshape(g, x, ["n", 2, 3]),
    sizes: { n: 2 },
  },
  {
    name: "reshapeTo",
    shapes: [["n", 6]],
    build: (g, x) => sh.reshapeTo(g, x, g.indices([-1, 2, 3]), ["n", 2, 3]),
    sizes: { n: 2 },
  },
  {
    name: "reshapeLike",
    shapes: [[2, 6], [3, 4]],
    build: (g, x, like) => el.mul(g, sh.reshapeLike(g, x, like), like),
  },
  { name: "transpose", shapes: [[2, 3, 4]], build: (g, x) => sh.transpose(g, x, [2, 0, 1]) },
  { name: "concat", shapes: [[2, 3], [2, 2]], build: (g, a, b) => sh.concat(g, [a, b], 1) },
  { name: "slice", shapes: [[2, 6]], build: (g, x) => sh.slice(g, x, 1, 1, 4) },
  {
    name: "gatherRows",
    shapes: [[5, 3]],
    build: (g, x) => sh.gatherRows(g, x, g.constant(Int32Array.of(1, 4, 1, 0), [2, 2])),
  },
  {
    name: "gatherRows from a large table",
    shapes: [[8193, 1]],
    only: [0, 1, 4, 8192],
    build: (g, x) => sh.gatherRows(g, x, g.constant(Int32Array.of(1, 4, 1, 8192), [2, 2])),
  },
  {
    name: "pickRows",
    shapes: [[5, 3]],
    build: (g, x) => sh.pickRows(g, x, g.constant(Int32Array.of(1, 4, 0), [3])),
  },
  { name: "reduceSum", shapes: [[2, 3, 4]], build: (g, x) => sh.reduceSum(g, x, [0, 2]) },
  { name: "reduceMean", shapes: [[3, 4]], build: (g, x) => sh.reduceMean(g, x, -1, true) },
  {
    name: "expandLike",
    shapes: [[3, 1], [3, 4]],
    build: (g, x, like) => el.mul(g, sh.expandLike(g, x, like), like),
  },
  {
    name: "segmentSum",
    shapes: [[5]],
    build: (g, x) =>
      segments.segmentSum(g, x, g.constant(Int32Array.of(0, 2, 0, 2, 2), [5]), g.indices([3]), 3),
  },
  {
    name: "spread",
    shapes: [[3]],
    build: (g, x) => segments.spread(g, x, g.constant(Int32Array.of(0, 2, 0, 2, 1), [5])),
  },
  { name: "matmul", shapes: [[2, 3, 4], [2, 4, 5]], build: matmul },
  { name: "matmul with broadcast batch", shapes: [[2, 3, 2, 4], [2, 1, 4, 3]], build: matmul },
  { name: "linear", shapes: [[3, 4], [5, 4]], build: linear },
  { name: "linear to fewer outputs", shapes: [[3, 5], [2, 5]], build: linear },
  { name: "swiglu", shapes: [[3, 4], [3, 4]], build: nn.swiglu, range: [-2, 2] },
  { name: "softmax", shapes: [[3, 5]], build: nn.softmax },
  { name: "rmsNorm", shapes: [[3, 8], [8]], build: (g, x, w) => nn.rmsNorm(g, x, w, 1e-5) },
  {
    name: "rmsNorm of heads",
    shapes: [[3, 2, 4], [4]],
    build: (g, x, w) => nn.rmsNorm(g, x, w, 1e-5),
  },
  {
    name: "rotary",
    shapes: [[2, 2, 5, 4]],
    build: (g, x) => nn.rotary(g, x, g.constant(BigInt64Array.of(0n), [1]), rotaryTables(g)),
  },
  {
    name: "attention with causal bias",
    shapes: [[2, 4, 2, 3], [2, 4, 2, 3], [2, 4, 2, 3]],
    build: (g, q, k, v) => nn.attention(g, q, k, v, nn.causalBias(g, q, 1)),
  },
  {
    name: "attention with grouped queries",
    shapes: [[2, 3, 4, 4], [2, 3, 2, 4], [2, 3, 2, 4]],
    build: (g, q, k, v) => nn.attention(g, q, k, v, nn.causalBias(g, q, 1)),
  },
  {
    name: "tokenLogprobs",
    shapes: [[3, 7]],
    build: (g, x) => nn.tokenLogprobs(g, x, g.constant(Int32Array.of(2, 0, 6), [3])),
  },
  ...[{ count: 3, width: 2, last: 2 }, { count: 2, width: 4, last: 2 }].map((cut): Case => ({
    name: `headLogprobs in ${cut.count} pieces`,
    shapes: [["n", 3], [6, 3]],
    sizes: { n: 3 },
    build: (g, x, w) => {
      const targets = g.emit1("Cast", [g.constant(Int32Array.of(2, 0, 5), [3])], ["n"], { to: 6 });
      return headLogprobs(g, x, w, targets, cut);
    },
  })),
];

Deno.test("every operation that records a gradient is in this table", () => {
  const covered = new Set(cases.map(({ name }) => name.split(" ")[0]));
  // Built from others of the table, or carrying no gradient of their own.
  const exempt = ["swapLast", "unbroadcast"];
  for (
    const [name, build] of Object.entries({
      ...el,
      ...sh,
      ...segments,
      ...nn,
      headLogprobs,
      linear,
      matmul,
    })
  ) {
    const records = typeof build === "function" && /\.record\(|ReduceSum/.test(build.toString());
    if (records && !exempt.includes(name)) assert.ok(covered.has(name), `no case for ${name}`);
  }
});

const device = await cpuDevice();

for (const { name, shapes, build, range: [low, high] = [-1, 1], sizes = {}, only } of cases) {
  Deno.test(`gradient of ${name} agrees with finite differences`, async () => {
    const g = new Graph();
    const inputs = shapes.map((shape, i) => g.input(`x${i}`, "float32", shape));
    const y = build(g, ...inputs);
    const dimsOf = (shape: Shape) => shape.map((d) => typeof d === "number" ? d : sizes[d]!);
    const count = (shape: Shape) => dimsOf(shape).reduce((a, b) => a * b, 1);
    const random = uniforms(name.length * 7919);
    const weight = g.input("weight", "float32", y.shape);
    const axes = y.shape.map((_, i) => i);
    const loss = sh.reduceSum(g, el.mul(g, y, weight), axes);
    gradients(g, loss, inputs).forEach((dx, i) => g.output(`d${i}`, dx));
    g.output("y", y);
    const program = await device.compile(g);

    const weights = Float32Array.from({ length: count(y.shape) }, () => random() * 2 - 1);
    const values = shapes.map((shape) =>
      Float32Array.from({ length: count(shape) }, () => low + (high - low) * random())
    );
    const run = (xs: Float32Array[]) =>
      program.run({
        weight: { data: weights, dims: dimsOf(y.shape) },
        ...Object.fromEntries(xs.map((data, i) => [`x${i}`, { data, dims: dimsOf(shapes[i]!) }])),
      });
    const lossAt = async (xs: Float32Array[]) => {
      const out = (await run(xs))["y"]!.data as Float32Array;
      return out.reduce((sum, v, i) => sum + v * weights[i]!, 0);
    };

    const analytic = await run(values);
    for (const [i, x] of values.entries()) {
      const exact = analytic[`d${i}`]!.data as Float32Array;
      let [error, norm] = [0, 0];
      for (const j of only ?? x.keys()) {
        const h = 1e-2;
        const shifted = (by: number) =>
          values.map((v, k) => k === i ? v.map((e, l) => l === j ? e + by : e) : v);
        const numeric = (await lossAt(shifted(h)) - await lossAt(shifted(-h))) / (2 * h);
        error += (numeric - exact[j]!) ** 2;
        norm += numeric ** 2;
      }
      assert.ok(norm > 0, `finite differences of input ${i} are all zero`);
      const relative = Math.sqrt(error / norm);
      assert.ok(relative < 1e-2, `relative error of input ${i} is ${relative}`);
    }
    await program.release();
  });
}
