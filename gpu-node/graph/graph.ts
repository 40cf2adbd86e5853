/**
 * An ONNX graph under construction: inputs, constants, nodes, outputs, and the tape of
 * differentiable steps that gradient.ts walks backwards. Knows no operation: those are in ops/.
 * Bodies of Loop nodes are child graphs that read the outer graph's tensors by name.
 */
import type { Dtype, Shape, Tensor } from "./tensor.ts";

export type Attribute = number | string | number[] | { float: number } | Graph;
/** A Uint16Array holds the bits of float16. */
export type ConstantData = Float32Array | Uint16Array | Int32Array | BigInt64Array | Uint8Array;

export interface Node {
  op: string;
  domain: string;
  inputs: string[];
  outputs: string[];
  attributes: Record<string, Attribute>;
}

export interface Constant {
  tensor: Tensor;
  data: ConstantData;
}

/**
 * How to get the inputs' gradients from the output's. `wanted` says which inputs' are asked for:
 * nodes that nothing reads are dropped anyway, so only rules for which that is too late look at it.
 */
export type Gradient = (dy: Tensor, wanted: readonly boolean[]) => (Tensor | null)[];

/** One differentiable step. */
export interface Step {
  inputs: readonly Tensor[];
  output: Tensor;
  gradient: Gradient;
}

export class Graph {
  readonly inputs: Tensor[] = [];
  readonly outputs: { name: string; tensor: Tensor }[] = [];
  readonly constants: Constant[] = [];
  readonly nodes: Node[] = [];
  readonly tape: Step[] = [];
  readonly #root: Graph;
  readonly #cache = new Map<string, Tensor>();
  #count = 0;

  constructor(parent?: Graph) {
    this.#root = parent ? parent.#root : this;
  }

  /** A name unique in the whole model, bodies included. */
  name(hint: string): string {
    return `${hint}_${this.#root.#count++}`;
  }

  input(name: string, dtype: Dtype, shape: Shape): Tensor {
    const tensor = { name, dtype, shape };
    this.inputs.push(tensor);
    return tensor;
  }

  output(name: string, tensor: Tensor): void {
    this.outputs.push({ name, tensor });
  }

  /** A constant of the model; small equal constants are stored once. */
  constant(data: ConstantData, shape: Shape, name?: string): Tensor {
    const dtype: Dtype = data instanceof Float32Array
      ? "float32"
      : data instanceof Uint16Array
      ? "float16"
      : data instanceof Int32Array
      ? "int32"
      : data instanceof BigInt64Array
      ? "int64"
      : "bool";
    const key = data.length <= 16 && !name ? `${dtype}:${shape.join(",")}:${data.join(",")}` : "";
    const known = key && this.#root.#cache.get(key);
    if (known) return known;
    const tensor = { name: name ?? this.name("c"), dtype, shape };
    this.#root.constants.push({ tensor, data });
    if (key) this.#root.#cache.set(key, tensor);
    return tensor;
  }

  scalar(value: number): Tensor {
    return this.constant(Float32Array.of(value), []);
  }

  /** int64 vector, as shape and axes inputs take it. */
  indices(values: readonly number[]): Tensor {
    return this.constant(BigInt64Array.from(values, BigInt), [values.length]);
  }

  /** Appends a node; `null` outputs are left out (optional outputs of the operation). */
  emit(
    op: string,
    inputs: readonly (Tensor | null)[],
    outputs: readonly ({ dtype: Dtype; shape: Shape } | null)[],
    attributes: Record<string, Attribute> = {},
    domain = "",
  ): Tensor[] {
    const tensors = outputs.map((o) =>
      o ? { dtype: o.dtype, shape: o.shape, name: this.name(op) } : null
    );
    this.nodes.push({
      op,
      domain,
      inputs: inputs.map((t) => t?.name ?? ""),
      outputs: tensors.map((t) => t?.name ?? ""),
      attributes,
    });
    return tensors.filter((t) => t !== null);
  }

  /** Appends a node with one output. */
  emit1(
    op: string,
    inputs: readonly (Tensor | null)[],
    shape: Shape,
    attributes: Record<string, Attribute> = {},
    options: { dtype?: Dtype; domain?: string } = {},
  ): Tensor {
    const dtype = options.dtype ?? inputs[0]?.dtype ?? "float32";
    return this.emit(op, inputs, [{ dtype, shape }], attributes, options.domain)[0]!;
  }

  /** Builds without recording: for a fused operation that brings its own gradient. */
  quietly<T>(build: () => T): T {
    const length = this.tape.length;
    const result = build();
    this.tape.length = length;
    return result;
  }

  /** Records a differentiable step and returns its output. */
  record(
    inputs: readonly Tensor[],
    output: Tensor,
    gradient: Gradient,
  ): Tensor {
    this.tape.push({ inputs, output, gradient });
    return output;
  }
}
