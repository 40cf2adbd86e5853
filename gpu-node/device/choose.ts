/**
 * The devices by name, and `auto`: CUDA where it is installed, else WebGPU where there is an
 * adapter, else the CPU. A device that was named and is not there is an error that says what is
 * missing; nothing falls back to another one.
 */
import { CollmError, suggest } from "../../shared/errors.ts";
import type { Device } from "../device.ts";
import { Graph } from "../graph/graph.ts";
import { DEVICE_CHOICES, type DeviceChoice, type DeviceName } from "../verbs.ts";
import { probeWebGpu } from "./probe.ts";
import { runtimeDevice, type Traits } from "./runtime.ts";

const TRAITS: Record<DeviceName, Traits> = {
  cpu: { name: "cpu", keeps: false, plain: false },
  webgpu: { name: "webgpu", keeps: true, plain: true },
  // ONNX Runtime's JavaScript binding knows device memory for WebGPU only: with CUDA, every run
  // takes its inputs from the host.
  cuda: { name: "cuda", keeps: false, plain: false },
};

/** The CPU: the same sums in the same order every time, and always there. */
export const cpuDevice = (threads?: number): Promise<Device> => runtimeDevice(TRAITS.cpu, threads);

/**
 * The device `choice`, which has run a program when this resolves.
 * `threads` are of the CPU: all of that device, and of what falls back to it from another.
 * Throws CollmError `unavailable` naming what is missing, `invalid_request` for an unknown name.
 */
export async function openDevice(choice: DeviceChoice, threads?: number): Promise<Device> {
  if (choice === "cpu") return await cpuDevice(threads);
  if (choice === "webgpu" || choice === "cuda") return await open(choice, threads);
  if (choice !== "auto") {
    const hint = suggest(choice, DEVICE_CHOICES);
    throw new CollmError("invalid_request", `Cannot use device '${choice}': ${hint}`);
  }
  for (const name of ["cuda", "webgpu"] as const) {
    const device = await open(name, threads).catch((error: CollmError) => error.code);
    if (device !== "unavailable") return device as Device;
  }
  return await cpuDevice(threads);
}

async function open(name: "webgpu" | "cuda", threads?: number): Promise<Device> {
  const missing = lacking(name);
  if (missing) throw unavailable(name, missing);
  const why = name === "webgpu" ? await probeWebGpu() : null;
  if (why !== null) throw unavailable(name, `${why}; ${NEEDS[name]}`);
  const device = await runtimeDevice(TRAITS[name], threads);
  try {
    await runOnce(device);
  } catch (cause) {
    throw unavailable(name, `${reasonOf(cause)}; ${NEEDS[name]}`, cause);
  }
  return device;
}

/** Rejects with the runtime's reason where no program runs on WebGPU. */
export async function tryWebGpu(): Promise<void> {
  const device = await runtimeDevice(TRAITS.webgpu);
  await runOnce(device).catch((cause) => Promise.reject(new Error(reasonOf(cause))));
  await device.close();
}

const unavailable = (name: DeviceName, why: string, cause?: unknown) =>
  new CollmError("unavailable", `Cannot use device '${name}': ${why}`, { cause });

const NEEDS = {
  webgpu: "it needs a graphics driver (on Linux a Vulkan one, which VK_DRIVER_FILES can name)",
  cuda: "it needs CUDA 12, cuDNN 9 and the libraries that " +
    "`deno install --allow-scripts=npm:onnxruntime-node` fetches",
};

/** What can be seen to be missing before the runtime is asked. */
function lacking(name: "webgpu" | "cuda"): string | null {
  const { os, arch } = Deno.build;
  if (name === "webgpu") {
    if (os !== "linux" || canOpen("libvulkan.so.1")) return null;
    return "the Vulkan loader libvulkan.so.1 is not installed";
  }
  if (os !== "linux" || arch !== "x86_64") {
    return `ONNX Runtime brings CUDA to linux x86_64 only, this is ${os} ${arch}`;
  }
  return canOpen("libcuda.so.1") ? null : "the NVIDIA driver's libcuda.so.1 is not installed";
}

function canOpen(library: string): boolean {
  try {
    Deno.dlopen(library, {}).close();
    return true;
  } catch {
    return false;
  }
}

/** The runtime's reason: the last sentence of its first line, which starts with source locations. */
const reasonOf = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).trim().split("\n")[0]!
    .replace(/^.*was false\. /, "");

/** One real run: a device that only creates sessions is none. */
async function runOnce(device: Device): Promise<void> {
  const g = new Graph();
  const x = g.input("x", "float32", [2]);
  g.output("y", g.emit1("Add", [x, x], [2]));
  const program = await device.compile(g);
  const { y } = await program.run({ x: { data: Float32Array.of(1, 2), dims: [2] } });
  const [a, b] = y!.data as Float32Array;
  await program.release();
  if (a !== 2 || b !== 4) throw new Error(`a test program computed ${a}, ${b} instead of 2, 4`);
}
