/**
 * Safetensors files: 8 bytes of header length (little endian), a JSON header
 * {name: {dtype, shape, data_offsets}}, then the tensors' bytes without gaps. Reads F32, F16 and
 * BF16, always into float32, one tensor at a time; writes F32. Leaves out integer types.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { CollmError } from "../../shared/errors.ts";
import { fileError, writeFileAtomic } from "./files.ts";

/** A tensor, row-major float32, with the type it has in its file. */
export interface Tensor {
  dtype: Dtype;
  shape: number[];
  /** Of an opened file: read from it, into a new array, each time that it is asked for. */
  readonly data: Float32Array;
}

export interface SafetensorsFile {
  tensors: Map<string, Tensor>;
  metadata: Record<string, string>;
}

/** What is written: shape and row-major float32 values. */
export type TensorData = Pick<Tensor, "shape" | "data">;

const BYTES = { F32: 4, F16: 2, BF16: 2 } as const;
export type Dtype = keyof typeof BYTES;

interface Entry {
  name: string;
  dtype: Dtype;
  shape: number[];
  begin: number;
  end: number;
}

/** The format's own upper limit, which keeps a corrupt length from claiming all memory. */
const MAX_HEADER_BYTES = 100_000_000;
const METADATA = "__metadata__";

/**
 * The tensors of the safetensors file at `path`, in the order of their bytes, and its metadata.
 * Only the header is read; a tensor's values are when its `data` is asked for, and then the file
 * must still be the same one. Throws CollmError naming file and tensor when the file is missing,
 * truncated or malformed.
 */
export function openSafetensors(path: string): SafetensorsFile {
  return withFile(path, (file) => {
    const { entries, metadata, dataStart } = readHeader(path, file);
    const identity = identityOf(file);
    const tensors = new Map(entries.map(({ name, dtype, shape, begin }): [string, Tensor] => [
      name,
      {
        dtype,
        shape,
        get data() {
          return withFile(path, (again) => {
            if (identityOf(again) === identity) {
              return readFloats(again, dtype, dataStart + begin, sizeOf(shape));
            }
            throw new CollmError(
              "conflict",
              `Cannot read tensor '${name}' of '${path}': the file has changed since it was opened`,
            );
          });
        },
      },
    ]));
    return { tensors, metadata };
  });
}

/** Like openSafetensors, with all values in memory. */
export function readSafetensors(path: string): SafetensorsFile {
  const { tensors, metadata } = openSafetensors(path);
  return {
    tensors: new Map([...tensors].map(([name, tensor]) => [name, { ...tensor }])),
    metadata,
  };
}

/**
 * Writes `tensors` as the safetensors file `path` in one step. The bytes depend only on names,
 * values and metadata, not on the order of the map. `format: pt` is added to the metadata because
 * Hugging Face's loaders refuse files without it. Throws CollmError; then nothing is written.
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorData>,
  metadata: Record<string, string> = {},
): void {
  const sorted = [...tensors].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const header: [string, unknown][] = [[METADATA, sortKeys({ format: "pt", ...metadata })]];
  let offset = 0;
  for (const [name, { shape, data }] of sorted) {
    if (name === METADATA || data.length !== sizeOf(shape)) {
      const reason = name === METADATA
        ? "the name is reserved"
        : `shape [${shape}] does not hold its ${data.length} values`;
      throw new CollmError(
        "invalid_request",
        `Cannot write tensor '${name}' to '${path}': ${reason}`,
      );
    }
    const end = offset + data.byteLength;
    header.push([name, { dtype: "F32", shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const padded = new Uint8Array(Math.ceil(json.length / 8) * 8).fill(0x20);
  padded.set(json);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(padded.length), true);
  const bodies = sorted.map(([, { data }]) =>
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  );
  writeFileAtomic(path, [length, padded, ...bodies]);
}

/** Number of elements of `shape`; NaN when it is no list of whole numbers. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((n, d) => (Number.isSafeInteger(d) && d >= 0 ? n * d : NaN), 1);
}

function withFile<T>(path: string, use: (file: number) => T): T {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    throw fileError("read", path, cause);
  }
  try {
    return use(file);
  } catch (cause) {
    throw cause instanceof CollmError ? cause : fileError("read", path, cause);
  } finally {
    closeSync(file);
  }
}

/** Differs when a file was written again or replaced by another. */
function identityOf(file: number): string {
  const { dev, ino, size, mtimeMs } = fstatSync(file);
  return [dev, ino, size, mtimeMs].join();
}

function readHeader(path: string, file: number) {
  const refuse = (reason: string) =>
    new CollmError("invalid_request", `Cannot read safetensors file '${path}': ${reason}`);
  const size = fstatSync(file).size;
  if (size < 8) throw refuse(`it is truncated, its size is ${size} bytes`);
  const prefix = readBytes(file, 0, 8);
  const length = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES || length > size - 8) {
    throw refuse(`its header claims ${length} bytes, and ${size - 8} follow`);
  }
  let header: Record<string, unknown>;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(readBytes(file, 8, length));
    header = JSON.parse(text);
  } catch {
    throw refuse(`its header of ${length} bytes is not valid JSON`);
  }
  if (typeof header !== "object" || header === null || Array.isArray(header)) {
    throw refuse("its header is not a JSON object");
  }
  const metadata = header[METADATA] ?? {};
  if (typeof metadata !== "object" || Object.values(metadata).some((v) => typeof v !== "string")) {
    throw refuse(`its ${METADATA} is not a map of strings`);
  }
  const entries = Object.entries(header).filter(([name]) => name !== METADATA)
    .map(([name, value]) => parseEntry(name, value, refuse))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  const bytes = size - 8 - length;
  let at = 0;
  for (const { name, begin, end } of entries) {
    if (end > bytes) {
      throw refuse(`it is truncated, tensor '${name}' ends at byte ${end} of ${bytes}`);
    }
    if (begin !== at) {
      throw refuse(`tensor '${name}' begins at byte ${begin}, and the one before ends at ${at}`);
    }
    at = end;
  }
  if (at !== bytes) throw refuse(`${bytes - at} bytes at its end belong to no tensor`);
  return { entries, metadata: metadata as Record<string, string>, dataStart: 8 + length };
}

function parseEntry(name: string, value: unknown, refuse: (reason: string) => CollmError): Entry {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
  if (typeof dtype !== "string" || !Object.hasOwn(BYTES, dtype)) {
    const known = Object.keys(BYTES).join(", ");
    throw refuse(`tensor '${name}' has dtype ${JSON.stringify(dtype)}, known: ${known}`);
  }
  const count = Array.isArray(shape) ? sizeOf(shape) : NaN;
  if (!Number.isSafeInteger(count)) {
    throw refuse(`tensor '${name}' has no valid shape: ${JSON.stringify(shape)}`);
  }
  const [begin, end] = Array.isArray(offsets) && offsets.length === 2 ? offsets : [NaN, NaN];
  if (!Number.isSafeInteger(begin) || !Number.isSafeInteger(end) || begin < 0 || end < begin) {
    throw refuse(`tensor '${name}' has no valid data_offsets: ${JSON.stringify(offsets)}`);
  }
  const expected = count * BYTES[dtype as Dtype];
  if (end - begin !== expected) {
    throw refuse(`tensor '${name}' has ${end - begin} bytes, its shape needs ${expected}`);
  }
  return { name, dtype: dtype as Dtype, shape: shape as number[], begin, end };
}

/** `length` bytes from `position`, in an array buffer of their own. */
function readBytes(file: number, position: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  readInto(file, position, bytes);
  return bytes;
}

function readInto(file: number, position: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    const read = readSync(file, bytes, at, Math.min(bytes.length - at, 1 << 30), position + at);
    if (read === 0) throw new Error(`the file ends at byte ${position + at}`);
    at += read;
  }
}

/** Numbers of 16 bits that are widened at a time. */
const PIECE = 1 << 22;

/** `count` numbers, widened exactly. The format is little endian, as is every Deno platform. */
function readFloats(file: number, dtype: Dtype, position: number, count: number): Float32Array {
  const floats = new Float32Array(count);
  if (dtype === "F32") {
    readInto(file, position, new Uint8Array(floats.buffer));
    return floats;
  }
  const words = new Uint32Array(floats.buffer);
  const piece = new Uint16Array(Math.min(PIECE, count));
  for (let at = 0; at < count; at += PIECE) {
    const halves = piece.subarray(0, count - at);
    readInto(file, position + 2 * at, new Uint8Array(piece.buffer, 0, halves.byteLength));
    if (dtype === "F16") floats.set(new Float16Array(piece.buffer, 0, halves.length), at);
    // A bfloat16 is the upper half of a float32.
    else for (let i = 0; i < halves.length; i++) words[at + i] = halves[i]! << 16;
  }
  return floats;
}

function sortKeys(record: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
