/**
 * Drops nodes that no output needs. The runtime would execute them, and rules emit some: the
 * gradient of a weight that does not learn, for one.
 */
import { Graph, type Node } from "./graph.ts";

/** The nodes that the graph's outputs depend on, in their order. */
export function liveNodes(graph: Graph): Node[] {
  const read = new Set(graph.outputs.map(({ tensor }) => tensor.name));
  return graph.nodes.toReversed().filter((node) => {
    if (!node.outputs.some((name) => read.has(name))) return false;
    for (const name of readsOf(node)) read.add(name);
    return true;
  }).reverse();
}

/** What a node reads, the outer tensors of its bodies included. */
function readsOf(node: Node): string[] {
  const bodies = Object.values(node.attributes).filter((value) => value instanceof Graph);
  return [
    ...node.inputs,
    ...bodies.flatMap((body) => [
      ...body.nodes.flatMap(readsOf),
      ...body.outputs.map(({ tensor }) => tensor.name),
    ]),
  ];
}
