/**
 * A device on ONNX Runtime: what CPU, WebGPU and CUDA share, and the few ways in which they
 * differ. The only file that creates sessions. Which device there is to choose from: choose.ts.
 */
import { type InferenceSession, loadOnnxRuntime, type OnnxTensor } from "../../deps.ts";
import { CollmError } from "../../shared/errors.ts";
import {
  type CompileOptions,
  type Device,
  type HostTensor,
  onHost,
  type Program,
} from "../device.ts";
import { encodeModel } from "../graph/encode.ts";
import type { Graph } from "../graph/graph.ts";
import { lower } from "../graph/lower.ts";
import type { Dtype } from "../graph/tensor.ts";
import type { DeviceName } from "../verbs.ts";
import { PlacementWatch } from "./placement.ts";
import { valuesOf } from "./half.ts";
import { transfers } from "./transfer.ts";

/** How the execution provider of a device differs from the CPU's. */
export interface Traits {
  name: DeviceName;
  /** Its tensors can stay in its memory between runs. */
  keeps: boolean;
  /** It lacks fused operations: graphs are lowered to plain ones before they are compiled. */
  plain: boolean;
}

/** The same everywhere unless told otherwise, so that other machines repeat a run's numbers. */
const THREADS = 2;

/** Rejects with ONNX Runtime's error, at the first session, where there is no such device. */
export async function runtimeDevice(
  { name, keeps, plain }: Traits,
  threads = THREADS,
): Promise<Device> {
  const ort = await loadOnnxRuntime();
  const watch = new PlacementWatch();
  const programs = new Set<Program>();

  function tensor({ data, dims }: HostTensor): OnnxTensor {
    const made = new ort.Tensor(typeOf(data), data as Float32Array, [...dims]) as OnnxTensor;
    // The library makes a Float16Array of the bits, which Deno hands to the runtime as no bytes.
    if (data instanceof Uint16Array) Object.assign(made, { cpuData: data });
    return made;
  }

  const bind = (feeds: Record<string, HostTensor | OnnxTensor>): Record<string, OnnxTensor> =>
    Object.fromEntries(
      Object.entries(feeds).map(([key, value]) => {
        if (!("location" in value)) return [key, tensor(value)];
        if (!onHost(value) && !(keeps && value.location === "gpu-buffer")) refuse(key, value);
        return [key, value];
      }),
    );

  // A wrong one is not noticed by the runtime: it reads whatever lies at that address.
  function refuse(key: string, { location }: OnnxTensor): never {
    const where = location === "none" ? "was freed" : `is in the memory '${location}'`;
    throw new CollmError("internal", `Cannot run on device '${name}': input '${key}' ${where}`);
  }

  async function compile(
    graph: Graph,
    { spins = false, threads: own = threads, keep, quiet = false }: CompileOptions = {},
  ) {
    const bytes = await encodeModel(graph, plain ? lower : undefined);
    const watching = name === "cpu" ? null : await watch.start();
    const session: InferenceSession = await ort.InferenceSession.create(bytes, {
      executionProviders: [name],
      intraOpNumThreads: own,
      interOpNumThreads: 1,
      executionMode: "sequential",
      // Shapes change from call to call: planning memory per shape costs more than it saves.
      enableMemPattern: false,
      graphOptimizationLevel: "all",
      logSeverityLevel: quiet ? 4 : 3,
      ...keeps && keep && { preferredOutputLocation: locations(graph, keep) },
      ...watching?.options,
      extra: {
        "session.force_spinning_stop": spins ? "0" : "1",
        // What the way back widens again would be kept from the way forth: more than float32 takes.
        ...graph.inputs.some(({ dtype }) => dtype === "float16") && {
          "optimization.disable_specified_optimizers": "CommonSubexpressionElimination",
        },
      },
    });
    let first = watching;
    const endWatch = async () => {
      const watched = first;
      first = null;
      await watched?.finish(session);
    };
    const program: Program = {
      async run(
        feeds: Record<string, HostTensor | OnnxTensor>,
        into?: Record<string, OnnxTensor>,
      ): Promise<Record<string, OnnxTensor>> {
        const fetches = into &&
          Object.fromEntries(session.outputNames.map((output) => [output, into[output] ?? null]));
        const inputs = bind(feeds);
        const outputs = await (fetches ? session.run(inputs, fetches) : session.run(inputs));
        await endWatch();
        return outputs as Record<string, OnnxTensor>;
      },
      async release() {
        if (!programs.delete(program)) return;
        await endWatch();
        await session.release();
      },
    };
    programs.add(program);
    return program;
  }

  const { upload, read } = keeps
    ? transfers(compile, tensor)
    : { upload: (value: HostTensor) => Promise.resolve(tensor(value)), read: hostData };
  const close = async () => {
    for (const program of [...programs]) await program.release();
  };
  return { name, threads, compile, tensor, upload, read, cpuNodes: () => watch.cpuNodes(), close };
}

const hostData = (tensor: OnnxTensor) => Promise.resolve(valuesOf(tensor));

const locations = (graph: Graph, keep: (output: string) => boolean) =>
  Object.fromEntries(
    graph.outputs.map(({ name }) => [name, keep(name) ? "gpu-buffer" : "cpu"] as const),
  );

function typeOf(data: HostTensor["data"]): Dtype {
  if (data instanceof Float32Array) return "float32";
  if (data instanceof Uint16Array) return "float16";
  if (data instanceof Int32Array) return "int32";
  return data instanceof BigInt64Array ? "int64" : "bool";
}
