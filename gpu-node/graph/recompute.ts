/**
 * Activation checkpointing (arXiv 1604.06174): of a block, only the input is kept; on the way back
 * the block is computed again before its gradients. A third more arithmetic for the memory of one
 * block instead of all.
 */
import { backward } from "./gradient.ts";
import type { Graph, Step } from "./graph.ts";
import { compare, where } from "./ops/elementwise.ts";
import { dimension } from "./ops/shape.ts";
import type { Tensor } from "./tensor.ts";

/** `build(x)`, a block that gives a tensor of x's shape; computed again for its gradients. */
export function recomputed(g: Graph, x: Tensor, build: (x: Tensor) => Tensor): Tensor {
  const { y, steps } = taped(g, () => build(x));
  const inside = new Set(steps.map(({ output }) => output.name));
  const outer = new Map(steps.flatMap((s) => s.inputs).map((tensor) => [tensor.name, tensor]));
  const inputs = [...outer.values()].filter(({ name }) => !inside.has(name));
  return g.record(inputs, y, (dy, wanted) => {
    const again = later(g, x, dy);
    const { y, steps } = taped(g, () => build(again));
    const targets = inputs.map((tensor) => tensor.name === x.name ? again : tensor);
    const found = backward(g, steps, y, dy, targets.filter((_, i) => wanted[i]));
    return targets.map((_, i) => wanted[i] ? found.shift()! : null);
  });
}

/** What `build` gives, and its steps, which do not stay on the graph's tape. */
function taped(g: Graph, build: () => Tensor): { y: Tensor; steps: Step[] } {
  const start = g.tape.length;
  const y = build();
  return { y, steps: g.tape.splice(start) };
}

/**
 * x, but not before dy is there, and under a name of its own: the runtime would otherwise compute
 * the second pass early, or see that it repeats the first and keep that one's results.
 */
function later(g: Graph, x: Tensor, dy: Tensor): Tensor {
  const none = g.constant(BigInt64Array.of(-1n), []);
  return where(g, compare(g, "Greater", dimension(g, x, 0), none), x, dy);
}
