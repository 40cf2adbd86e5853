/**
 * Writes fused operations as plain ones, for devices whose provider lacks them. Works on nodes, so
 * gradients and the bodies of loops are covered as well. What is not in the table stays.
 */
import type { Attribute, Graph, Node } from "./graph.ts";

/** Emits nodes: name of the result, which is a fresh one unless given. */
type Emit = (op: string, inputs: string[], attributes?: Record<string, Attribute>) => string;
type Rule = (emit: Emit, inputs: string[], node: Node, g: Graph) => string[];

const RULES: Record<string, Rule> = {
  /** x − max − log Σ exp(x − max) over the last axis. */
  LogSoftmax(emit, [x], _, g) {
    const last = g.indices([-1]).name;
    const shifted = emit("Sub", [x!, emit("ReduceMax", [x!, last])]);
    const sum = emit("ReduceSum", [emit("Exp", [shifted]), last]);
    return [emit("Sub", [shifted, emit("Log", [sum])])];
  },
};

/** The node itself, or what stands for it; the last ones take its outputs' names. */
export function lower(g: Graph, node: Node): Node[] {
  const rule = RULES[node.op];
  if (!rule) return [node];
  const nodes: Node[] = [];
  const emit: Emit = (op, inputs, attributes = {}) => {
    const output = g.name(op);
    nodes.push({ op, domain: "", inputs, outputs: [output], attributes });
    return output;
  };
  const results = rule(emit, node.inputs, node, g);
  const rename = new Map(results.map((name, i) => [name, node.outputs[i]!]));
  const named = (name: string) => rename.get(name) || name;
  return nodes.map((n) => ({
    ...n,
    inputs: n.inputs.map(named),
    outputs: n.outputs.map(named),
  }));
}
