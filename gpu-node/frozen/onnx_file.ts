/**
 * What an ONNX file says of itself, read in passing: operations, size of its weights, files beside
 * it that hold more of them. Walks the protocol buffer in the file and never loads a weight, so a
 * model of any size costs a few reads. Leaves out everything else; ONNX Runtime checks the rest.
 */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { CollmError } from "../../shared/errors.ts";
import { fileError } from "../model/files.ts";

export interface OnnxFile {
  /** Operation types of all nodes, those of nested graphs and functions included. */
  operations: Set<string>;
  /** Numbers in the initializers of floating-point and quantized types; those packed count each. */
  parameters: number;
  /** Names of external data files, relative to the ONNX file. */
  external: string[];
}

/** One field of a message: its number, and its varint value or the byte range of its content. */
interface Field {
  number: number;
  value: number;
  start: number;
  end: number;
}

/** TensorProto.DataType of weights: float, (u)int8, half, double, bfloat16, float8s, (u)int4. */
const WEIGHT_TYPES = new Set([1, 2, 3, 10, 11, 16, 17, 18, 19, 20, 21, 22]);
/** Operations whose second input packs several numbers into each byte. */
const PACKED = new Set(["MatMulNBits", "MatMulBnb4"]);
const WINDOW = 1 << 16;

/** Throws CollmError when the file is missing, truncated or no ONNX model. */
export function readOnnxFile(path: string): OnnxFile {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    throw fileError("read", path, cause);
  }
  try {
    return scan(new Reader(file, statSync(path).size));
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw fileError("read", path, cause);
    const why = `it is no ONNX model or truncated (${cause.message})`;
    throw new CollmError("invalid_request", `Cannot read '${path}': ${why}`, { cause });
  } finally {
    closeSync(file);
  }
}

function scan(reader: Reader): OnnxFile {
  const operations = new Set<string>();
  const external = new Set<string>();
  const tensors = new Map<string, number>();
  const bits = new Map<string, number>();

  const tensor = ({ start, end }: Field): void => {
    let [name, type, count] = ["", 0, 1];
    for (const field of reader.fields(start, end)) {
      if (field.number === 1) { for (const dim of reader.numbers(field)) count *= dim; }
      if (field.number === 2) type = field.value;
      if (field.number === 8) name = reader.text(field);
      if (field.number === 13) {
        const [key, value] = [...reader.fields(field.start, field.end)].map((f) => reader.text(f));
        if (key === "location" && value) external.add(value);
      }
    }
    if (WEIGHT_TYPES.has(type)) tensors.set(name, count);
  };
  const node = ({ start, end }: Field): void => {
    const inputs: string[] = [];
    let [operation, width] = ["", 4];
    for (const field of reader.fields(start, end)) {
      if (field.number === 1) inputs.push(reader.text(field));
      if (field.number === 4) operation = reader.text(field);
      if (field.number !== 5) continue;
      let name = "";
      for (const part of reader.fields(field.start, field.end)) {
        if (part.number === 1) name = reader.text(part);
        if (part.number === 3 && name === "bits") width = part.value;
        if (part.number === 6 || part.number === 11) graph(part);
      }
    }
    operations.add(operation);
    if (PACKED.has(operation)) bits.set(inputs[1] ?? "", width);
  };
  const graph = ({ start, end }: Field): void => {
    for (const field of reader.fields(start, end)) {
      if (field.number === 1) node(field);
      if (field.number === 5) tensor(field);
    }
  };

  for (const field of reader.fields(0, reader.size)) {
    if (field.number === 7) graph(field);
    if (field.number === 25) {
      for (const part of reader.fields(field.start, field.end)) if (part.number === 7) node(part);
    }
  }
  if (operations.size === 0) throw new RangeError("it has no nodes");
  const parameters = [...tensors].reduce(
    (sum, [name, count]) => sum + count * 8 / (bits.get(name) ?? 8),
    0,
  );
  return { operations, parameters, external: [...external] };
}

/** Reads a protocol buffer where it lies, through one window of the file. */
class Reader {
  #window = new Uint8Array(0);
  #from = 0;

  constructor(readonly file: number, readonly size: number) {}

  #byte(at: number): number {
    if (at < this.#from || at >= this.#from + this.#window.length) {
      if (at >= this.size) throw new RangeError(`it ends at byte ${this.size}`);
      const buffer = new Uint8Array(Math.min(WINDOW, this.size - at));
      this.#window = buffer.subarray(0, readSync(this.file, buffer, 0, buffer.length, at));
      this.#from = at;
    }
    return this.#window[at - this.#from]!;
  }

  #varint(at: number): [number, number] {
    let [value, scale] = [0, 1];
    for (let i = 0; i < 10; i++, scale *= 128) {
      const byte = this.#byte(at + i);
      value += (byte & 127) * scale;
      if (byte < 128) return [value, at + i + 1];
    }
    throw new RangeError(`a number at byte ${at} does not end`);
  }

  *fields(start: number, end: number): Generator<Field> {
    for (let at = start; at < end;) {
      const [tag, content] = this.#varint(at);
      const [number, wire] = [Math.floor(tag / 8), tag % 8];
      let [value, from] = [0, content];
      if (wire === 0) [value, at] = this.#varint(content);
      else if (wire === 1) at = content + 8;
      else if (wire === 5) at = content + 4;
      else if (wire === 2) {
        const [length, body] = this.#varint(content);
        from = body;
        at = body + length;
      } else throw new RangeError(`byte ${at} starts no field`);
      if (at > end) throw new RangeError(`a field at byte ${content} exceeds its message`);
      yield { number, value, start: from, end: at };
    }
  }

  /** A repeated number's values, packed into one field or not. */
  numbers({ value, start, end }: Field): number[] {
    const [first, after] = this.#varint(start);
    // An unpacked field is its one varint; its value was read with the field.
    if (after === end && first === value) return [value];
    const values = [first];
    for (let at = after; at < end;) {
      const [next, rest] = this.#varint(at);
      values.push(next);
      at = rest;
    }
    return values;
  }

  text({ start, end }: Field): string {
    const bytes = new Uint8Array(end - start);
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.#byte(start + i);
    return new TextDecoder().decode(bytes);
  }
}
