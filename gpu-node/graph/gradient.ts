/**
 * Reverse-mode differentiation: walks the tape backwards and emits the nodes of every gradient.
 * The rules stand beside their operations in ops/; this file only orders and sums them.
 */
import { CollmError } from "../../shared/errors.ts";
import type { Graph, Step } from "./graph.ts";
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
  // The rules append to the tape while they run; only what stands there now is walked.
  const grads = backward(graph, graph.tape.slice(), loss, graph.scalar(1), targets);
  return grads.map((grad, i) => {
    if (grad) return grad;
    const { name } = targets[i]!;
    throw new CollmError("internal", `Cannot differentiate: '${name}' is not in the loss`);
  });
}

/**
 * Gradients of a loss with respect to `targets`, given `dy`, its gradient with respect to the
 * output `y` of the steps; null for a target that does not influence y.
 */
export function backward(
  graph: Graph,
  steps: readonly Step[],
  y: Tensor,
  dy: Tensor,
  targets: readonly Tensor[],
): (Tensor | null)[] {
  const needed = influencedBy(steps, targets);
  const grads = new Map([[y.name, dy]]);
  for (const step of steps.toReversed()) {
    const dy = grads.get(step.output.name);
    if (!dy || !needed.has(step.output.name)) continue;
    const wanted = step.inputs.map((x) => needed.has(x.name));
    step.gradient(dy, wanted).forEach((dx, i) => {
      const x = step.inputs[i]!;
      if (!dx || !wanted[i]) return;
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
  return targets.map(({ name }) => grads.get(name) ?? null);
}

/** Names of all tensors that depend on a target: the only ones whose gradients are wanted. */
function influencedBy(steps: readonly Step[], targets: readonly Tensor[]): Set<string> {
  const names = new Set(targets.map((t) => t.name));
  for (const step of steps) {
    if (step.inputs.some((x) => names.has(x.name))) names.add(step.output.name);
  }
  return names;
}
