/**
 * Weights as float16: their bits on the host, and whether a device can read them. They are widened
 * to float32 where they are used (graph/ops), so only the memory between uses is halved.
 */
import type { OnnxTensor } from "../../deps.ts";
import { CollmError } from "../../shared/errors.ts";
import type { Device, TensorData } from "../device.ts";
import { Graph } from "../graph/graph.ts";
import { widened } from "../graph/ops/elementwise.ts";

export const LARGEST_HALF = 65504;

/** The nearest float16 numbers, as bits; beyond 65504 they are infinite. */
export const toHalf = (values: Float32Array): Uint16Array =>
  new Uint16Array(new Float16Array(values).buffer);

export const fromHalf = (bits: Uint16Array): Float32Array =>
  Float32Array.from(new Float16Array(bits.buffer as ArrayBuffer, bits.byteOffset, bits.length));

/** A host tensor's values, float16 as float32. */
export const valuesOf = ({ data }: OnnxTensor): TensorData =>
  data as unknown instanceof Uint16Array
    ? fromHalf(data as unknown as Uint16Array)
    : data as TensorData;

/** Throws CollmError `unavailable`, naming what is missing, where the device cannot read float16. */
export async function requireHalf(device: Device): Promise<void> {
  const g = new Graph();
  g.output("y", widened(g, g.input("x", "float16", [3])));
  const program = await device.compile(g, { quiet: true });
  const refuse = (why: string, cause?: unknown) =>
    new CollmError(
      "unavailable",
      `Cannot hold weights as float16 on device '${device.name}': ${why}`,
      { cause },
    );
  try {
    const expected = Float32Array.of(1, -2.5, 65504);
    const { y } = await program.run({ x: { data: toHalf(expected), dims: [3] } });
    const found = y!.data as Float32Array;
    if (expected.some((x, i) => x !== found[i])) {
      throw refuse(`a test program read ${[...found].join(", ")} for ${[...expected].join(", ")}`);
    }
  } catch (cause) {
    if (cause instanceof CollmError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw refuse(
      /requires f16/.test(reason) ? "its adapter lacks the feature shader-f16" : reason,
      cause,
    );
  } finally {
    await program.release();
  }
}
