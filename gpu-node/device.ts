/**
 * Where programs run: ONNX Runtime sessions on one device. The only file that creates sessions.
 * Sessions block their thread while they run, so all of this lives in a Worker.
 */
import { type InferenceSession, loadOnnxRuntime, type OnnxTensor } from "../deps.ts";
import { encodeModel } from "./graph/encode.ts";
import type { Graph } from "./graph/graph.ts";

export type TensorData = Float32Array | Int32Array | BigInt64Array | Uint8Array;

/** A value on its way into or out of a program: data in row-major order and its shape. */
export interface HostTensor {
  data: TensorData;
  dims: readonly number[];
}

/** A compiled graph. */
export interface Program {
  /**
   * Runs once. Values may be host tensors or tensors of an earlier run.
   * `into` gives buffers that outputs are written to instead of new ones.
   */
  run(
    feeds: Record<string, HostTensor | OnnxTensor>,
    into?: Record<string, OnnxTensor>,
  ): Promise<Record<string, OnnxTensor>>;
  release(): Promise<void>;
}

export interface Device {
  readonly name: "cpu";
  /**
   * `spins`: its threads go on spinning for a while after a run, which makes the many small steps
   * of sampling faster, and takes the cores from whatever program runs next.
   */
  compile(graph: Graph, options?: { spins?: boolean }): Promise<Program>;
  tensor(value: HostTensor): OnnxTensor;
}

const THREADS = 2;

/** The CPU device with a fixed number of threads: the same sums in the same order every time. */
export async function cpuDevice(): Promise<Device> {
  const ort = await loadOnnxRuntime();
  const tensor = (value: HostTensor): OnnxTensor => {
    const type = value.data instanceof Float32Array
      ? "float32"
      : value.data instanceof Int32Array
      ? "int32"
      : value.data instanceof BigInt64Array
      ? "int64"
      : "bool";
    return new ort.Tensor(type, value.data as Float32Array, [...value.dims]) as OnnxTensor;
  };
  return {
    name: "cpu",
    tensor,
    async compile(graph, options = {}) {
      const session: InferenceSession = await ort.InferenceSession.create(
        await encodeModel(graph),
        {
          executionProviders: ["cpu"],
          intraOpNumThreads: THREADS,
          interOpNumThreads: 1,
          executionMode: "sequential",
          // Shapes change from call to call: planning memory per shape costs more than it saves.
          enableMemPattern: false,
          graphOptimizationLevel: "all",
          logSeverityLevel: 3,
          extra: { "session.force_spinning_stop": options.spins ? "0" : "1" },
        },
      );
      return {
        async run(feeds, into) {
          const inputs = Object.fromEntries(
            Object.entries(feeds).map((
              [k, v],
            ) => [k, "data" in v && !("location" in v) ? tensor(v) : v]),
          ) as Record<string, OnnxTensor>;
          const fetches = into &&
            Object.fromEntries(session.outputNames.map((name) => [name, into[name] ?? null]));
          return await (fetches ? session.run(inputs, fetches) : session.run(inputs)) as Record<
            string,
            OnnxTensor
          >;
        },
        release: () => session.release(),
      };
    },
  };
}
