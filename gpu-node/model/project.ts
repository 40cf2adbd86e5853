/**
 * Parameters of a model as tensors of one graph, and the one place where a layer's matrix is
 * applied: y = x·Wᵀ + bias + (alpha/rank)·(x·Aᵀ)·Bᵀ, the last two where the model has them
 * (LoRA: arXiv 2106.09685, equation 3).
 */
import { CollmError } from "../../shared/errors.ts";
import type { Graph } from "../graph/graph.ts";
import { mul } from "../graph/ops/elementwise.ts";
import { linear } from "../graph/ops/linear.ts";
import { concat, slice } from "../graph/ops/shape.ts";
import type { Tensor } from "../graph/tensor.ts";
import { isHalf, type ModelSpec } from "./spec.ts";

/** Parameters by checkpoint name. */
export interface Parameters {
  get(name: string): Tensor;
  has(name: string): boolean;
}

/** Declares parameters as graph inputs on first use. */
export function parameterInputs(
  g: Graph,
  spec: Pick<ModelSpec, "config" | "shapes">,
): Parameters & {
  /** Those used so far, in order of their first use. */
  used: Map<string, Tensor>;
} {
  const used = new Map<string, Tensor>();
  const { shapes } = spec;
  return {
    used,
    has: (name) => shapes.has(name),
    get(name) {
      const known = used.get(name);
      if (known) return known;
      const shape = shapes.get(name);
      if (!shape) throw new CollmError("internal", `Cannot build graph: no parameter '${name}'`);
      const tensor = g.input(name, isHalf(spec, name) ? "float16" : "float32", shape);
      used.set(name, tensor);
      return tensor;
    },
  };
}

/**
 * Applies matrices of one input (names without `.weight`) to x [rows, in] → [rows, out] each.
 * Their adapters share one product with x, which would else be read once for each.
 */
export function project<Names extends readonly string[]>(
  g: Graph,
  { lora }: ModelSpec,
  p: Parameters,
  x: Tensor,
  ...names: Names
): { [K in keyof Names]: Tensor } {
  const adapted = lora ? names.filter((name) => p.has(`${name}.lora_A`)) : [];
  const inner = adapted.length > 0 && linear(
    g,
    x,
    mul(
      g,
      concat(g, adapted.map((name) => p.get(`${name}.lora_A`)), 0),
      g.scalar(lora!.alpha / lora!.rank),
    ),
  );
  return names.map((name) => {
    const bias = p.has(`${name}.bias`) ? p.get(`${name}.bias`) : undefined;
    const y = linear(g, x, p.get(`${name}.weight`), bias);
    const at = adapted.indexOf(name);
    if (!inner || at < 0) return y;
    const { rank } = lora!;
    const own = adapted.length > 1 ? slice(g, inner, 1, at * rank, (at + 1) * rank) : inner;
    return linear(g, own, p.get(`${name}.lora_B`), y);
  }) as { [K in keyof Names]: Tensor };
}
