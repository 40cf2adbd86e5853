/**
 * The first half of sampling: a block of each prompt, left-padded → the hidden state of its last
 * token, and the keys and values of it and of what came before. program/decode.ts goes on from here.
 * Inputs: tokens int32 [batch, prompt]; pads int32 [batch, 1] = left padding of each row; the cache
 * `before` of earlier blocks, none of them padded, unless this one is the first; mask bool
 * [batch, ranks] with adapters (model/cached.ts).
 */
import { Graph } from "../graph/graph.ts";
import { add, cast, compare, sub, where } from "../graph/ops/elementwise.ts";
import { concat, dimension, reshapeTo, shapeOf } from "../graph/ops/shape.ts";
import type { Dim, Tensor } from "../graph/tensor.ts";
import { type Adapters, cachedDecoder, cachedWeights } from "../model/cached.ts";
import { rotaryTables } from "../model/decoder.ts";
import type { ModelSpec } from "../model/spec.ts";
import type { LoraTarget } from "../verbs.ts";
import { inputCache, outputCache } from "./cache.ts";
import type { WeightSource } from "./weights.ts";

/** Variants of the program. */
export interface PrefillForm {
  /** Matrices that some row's adapter changes. */
  targets: readonly LoraTarget[];
  /** No block came before. */
  first: boolean;
  /** No block follows: the hidden state is put out. */
  last: boolean;
}

export function prefillGraph(
  spec: ModelSpec,
  source: WeightSource,
  positions: number,
  { targets, first, last }: PrefillForm,
): Graph {
  const g = new Graph();
  const { config } = spec;
  const tokens = g.input("tokens", "int32", ["batch", "prompt"]);
  const pads = g.input("pads", "int32", ["batch", 1]);
  const adapters = targets.length ? { targets, mask: maskOfRows(g, tokens) } : undefined;
  const tables = rotaryTables(g, config, positions);
  const weights = cachedWeights(g, spec, source(g), tables, adapters);
  const past = first ? null : inputCache(g, "before", config, "before");
  const { hidden, present } = cachedDecoder(g, config, weights, {
    tokens,
    ...promptMasks(g, tokens, pads, past && past[0]!.key),
    ...past && { past },
    total: past ? "before+prompt" : "prompt",
  });
  if (last) g.output("hidden", lastOf(g, hidden, tokens, config.hiddenSize));
  outputCache(g, "past", present);
  return g;
}

/** One row of the adapters' mask per token. */
function maskOfRows(g: Graph, tokens: Tensor): Adapters["mask"] {
  const mask = g.input("mask", "bool", ["batch", "ranks"]);
  const column = g.emit1("Unsqueeze", [mask, g.indices([1])], ["batch", 1, "ranks"]);
  const ranks = g.emit1("Slice", [shapeOf(g, mask), g.indices([1]), g.indices([2])], [1]);
  const size = concat(g, [shapeOf(g, tokens), ranks], 0);
  const wide = g.emit1("Expand", [column, size], ["batch", "prompt", "ranks"]);
  const flat = concat(g, [g.indices([-1]), ranks], 0);
  return reshapeTo(g, wide, flat, ["batch*prompt", "ranks"]);
}

/** Positions per row, and the attention bias [batch, 1, prompt, prompt], or of `before` as well. */
function promptMasks(g: Graph, tokens: Tensor, pads: Tensor, before: Tensor | null) {
  const columns = g.emit1("Unsqueeze", [
    range(g, dimension(g, tokens, 1), "prompt"),
    g.indices([0]),
  ], [1, "prompt"]);
  const first = cast(g, pads, "int64");
  const zero = g.constant(BigInt64Array.of(0n), []);
  const inBlock = g.emit1("Max", [sub(g, columns, first), zero], ["batch", "prompt"]);
  const padding = g.emit1(
    "Unsqueeze",
    [compare(g, "Less", columns, first), g.indices([1, 2])],
    ["batch", 1, 1, "prompt"],
  );
  const queries = g.emit1("Unsqueeze", [columns, g.indices([-1])], [1, "prompt", 1]);
  const later = compare(g, "Greater", columns, queries);
  const bias = hiding(g, compare(g, "Or", padding, later));
  if (!before) return { positions: inBlock, bias };
  const length = dimension(g, before, 2);
  const count = g.emit1("Unsqueeze", [length, g.indices([0])], [1]);
  const ends = g.emit1("Concat", [g.indices([0, 0, 0]), count, g.indices([0, 0, 0, 0])], [8], {
    axis: 0,
  });
  return {
    positions: add(g, inBlock, length),
    bias: g.emit1("Pad", [bias, ends], ["batch", 1, "prompt", "before+prompt"]),
  };
}

/** −1e9 where the condition holds (finite, so that fully hidden rows stay finite), else 0. */
export const hiding = (g: Graph, condition: Tensor): Tensor =>
  where(g, condition, g.scalar(-1e9), g.scalar(0));

/** int64 [0, end). */
export const range = (g: Graph, end: Tensor, dim: Dim): Tensor =>
  g.emit1(
    "Range",
    [g.constant(BigInt64Array.of(0n), []), end, g.constant(BigInt64Array.of(1n), [])],
    [dim],
    {},
    { dtype: "int64" },
  );

/** Hidden states [batch*prompt, hidden] → those of each row's last token [batch, hidden]. */
function lastOf(g: Graph, hidden: Tensor, tokens: Tensor, size: number): Tensor {
  const vector = concat(g, [shapeOf(g, tokens), g.indices([size])], 0);
  const cube = reshapeTo(g, hidden, vector, ["batch", "prompt", size]);
  return g.emit1("Gather", [cube, g.constant(BigInt64Array.of(-1n), [])], ["batch", size], {
    axis: 1,
  });
}
