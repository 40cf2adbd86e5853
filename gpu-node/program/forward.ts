/**
 * The programs that read a model without changing it: score (log-probabilities of given tokens)
 * and value (value head at one position per sequence). Both over right-padded batches.
 * Inputs: tokens int32 [batch, time]; rows int32 [rows] = flat positions (batch*time) to read.
 */
import { Graph } from "../graph/graph.ts";
import { tokenLogprobs } from "../graph/ops/nn.ts";
import { pickRows } from "../graph/ops/shape.ts";
import type { Tensor } from "../graph/tensor.ts";
import { hiddenStates, logits, valueHead } from "../model/decoder.ts";
import { parameterInputs, type Parameters } from "../model/project.ts";
import type { ModelSpec } from "../model/spec.ts";

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

/** Log-probabilities of `targets` int32 [rows] at the chosen rows: output logprobs [rows]. */
export function scoreGraph(spec: ModelSpec, positions: number): Graph {
  const g = new Graph();
  const p = parameterInputs(g, spec.shapes);
  const hidden = chosenHidden(g, spec, p, positions);
  const targets = g.input("targets", "int32", ["rows"]);
  g.output("logprobs", tokenLogprobs(g, logits(g, spec.config, p, hidden), targets));
  return g;
}

/** Values at the chosen rows: output values [rows]. */
export function valueGraph(spec: ModelSpec, positions: number): Graph {
  const g = new Graph();
  const p = parameterInputs(g, spec.shapes);
  g.output("values", valueHead(g, p, chosenHidden(g, spec, p, positions)));
  return g;
}
