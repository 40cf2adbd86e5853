/**
 * Where programs run, as the rest of the node sees it: tensors, compiled graphs, one device.
 * Implemented in device/ on ONNX Runtime, whose sessions block their thread while they run: all of
 * this lives in a Worker.
 */
import type { OnnxTensor } from "../deps.ts";
import type { Graph } from "./graph/graph.ts";
import type { DeviceName } from "./verbs.ts";

export { cpuDevice, openDevice } from "./device/choose.ts";

/** A Uint16Array holds the bits of float16. */
export type TensorData = Float32Array | Uint16Array | Int32Array | BigInt64Array | Uint8Array;

/** A value on its way into or out of a program: data in row-major order and its shape. */
export interface HostTensor {
  data: TensorData;
  dims: readonly number[];
}

/** A compiled graph. */
export interface Program {
  /**
   * Runs once. Values may be host tensors or tensors of an earlier run on the same device; one of
   * another device is refused. Outputs are on the host, except those that `keep` named.
   * `into` gives host tensors that outputs are written to instead of new ones.
   */
  run(
    feeds: Record<string, HostTensor | OnnxTensor>,
    into?: Record<string, OnnxTensor>,
  ): Promise<Record<string, OnnxTensor>>;
  release(): Promise<void>;
}

export interface CompileOptions {
  /**
   * Its threads go on spinning for a while after a run, which makes the many small steps of
   * sampling faster, and takes the cores from whatever program runs next.
   */
  spins?: boolean;
  /** Threads within an operation; default: those of the device. */
  threads?: number;
  /**
   * Outputs that stay in the device's memory, to be fed to later runs; whoever takes them frees
   * them (`dispose` below). A device that shares the host's memory ignores it.
   */
  keep?: (output: string) => boolean;
  /** What a run fails of is only thrown, not written to the terminal as well. */
  quiet?: boolean;
}

export interface Device {
  readonly name: DeviceName;
  /** CPU threads of an operation that runs there. The last bits of results may depend on it. */
  readonly threads: number;
  compile(graph: Graph, options?: CompileOptions): Promise<Program>;
  /** A host value as a tensor; nothing is copied. */
  tensor(value: HostTensor): OnnxTensor;
  /** A host value in the device's memory, for as long as it is needed. */
  upload(value: HostTensor): Promise<OnnxTensor>;
  /** A tensor's values on the host, wherever it is, float16 as float32. Do not write to them. */
  read(tensor: OnnxTensor): Promise<TensorData>;
  /** Operations that fell back to the CPU in the programs run so far, with their number of nodes. */
  cpuNodes(): Record<string, number>;
  /** Releases every program. A thread that ends with programs on a GPU takes the process along. */
  close(): Promise<void>;
}

/** Whether the tensor's values are in the host's memory. */
export const onHost = (tensor: OnnxTensor): boolean => tensor.location === "cpu";

/** Frees device memory at once; the host's is left to the garbage collector. */
export function dispose(tensors: Iterable<OnnxTensor>): void {
  for (const tensor of tensors) if (tensor.location === "gpu-buffer") tensor.dispose();
}

/** Tensors that are needed no more, as what a run may write to; those in device memory are freed. */
export function recycle(tensors: Iterable<[string, OnnxTensor]>): Map<string, OnnxTensor> {
  const [spare, rest] = [new Map<string, OnnxTensor>(), []] as [
    Map<string, OnnxTensor>,
    OnnxTensor[],
  ];
  for (const [name, tensor] of tensors) {
    if (onHost(tensor)) spare.set(name, tensor);
    else rest.push(tensor);
  }
  dispose(rest);
  return spare;
}

/** The same device, whose programs have so many threads each. */
export const withThreads = (device: Device, threads: number): Device => ({
  ...device,
  threads,
  compile: (graph, options) => device.compile(graph, { threads, ...options }),
});
