/**
 * Between the host's memory and a device's, by programs that copy their input. The runtime's own
 * download (`getData`) must not be used on a tensor in a device's memory: it ends the process.
 */
import type { OnnxTensor } from "../../deps.ts";
import { type Device, onHost, type Program } from "../device.ts";
import { Graph } from "../graph/graph.ts";
import { widened } from "../graph/ops/elementwise.ts";
import type { Dtype } from "../graph/tensor.ts";
import { valuesOf } from "./half.ts";

export function transfers(
  compile: Device["compile"],
  tensor: Device["tensor"],
): Pick<Device, "upload" | "read"> {
  const known = new Map<string, Promise<Program>>();
  const copy = async (value: OnnxTensor, keep: boolean): Promise<OnnxTensor> => {
    const rank = value.dims.length;
    const key = `${value.type}:${rank}:${keep}`;
    const program = known.get(key) ?? compile(copyGraph(value.type as Dtype, rank, !keep), {
      keep: () => keep,
    });
    known.set(key, program);
    return (await (await program).run({ x: value }))["y"]!;
  };
  return {
    upload: (value) => copy(tensor(value), true),
    read: async (value) => valuesOf(onHost(value) ? value : await copy(value, false)),
  };
}

/** `wide`: float16 comes out as float32, which is what the runtime gives to the host. */
function copyGraph(dtype: Dtype, rank: number, wide: boolean): Graph {
  const g = new Graph();
  const x = g.input("x", dtype, Array.from({ length: rank }, (_, i) => `d${i}`));
  g.output("y", wide && dtype === "float16" ? widened(g, x) : g.emit1("Identity", [x], x.shape));
  return g;
}
