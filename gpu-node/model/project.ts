/**
 * Parameters of a model as tensors of one graph, and the one place where a layer's matrix is
 * applied: y = x·Wᵀ + bias + (alpha/rank)·(x·Aᵀ)·Bᵀ, the last two where the model has them
 * (LoRA: arXiv 2106.09685, equation 3).
 */
import { CollmError } from "../../shared/errors.ts";
import type { Graph } from "../graph/graph.ts";
import { add, mul } from "../graph/ops/elementwise.ts";
import { linear } from "../graph/ops/linear.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { ModelSpec, Shapes } from "./spec.ts";

/** Parameters by checkpoint name. */
export interface Parameters {
  get(name: string): Tensor;
  has(name: string): boolean;
}

/** Declares parameters as graph inputs on first use, with the shapes of `shapes`. */
export function parameterInputs(g: Graph, shapes: Shapes): Parameters & {
  /** Those used so far, in order of their first use. */
  used: Map<string, Tensor>;
} {
  const used = new Map<string, Tensor>();
  return {
    used,
    has: (name) => shapes.has(name),
    get(name) {
      const known = used.get(name);
      if (known) return known;
      const shape = shapes.get(name);
      if (!shape) throw new CollmError("internal", `Cannot build graph: no parameter '${name}'`);
      const tensor = g.input(name, "float32", shape);
      used.set(name, tensor);
      return tensor;
    },
  };
}

/** Applies the matrix `name` (without `.weight`) to x [rows, in] → [rows, out]. */
export function project(
  g: Graph,
  { lora }: ModelSpec,
  p: Parameters,
  x: Tensor,
  name: string,
): Tensor {
  const y = linear(g, x, p.get(`${name}.weight`));
  const biased = p.has(`${name}.bias`) ? add(g, y, p.get(`${name}.bias`)) : y;
  if (!lora || !p.has(`${name}.lora_A`)) return biased;
  const inner = linear(g, x, p.get(`${name}.lora_A`));
  const scaled = mul(g, inner, g.scalar(lora.alpha / lora.rank));
  return add(g, biased, linear(g, scaled, p.get(`${name}.lora_B`)));
}
