/** Where a graph's weights come from: inputs (they change often) or constants (they do not). */
import type { Graph } from "../graph/graph.ts";
import type { Tensor } from "../graph/tensor.ts";
import { parameterInputs, type Parameters } from "../model/project.ts";
import type { ModelSpec, Shapes } from "../model/spec.ts";

export type WeightSource = (g: Graph) => Parameters;

export const weightsAsInputs = (spec: ModelSpec): WeightSource => (g) => parameterInputs(g, spec);

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
