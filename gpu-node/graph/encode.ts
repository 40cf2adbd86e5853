/**
 * Writes a graph as the bytes of an ONNX model. Named dimensions become symbolic ones.
 * Opset 18 for plain operations; com.microsoft for fused ones.
 */
import { loadOnnxProto } from "../../deps.ts";
import { type Attribute, type Constant, Graph, type Node } from "./graph.ts";
import { liveNodes } from "./live.ts";
import type { Dtype, Tensor } from "./tensor.ts";

const TYPE: Record<Dtype, number> = { float32: 1, int32: 6, int64: 7, bool: 9, float16: 10 };

/** What a node is written as, in the graph that holds it: itself, or others in its place. */
export type Lower = (graph: Graph, node: Node) => Node[];

/** Takes the bytes of a large constant; says in which file they will be, and where. */
export interface ExternalData {
  add(bytes: Uint8Array): { location: string; offset: number };
}

/** Constants smaller than this stay in the model: shapes are inferred from them. */
const LEAST_EXTERNAL = 1024;

/** The model's bytes, ready for an inference session; with `external` without large constants. */
export async function encodeModel(
  graph: Graph,
  lower?: Lower,
  external?: ExternalData,
): Promise<Uint8Array> {
  const { onnx } = (await loadOnnxProto()).default;
  const held = [...graph.inputs, ...graph.constants.map(({ tensor }) => tensor)]
    .filter(({ dtype }) => dtype === "float16").map(({ name }) => name);
  const writing = { lower: lower ?? ((_: Graph, node: Node) => [node]), held: new Set(held) };
  const main = graphProto(graph, "main", writing);
  if (external) main.initializer = main.initializer.map((p: Proto) => moveOut(p, external));
  const model = onnx.ModelProto.create({
    irVersion: 8,
    producerName: "collm",
    opsetImport: [{ domain: "", version: 18 }, { domain: "com.microsoft", version: 1 }],
    graph: main,
  });
  return onnx.ModelProto.encode(model).finish();
}

// deno-lint-ignore no-explicit-any
type Proto = any; // protobufjs objects are plain records

type Rename = (name: string) => string;

interface Writing {
  lower: Lower;
  /** Weights held as float16. */
  held: ReadonlySet<string>;
}

/** `outer` renames tensors of the graphs around this one. */
function graphProto(
  graph: Graph,
  name: string,
  writing: Writing,
  outer: Rename = (name) => name,
): Proto {
  const { nodes, outputs, rename } = withNamedOutputs(graph, outer);
  // Before the initializers: lowering may add constants to the root graph.
  const node = widenedLate(nodes, writing).flatMap((n) => writing.lower(graph, n))
    .map((n) => nodeProto(n, writing, rename));
  return {
    name,
    input: graph.inputs.map(valueInfo),
    output: outputs.map(valueInfo),
    initializer: graph.constants.map(tensorProto),
    node,
  };
}

/**
 * Output names are part of a program's interface. A tensor computed here takes its output's name;
 * one that is an input, a constant or an output already is copied under it.
 */
function withNamedOutputs(
  graph: Graph,
  outer: Rename,
): { nodes: Node[]; outputs: Tensor[]; rename: Rename } {
  const computed = new Set(graph.nodes.flatMap((node) => node.outputs));
  const renamed = new Map<string, string>();
  const copies: Node[] = [];
  for (const { name, tensor } of graph.outputs) {
    if (computed.has(tensor.name) && !renamed.has(tensor.name)) {
      renamed.set(tensor.name, name);
    } else {
      const inputs = [tensor.name];
      copies.push({ op: "Identity", domain: "", inputs, outputs: [name], attributes: {} });
    }
  }
  const rename = (name: string) => renamed.get(name) ?? outer(name);
  const nodes = [...liveNodes(graph), ...copies].map((node) => ({
    ...node,
    inputs: node.inputs.map(rename),
    outputs: node.outputs.map(rename),
  }));
  const outputs = graph.outputs.map(({ name, tensor }) => ({ ...tensor, name }));
  return { nodes, outputs, rename };
}

function valueInfo(tensor: Tensor): Proto {
  const dim = tensor.shape.map((d) => typeof d === "number" ? { dimValue: d } : { dimParam: d });
  return {
    name: tensor.name,
    type: { tensorType: { elemType: TYPE[tensor.dtype], shape: { dim } } },
  };
}

function tensorProto({ tensor, data }: Constant): Proto {
  return {
    name: tensor.name,
    dataType: TYPE[tensor.dtype],
    dims: tensor.shape,
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

function moveOut(proto: Proto, external: ExternalData): Proto {
  const { rawData, ...rest } = proto;
  if (rawData.length < LEAST_EXTERNAL) return proto;
  const { location, offset } = external.add(rawData);
  const entries = { location, offset: `${offset}`, length: `${rawData.length}` };
  const externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
  return { ...rest, dataLocation: 1, externalData };
}

/**
 * Weights are widened first in the file: the runtime, which orders nodes from the outputs backwards,
 * then does each right before it is used, and otherwise all of them before anything else.
 */
function widenedLate(nodes: readonly Node[], { held }: Writing): Node[] {
  const widens = ({ op, inputs }: Node) => op === "Cast" && held.has(inputs[0]!);
  return [...nodes.filter(widens), ...nodes.filter((node) => !widens(node))];
}

function nodeProto(node: Node, writing: Writing, rename: Rename): Proto {
  return {
    // Names make a profile readable; outputs are unique in the whole model.
    name: node.outputs.find((output) => output !== "")!,
    opType: node.op,
    domain: node.domain,
    input: node.inputs,
    output: node.outputs,
    attribute: Object.entries(node.attributes).map(([name, value]) =>
      attribute(name, value, writing, rename)
    ),
  };
}

function attribute(name: string, value: Attribute, writing: Writing, rename: Rename): Proto {
  if (value instanceof Graph) return { name, type: 5, g: graphProto(value, name, writing, rename) };
  if (typeof value === "number") return { name, type: 2, i: value };
  if (typeof value === "string") return { name, type: 3, s: new TextEncoder().encode(value) };
  if (Array.isArray(value)) return { name, type: 7, ints: value };
  return { name, type: 1, f: value.float };
}
