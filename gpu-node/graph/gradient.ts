/**
 * Reverse-mode differentiation: walks the tape backwards and emits the nodes of every gradient.
 * The rules stand beside their operations in ops/; this file only orders and sums them.
 */
import { CollmError } from "../../shared/errors.ts";
import type { Graph } from "./graph.ts";
import { sameShape, type Tensor } from "./tensor.ts";
import { add } from "./ops/elementwise.ts";

/**
 * Gradients of the scalar `loss` with respect to `targets`, in their order and shapes.
 * Throws when a target does not influence the loss.
 */
export function gradients(graph: Graph, loss: Tensor, targets: readonly Tensor[]): Tensor[] {
  if (loss.shape.length !== 0) {
    throw new CollmError(
      "internal",
      `Cannot differentiate '${loss.name}': its shape is [${loss.shape.join(",")}], not a scalar`,
    );
  }
  const needed = influencedBy(graph, targets);
  const grads = new Map<string, Tensor>([[loss.name, graph.scalar(1)]]);
  // The rules append to the tape while they run; only what stood there before is walked.
  for (const step of graph.tape.slice().reverse()) {
    const dy = grads.get(step.output.name);
    if (!dy || !needed.has(step.output.name)) continue;
    step.gradient(dy).forEach((dx, i) => {
      const x = step.inputs[i]!;
      if (!dx || !needed.has(x.name)) return;
      if (!sameShape(dx.shape, x.shape)) {
        throw new CollmError(
          "internal",
          `Cannot differentiate '${step.output.name}': gradient of input ${i} has shape ` +
            `[${dx.shape.join(",")}], its input [${x.shape.join(",")}]`,
        );
      }
      const sum = grads.get(x.name);
      grads.set(x.name, sum ? add(graph, sum, dx) : dx);
    });
  }
  return targets.map((target) => {
    const grad = grads.get(target.name);
    if (grad) return grad;
    throw new CollmError("internal", `Cannot differentiate: '${target.name}' is not in the loss`);
  });
}

/** Names of all tensors that depend on a target: the only ones whose gradients are wanted. */
function influencedBy(graph: Graph, targets: readonly Tensor[]): Set<string> {
  const names = new Set(targets.map((t) => t.name));
  for (const step of graph.tape) {
    if (step.inputs.some((x) => names.has(x.name))) names.add(step.output.name);
  }
  return names;
}
