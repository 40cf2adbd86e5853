/**
 * The programs that read a model without changing it: score (log-probabilities of given tokens),
 * the most likely tokens in their place, and value (value head at one position per sequence). All
 * over right-padded batches.
 * Inputs: tokens int32 [batch, time]; rows int32 [rows] = flat positions (batch*time) to read.
 */
import { Graph } from "../graph/graph.ts";
import { cast, mul } from "../graph/ops/elementwise.ts";
import { headLogprobs } from "../graph/ops/head.ts";
import { tokenLogprobs } from "../graph/ops/nn.ts";
import { pickRows } from "../graph/ops/shape.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { ModelConfig } from "../model/config.ts";
import { headWeight, hiddenStates, logits, valueHead } from "../model/decoder.ts";
import { parameterInputs, type Parameters } from "../model/project.ts";
import type { ModelSpec } from "../model/spec.ts";
import { MOST_ALTERNATIVES } from "../verbs.ts";

/** Hidden states of the chosen rows, [rows, hidden]. */
export function chosenHidden(
  g: Graph,
  spec: ModelSpec,
  p: Parameters,
  positions: number,
  recompute = false,
): Tensor {
  const tokens = g.input("tokens", "int32", ["batch", "time"]);
  const rows = g.input("rows", "int32", ["rows"]);
  return pickRows(g, hiddenStates(g, spec, p, tokens, positions, recompute), rows);
}

/** Most logits that exist at once: 268 MB, and an update would hold them three times. */
export const MOST_LOGITS = 2 ** 26;

/** Whether the vocabulary of a run with so many rows is taken in pieces. */
export const isWide = ({ vocabSize }: ModelConfig, rows: number): boolean =>
  rows * vocabSize > MOST_LOGITS;

/** Log-probabilities of the input `targets` int32 [rows] from the hidden states of those rows. */
export function targetLogprobs(
  g: Graph,
  { config }: ModelSpec,
  p: Parameters,
  hidden: Tensor,
  wide: boolean,
): Tensor {
  const targets = g.input("targets", "int32", ["rows"]);
  return wide
    ? headLogprobs(g, hidden, headWeight(config, p), targets)
    : tokenLogprobs(g, logits(g, config, p, hidden), targets);
}

/** Log-probabilities of `targets` int32 [rows] at the chosen rows: output logprobs [rows]. */
export function scoreGraph(spec: ModelSpec, positions: number, wide: boolean): Graph {
  const g = new Graph();
  const p = parameterInputs(g, spec);
  const hidden = chosenHidden(g, spec, p, positions);
  g.output("logprobs", targetLogprobs(g, spec, p, hidden, wide));
  return g;
}

/**
 * The most likely tokens at the chosen rows, at 1 / `inverse_temperature`: outputs alternatives
 * int32 and top [rows, count], the likeliest first; given [rows], the log-probabilities of
 * `targets` at that temperature; logprobs [rows], those at temperature 1.
 */
export function alternativesGraph(spec: ModelSpec, positions: number): Graph {
  const g = new Graph();
  const p = parameterInputs(g, spec);
  const raw = logits(g, spec.config, p, chosenHidden(g, spec, p, positions));
  const targets = g.input("targets", "int32", ["rows"]);
  const tempered = mul(g, raw, g.input("inverse_temperature", "float32", []));
  const all = g.emit1("LogSoftmax", [tempered], raw.shape, { axis: -1 });
  const shape = ["rows", Math.min(MOST_ALTERNATIVES, spec.config.vocabSize)] as const;
  const [top, tokens] = g.emit(
    "TopK",
    [all, g.indices([shape[1]])],
    [{ dtype: "float32", shape }, { dtype: "int64", shape }],
    { axis: 1, largest: 1, sorted: 1 },
  ) as [Tensor, Tensor];
  g.output("top", top);
  g.output("alternatives", cast(g, tokens, "int32"));
  g.output("given", tokenLogprobs(g, tempered, targets));
  g.output("logprobs", tokenLogprobs(g, raw, targets));
  return g;
}

/** Values at the chosen rows: output values [rows]. */
export function valueGraph(spec: ModelSpec, positions: number): Graph {
  const g = new Graph();
  const p = parameterInputs(g, spec);
  g.output("values", valueHead(g, p, chosenHidden(g, spec, p, positions)));
  return g;
}
