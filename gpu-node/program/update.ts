/**
 * The training step as one graph: forward, gradients, clipping, AdamW. Losses differ only in what
 * they do with the chosen rows:
 *   tokens: −Σ weight·logp(target)      (policy gradient: weight = advantage/sequences;
 *                                        cross entropy: weight = 1/tokens)
 *   value:  Σ weight·(value − target)²  (weight = coefficient/sequences)
 * The host computes the weights, so padding and averaging are exact by construction.
 */
import { Graph } from "../graph/graph.ts";
import { gradients } from "../graph/gradient.ts";
import { mul, neg, sub } from "../graph/ops/elementwise.ts";
import { tokenLogprobs } from "../graph/ops/nn.ts";
import { adamw, globalNorm, optimizerInputs, weightedSum } from "../graph/optimizer.ts";
import type { Tensor } from "../graph/tensor.ts";
import { logits, valueHead } from "../model/decoder.ts";
import { parameterInputs } from "../model/project.ts";
import { learns, type ModelSpec, type Shapes } from "../model/spec.ts";
import { chosenHidden } from "./forward.ts";

export type LossKind = "tokens" | "value";
/** `step` applies the optimizer; `gradients` only reports. */
export type UpdateMode = "step" | "gradients";

/** The graph and the parameters that the loss reaches, in the order of its outputs. */
export interface UpdateGraph {
  graph: Graph;
  parameters: string[];
}

/** Adam moment names of a parameter, as graph inputs and outputs. */
export const momentName = (kind: "m" | "v", parameter: string) => `adam.${kind}.${parameter}`;

export function updateGraph(
  spec: ModelSpec,
  positions: number,
  kind: LossKind,
  mode: UpdateMode,
): UpdateGraph {
  const g = new Graph();
  const p = parameterInputs(g, spec.shapes);
  const hidden = chosenHidden(g, spec, p, positions);
  const weights = g.input("weights", "float32", ["rows"]);
  const loss = kind === "tokens"
    ? tokenLoss(g, logits(g, spec.config, p, hidden), weights)
    : valueLoss(g, valueHead(g, p, hidden), weights);

  const learning = [...p.used].filter(([name]) => learns(spec, name));
  const names = learning.map(([name]) => name);
  const parameters = learning.map(([, tensor]) => tensor);
  const grads = gradients(g, loss, parameters);
  const norm = globalNorm(g, grads);
  g.output("loss", loss);
  g.output("grad_norm", norm);
  if (mode === "gradients") {
    names.forEach((name, i) => g.output(`grad.${name}`, grads[i]!));
    return { graph: g, parameters: names };
  }
  applyTo(g, names, parameters, grads, norm);
  return { graph: g, parameters: names };
}

/** The optimizer step alone: inputs the parameters, `grad.<name>`, moments; same outputs. */
export function applyGraph(shapes: Shapes, names: readonly string[]): Graph {
  const g = new Graph();
  const p = parameterInputs(g, shapes);
  const parameters = names.map(p.get);
  const grads = names.map((n, i) => g.input(`grad.${n}`, "float32", parameters[i]!.shape));
  const norm = globalNorm(g, grads);
  g.output("grad_norm", norm);
  applyTo(g, names, parameters, grads, norm);
  return g;
}

function applyTo(
  g: Graph,
  names: readonly string[],
  parameters: readonly Tensor[],
  grads: readonly Tensor[],
  norm: Tensor,
): void {
  const moments = names.map((name, i) => ({
    m: g.input(momentName("m", name), "float32", parameters[i]!.shape),
    v: g.input(momentName("v", name), "float32", parameters[i]!.shape),
  }));
  adamw(g, optimizerInputs(g), parameters, grads, moments, norm).forEach(({ w, m, v }, i) => {
    g.output(`new.${names[i]}`, w);
    g.output(`new.${momentName("m", names[i]!)}`, m);
    g.output(`new.${momentName("v", names[i]!)}`, v);
  });
}

function tokenLoss(g: Graph, scores: Tensor, weights: Tensor): Tensor {
  const targets = g.input("targets", "int32", ["rows"]);
  const logprobs = tokenLogprobs(g, scores, targets);
  g.output("logprobs", logprobs);
  return neg(g, weightedSum(g, logprobs, weights));
}

function valueLoss(g: Graph, values: Tensor, weights: Tensor): Tensor {
  const error = sub(g, values, g.input("targets", "float32", ["rows"]));
  g.output("values", values);
  return weightedSum(g, mul(g, error, error), weights);
}
