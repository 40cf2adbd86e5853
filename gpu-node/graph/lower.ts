/**
 * Writes fused operations as plain ones, for devices whose provider lacks them. Works on nodes, so
 * gradients and the bodies of loops are covered as well. What is not in the table stays.
 */
import { type Attribute, Graph, type Node } from "./graph.ts";

/** Emits a node with one output and gives its name. */
type Emit = (
  op: string,
  inputs: string[],
  attributes?: Record<string, Attribute>,
  domain?: string,
) => string;
/** Names of what stands for the node's outputs, or null where the node may stay. */
type Rule = (emit: Emit, node: Node, g: Graph) => string[] | null;

const RULES: Record<string, Rule> = {
  /** x − max − log Σ exp(x − max) over the last axis. */
  LogSoftmax(emit, { inputs }, g) {
    const [x, last] = [inputs[0]!, g.indices([-1]).name];
    const shifted = emit("Sub", [x, emit("ReduceMax", [x, last])]);
    const sum = emit("ReduceSum", [emit("Exp", [shifted]), last]);
    return [emit("Sub", [shifted, emit("Log", [sum])])];
  },

  /** The provider leaves the second output, 1/√(mean(x²) + ε), unwritten. */
  SimplifiedLayerNormalization(emit, { op, inputs, outputs, attributes }, g) {
    if (!outputs[1] || !isRead(g, outputs[1])) return null;
    const x = inputs[0]!;
    const mean = emit("ReduceMean", [emit("Mul", [x, x]), g.indices([-1]).name]);
    const epsilon = g.scalar((attributes["epsilon"] as { float: number }).float).name;
    const inverse = emit("Reciprocal", [emit("Sqrt", [emit("Add", [mean, epsilon])])]);
    return [emit(op, inputs, attributes), inverse];
  },
};

/** The node itself, or what stands for it; the last ones take its outputs' names. */
export function lower(g: Graph, node: Node): Node[] {
  const rule = RULES[node.op];
  if (!rule) return [node];
  const nodes: Node[] = [];
  const emit: Emit = (op, inputs, attributes = {}, domain = "") => {
    const output = g.name(op);
    nodes.push({ op, domain, inputs, outputs: [output], attributes });
    return output;
  };
  const results = rule(emit, node, g);
  if (!results) return [node];
  const rename = new Map(results.map((name, i) => [name, node.outputs[i]!]));
  const named = (name: string) => rename.get(name) || name;
  return nodes.map((n) => ({
    ...n,
    inputs: n.inputs.map(named),
    outputs: n.outputs.map(named),
  }));
}

/** Whether a node of the graph, of a body in it, or an output of the graph takes the tensor. */
const isRead = (g: Graph, name: string): boolean =>
  g.outputs.some((output) => output.name === name || output.tensor.name === name) ||
  g.nodes.some(({ inputs, attributes }) =>
    inputs.includes(name) ||
    Object.values(attributes).some((a) => a instanceof Graph && isRead(a, name))
  );
