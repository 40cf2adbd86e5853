/**
 * The programs that read a model without changing it: score (log-probabilities of given tokens)
 * and value (value head at one position per sequence). Both over right-padded batches.
 * Inputs: tokens int32 [batch, time]; rows int32 [rows] = flat positions (batch*time) to read.
 */
import { Graph } from "../graph/graph.ts";
import { tokenLogprobs } from "../graph/ops/nn.ts";
import { pickRows } from "../graph/ops/shape.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { ModelConfig } from "../model/config.ts";
import {
  hiddenStates,
  logits,
  parameterInputs,
  type Parameters,
  valueHead,
} from "../model/decoder.ts";

export type Shapes = ReadonlyMap<string, readonly number[]>;

/** Hidden states of the chosen rows, [rows, hidden]. */
export function chosenHidden(
  g: Graph,
  config: ModelConfig,
  get: Parameters,
  positions: number,
): Tensor {
  const tokens = g.input("tokens", "int32", ["batch", "time"]);
  const rows = g.input("rows", "int32", ["rows"]);
  return pickRows(g, hiddenStates(g, config, get, tokens, positions), rows);
}

/** Log-probabilities of `targets` int32 [rows] at the chosen rows: output logprobs [rows]. */
export function scoreGraph(config: ModelConfig, shapes: Shapes, positions: number): Graph {
  const g = new Graph();
  const { get } = parameterInputs(g, shapes);
  const hidden = chosenHidden(g, config, get, positions);
  const targets = g.input("targets", "int32", ["rows"]);
  g.output("logprobs", tokenLogprobs(g, logits(g, config, get, hidden), targets));
  return g;
}

/** Values at the chosen rows: output values [rows]. */
export function valueGraph(config: ModelConfig, shapes: Shapes, positions: number): Graph {
  const g = new Graph();
  const { get } = parameterInputs(g, shapes);
  g.output("values", valueHead(g, get, chosenHidden(g, config, get, positions)));
  return g;
}
