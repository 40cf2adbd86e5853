/**
 * Between the host's memory and a device's, by programs that copy their input. The runtime's own
 * download (`getData`) must not be used on a tensor in a device's memory: it ends the process.
 */
import type { OnnxTensor } from "../../deps.ts";
import { type Device, onHost, type Program } from "../device.ts";
import { Graph } from "../graph/graph.ts";
import type { Dtype } from "../graph/tensor.ts";

export function transfers(
  compile: Device["compile"],
  tensor: Device["tensor"],
): Pick<Device, "upload" | "read"> {
  const known = new Map<string, Promise<Program>>();
  const copy = async (value: OnnxTensor, keep: boolean): Promise<OnnxTensor> => {
    const rank = value.dims.length;
    const key = `${value.type}:${rank}:${keep}`;
    const program = known.get(key) ?? compile(copyGraph(value.type as Dtype, rank), {
      keep: () => keep,
    });
    known.set(key, program);
    return (await (await program).run({ x: value }))["y"]!;
  };
  return {
    upload: (value) => copy(tensor(value), true),
    read: async (value) => (onHost(value) ? value : await copy(value, false)).data as Float32Array,
  };
}

function copyGraph(dtype: Dtype, rank: number): Graph {
  const g = new Graph();
  const x = g.input("x", dtype, Array.from({ length: rank }, (_, i) => `d${i}`));
  g.output("y", g.emit1("Identity", [x], x.shape));
  return g;
}
