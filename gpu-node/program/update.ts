/**
 * The training step as one graph: forward, loss, gradients, clipping, AdamW. Or in two, for batches
 * of several runs: `gradients` adds to sums that the runtime keeps, `applyGraph` is the optimizer.
 * The host computes the weights, so padding and averaging are exact by construction.
 */
import { Graph } from "../graph/graph.ts";
import { gradients } from "../graph/gradient.ts";
import { adamw, globalNorm, optimizerInputs } from "../graph/optimizer.ts";
import type { Tensor } from "../graph/tensor.ts";
import { valueHead } from "../model/decoder.ts";
import { parameterInputs } from "../model/project.ts";
import { learns, type ModelSpec } from "../model/spec.ts";
import { chosenHidden, targetLogprobs } from "./forward.ts";
import { isValueLoss, type LossForm, tokenLoss, valueLoss } from "./loss.ts";

/** What an update program is compiled for. */
export interface UpdateForm extends LossForm {
  /** Activation checkpointing. */
  recompute: boolean;
  /** The vocabulary in pieces. */
  wide: boolean;
}
/** `step` applies the optimizer; `gradients` adds to running sums. */
export type UpdateMode = "step" | "gradients";

/** The graph and the parameters that the loss reaches, in the order of its outputs. */
export interface UpdateGraph {
  graph: Graph;
  parameters: string[];
}

/** Adam moment names of a parameter, as graph inputs and outputs. */
export const momentName = (kind: "m" | "v", parameter: string) => `adam.${kind}.${parameter}`;

/** Names of a parameter's running sum and of the sum with this run's gradient in it. */
export const sumName = (parameter: string) => `sum.${parameter}`;
/** Output that takes the place of a parameter or moment. */
export const newName = (state: string) => `new.${state}`;
export const gradientName = (parameter: string) => `grad.${parameter}`;

export function updateGraph(
  spec: ModelSpec,
  positions: number,
  form: UpdateForm,
  mode: UpdateMode,
): UpdateGraph {
  const g = new Graph();
  const p = parameterInputs(g, spec);
  const hidden = chosenHidden(g, spec, p, positions, form.recompute);
  const loss = isValueLoss(form)
    ? valueLoss(g, form, named(g, "values", valueHead(g, p, hidden)))
    : tokenLoss(
      g,
      form,
      named(g, "logprobs", targetLogprobs(g, spec, p, hidden, form.wide)),
    );

  const learning = [...p.used].filter(([name]) => learns(spec, name));
  const names = learning.map(([name]) => name);
  const parameters = learning.map(([, tensor]) => tensor);
  const fresh = gradients(g, loss, parameters);
  const grads = mode === "step" ? fresh : fresh.map((grad, i) => summed(g, grad, names[i]!));
  const norm = globalNorm(g, grads);
  g.output("loss", loss);
  g.output("grad_norm", norm);
  if (mode === "gradients") names.forEach((name, i) => g.output(gradientName(name), grads[i]!));
  else applyTo(g, names, parameters, grads, norm);
  return { graph: g, parameters: names };
}

/** The gradient and what earlier runs left; a zero of one element for the first of them. */
function summed(g: Graph, grad: Tensor, name: string): Tensor {
  const sum = g.input(sumName(name), "float32", grad.shape.map((_, i) => `${name}.${i}`));
  return g.emit1("Add", [grad, sum], grad.shape);
}

function named(g: Graph, name: string, tensor: Tensor): Tensor {
  g.output(name, tensor);
  return tensor;
}

/** The optimizer alone: inputs the parameters, their gradients, moments; outputs of a step. */
export function applyGraph(spec: ModelSpec, names: readonly string[]): Graph {
  const g = new Graph();
  const p = parameterInputs(g, spec);
  const parameters = names.map(p.get);
  const grads = names.map((n, i) => g.input(gradientName(n), "float32", parameters[i]!.shape));
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
  const next = adamw(g, optimizerInputs(g), parameters, grads, moments, norm);
  // One number by which the host sees whether all new weights are finite.
  g.output("weight_norm", globalNorm(g, next.map(({ w }) => w)));
  next.forEach(({ w, m, v }, i) => {
    g.output(newName(names[i]!), w);
    g.output(newName(momentName("m", names[i]!)), m);
    g.output(newName(momentName("v", names[i]!)), v);
  });
}
