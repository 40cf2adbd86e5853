/**
 * Variants of an exported ONNX file, in the forms that models on the hub come in: half precision,
 * 8 bits with dynamically quantized activations, 4 bits in blocks, weights in a file of their own,
 * positions counted inside the graph. The numbers are really quantized, and really run.
 */
import { loadOnnxProto, loadOnnxRuntime } from "../../deps.ts";

// deno-lint-ignore no-explicit-any
type Proto = any; // protobufjs objects are plain records

const FLOAT = 1, UINT8 = 2, INT64 = 7, FLOAT16 = 10;

const proto = async () => (await loadOnnxProto()).default.onnx.ModelProto;

async function rewrite(
  bytes: Uint8Array,
  change: (graph: Proto, model: Proto) => void | Promise<void>,
): Promise<Uint8Array> {
  const ModelProto = await proto();
  const model: Proto = ModelProto.decode(bytes);
  await change(model.graph, model);
  return ModelProto.encode(model).finish();
}

const bytesOf = (data: ArrayBufferView) =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
const floatsOf = (tensor: Proto) => new Float32Array(tensor.rawData.slice().buffer);
const tensor = (name: string, dataType: number, dims: number[], data: ArrayBufferView) => ({
  name,
  dataType,
  dims,
  rawData: bytesOf(data),
});
const node = (
  opType: string,
  input: string[],
  output: string[],
  ints: Record<string, number> = {},
  domain = "",
) => ({
  opType,
  input,
  output,
  domain,
  attribute: Object.entries(ints).map(([name, i]) => ({ name, type: 2, i })),
});

/** Weights, key/value cache and logits in float16, arithmetic in float32. */
export const toHalf = (bytes: Uint8Array) =>
  rewrite(bytes, (graph) => {
    const before: Proto[] = [];
    const after: Proto[] = [];
    for (const weight of graph.initializer) {
      if (weight.dataType !== FLOAT || weight.dims.length !== 2) continue;
      before.push(node("Cast", [`${weight.name}.half`], [weight.name], { to: FLOAT }));
      weight.rawData = bytesOf(new Float16Array(floatsOf(weight)));
      weight.dataType = FLOAT16;
      weight.name += ".half";
    }
    for (const input of graph.input) {
      if (!input.name.startsWith("past_")) continue;
      input.type.tensorType.elemType = FLOAT16;
      const inner = `${input.name}.float`;
      for (const n of graph.node) {
        n.input = n.input.map((x: string) => x === input.name ? inner : x);
      }
      before.push(node("Cast", [input.name], [inner], { to: FLOAT }));
    }
    for (const output of graph.output) {
      output.type.tensorType.elemType = FLOAT16;
      const inner = `${output.name}.float`;
      const swap = (x: string) => x === output.name ? inner : x;
      for (const n of graph.node) [n.input, n.output] = [n.input.map(swap), n.output.map(swap)];
      after.push(node("Cast", [inner], [output.name], { to: FLOAT16 }));
    }
    graph.node = [...before, ...graph.node, ...after];
  });

/** A product x·W with a constant W, row-major [rows, columns]. */
interface Weight {
  data: Float32Array;
  rows: number;
  columns: number;
}

/** The graph's products with a constant, by node, and their constants' values by name. */
async function constantProducts(graph: Proto, model: Proto) {
  const fixed = new Set<string>(graph.initializer.map((t: Proto) => t.name));
  const computed: Proto[] = [];
  for (const n of graph.node) {
    if (!n.input.length || !n.input.every((x: string) => x === "" || fixed.has(x))) continue;
    n.output.forEach((x: string) => fixed.add(x));
    computed.push(n);
  }
  const products: Proto[] = graph.node.filter((n: Proto) =>
    (n.opType === "MatMul" || n.opType === "Gemm") && fixed.has(n.input[1])
  );
  const names: string[] = [...new Set<string>(products.map((n: Proto) => n.input[1]))];
  const part = {
    ...model,
    graph: {
      name: "constants",
      initializer: graph.initializer,
      node: [...computed, ...names.map((name) => node("Identity", [name], [`${name}.copy`]))],
      output: names.map((name) => ({
        name: `${name}.copy`,
        type: { tensorType: { elemType: FLOAT } },
      })),
    },
  };
  const ort = await loadOnnxRuntime();
  const ModelProto = await proto();
  // A graph without inputs folds to nothing, which the runtime cannot open.
  const session = await ort.InferenceSession.create(ModelProto.encode(part).finish(), {
    graphOptimizationLevel: "disabled",
  });
  const values: Proto = await session.run({});
  await session.release();
  const turned = new Set(
    products.filter((n) => n.attribute.some((a: Proto) => a.name === "transB" && Number(a.i)))
      .map((n) => n.input[1] as string),
  );
  const weights = names.map((name): [string, Weight] => {
    const { data, dims: [rows, columns] } = values[`${name}.copy`];
    if (!turned.has(name)) return [name, { data, rows, columns }];
    const flipped = new Float32Array(data.length);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) flipped[c * rows + r] = data[r * columns + c];
    }
    return [name, { data: flipped, rows: columns, columns: rows }];
  });
  return { products, weights: new Map(weights) };
}

/** Every product as MatMul with a folded constant, as exporters for the hub write them. */
export const toMatMul = (bytes: Uint8Array) =>
  rewrite(bytes, async (graph, model) => {
    const { products, weights } = await constantProducts(graph, model);
    for (const [name, { data, rows, columns }] of weights) {
      graph.initializer.push(tensor(`${name}.folded`, FLOAT, [rows, columns], data));
    }
    for (const n of products) {
      Object.assign(n, node("MatMul", [n.input[0], `${n.input[1]}.folded`], n.output));
    }
    prune(graph);
  });

/** 8-bit weights, activations rounded on the scale of the whole batch, as the hub's q8 files. */
export const toDynamic8 = (bytes: Uint8Array) =>
  rewrite(bytes, async (graph, model) => {
    const { products, weights } = await constantProducts(graph, model);
    for (const [name, { data, rows, columns }] of weights) {
      const least = Math.min(0, ...data), most = Math.max(0, ...data);
      const scale = (most - least) / 255;
      const zero = Math.round(-least / scale);
      const codes = Uint8Array.from(data, (x) => Math.round(x / scale) + zero);
      graph.initializer.push(
        tensor(`${name}.q`, UINT8, [rows, columns], codes),
        tensor(`${name}.scale`, FLOAT, [], Float32Array.of(scale)),
        tensor(`${name}.zero`, UINT8, [], Uint8Array.of(zero)),
      );
    }
    graph.node = graph.node.flatMap((n: Proto) => {
      if (!products.includes(n)) return [n];
      const [x, w, y] = [n.input[0], n.input[1], n.output[0]];
      return [
        node("DynamicQuantizeLinear", [x], [`${y}.x`, `${y}.xs`, `${y}.xz`]),
        node("MatMulInteger", [`${y}.x`, `${w}.q`, `${y}.xz`, `${w}.zero`], [`${y}.int`]),
        node("Cast", [`${y}.int`], [`${y}.float`], { to: FLOAT }),
        node("Mul", [`${y}.xs`, `${w}.scale`], [`${y}.scale`]),
        node("Mul", [`${y}.float`, `${y}.scale`], [y]),
      ];
    });
    prune(graph);
  });

/** 4-bit weights in blocks of 32 with a scale each, as the hub's q4 files. */
export const toBlocks4 = (bytes: Uint8Array) =>
  rewrite(bytes, async (graph, model) => {
    const { products, weights } = await constantProducts(graph, model);
    for (const [name, { data, rows, columns }] of weights) {
      const blocks = Math.ceil(rows / 32);
      const codes = new Uint8Array(columns * blocks * 16).fill(0x88);
      const scales = new Float32Array(columns * blocks);
      for (let c = 0; c < columns; c++) {
        for (let b = 0; b < blocks; b++) {
          const length = Math.min(32, rows - b * 32);
          const block = Array.from(
            { length },
            (_, i) => data[(b * 32 + i) * columns + c] as number,
          );
          const scale = Math.max(...block.map(Math.abs)) / 7 || 1;
          scales[c * blocks + b] = scale;
          block.forEach((x, i) => {
            const code = Math.round(x / scale) + 8;
            const at = (c * blocks + b) * 16 + (i >> 1);
            codes[at] = i % 2 ? (codes[at]! & 0x0f) | (code << 4) : (codes[at]! & 0xf0) | code;
          });
        }
      }
      graph.initializer.push(
        tensor(`${name}.q`, UINT8, [columns, blocks, 16], codes),
        tensor(`${name}.scale`, FLOAT, [columns * blocks], scales),
      );
    }
    for (const n of products) {
      const { rows: K, columns: N } = weights.get(n.input[1])!;
      const sizes = { K, N, bits: 4, block_size: 32 };
      const inputs = [n.input[0], `${n.input[1]}.q`, `${n.input[1]}.scale`];
      Object.assign(n, node("MatMulNBits", inputs, n.output, sizes, "com.microsoft"));
    }
    prune(graph);
  });

/** Drops nodes and weights that nothing reads any more. */
function prune(graph: Proto): void {
  const used = new Set<string>(graph.output.map((o: Proto) => o.name));
  graph.node = graph.node.reverse().filter((n: Proto) => {
    if (!n.output.some((x: string) => used.has(x))) return false;
    n.input.forEach((x: string) => used.add(x));
    return true;
  }).reverse();
  graph.initializer = graph.initializer.filter((t: Proto) => used.has(t.name));
}

/** Positions counted from the cache's length: the graph cannot know of padding. */
export const withoutPositions = (bytes: Uint8Array) =>
  rewrite(bytes, (graph) => {
    graph.input = graph.input.filter((input: Proto) => input.name !== "position_ids");
    const scalar = (name: string, value: bigint) =>
      tensor(name, INT64, [], BigInt64Array.of(value));
    graph.initializer.push(scalar("own.one", 1n), scalar("own.two", 2n));
    const dim = (input: string, index: string, output: string) => [
      node("Shape", [input], [`${output}.shape`]),
      node("Gather", [`${output}.shape`, index], [output]),
    ];
    graph.node.unshift(
      ...dim("past_key_values.0.key", "own.two", "own.past"),
      ...dim("input_ids", "own.one", "own.time"),
      node("Add", ["own.past", "own.time"], ["own.end"]),
      node("Range", ["own.past", "own.end", "own.one"], ["own.range"]),
      node("Shape", ["input_ids"], ["own.shape"]),
      node("Expand", ["own.range", "own.shape"], ["position_ids"]),
    );
  });

/** Weights in a file beside it: the model's bytes and that file's. */
export async function withExternalData(bytes: Uint8Array, location: string) {
  const parts: Uint8Array[] = [];
  let offset = 0;
  const model = await rewrite(bytes, (graph) => {
    for (const weight of graph.initializer) {
      if (weight.dataType !== FLOAT || weight.dims.length !== 2) continue;
      const data: Uint8Array = weight.rawData;
      weight.externalData = Object.entries({ location, offset, length: data.length })
        .map(([key, value]) => ({ key, value: String(value) }));
      weight.dataLocation = 1;
      delete weight.rawData;
      parts.push(data);
      offset += data.length;
    }
  });
  return { model, data: new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer()) };
}
