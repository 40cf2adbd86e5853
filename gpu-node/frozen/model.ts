/**
 * A causal language model that Transformers.js runs, reduced to one forward pass over token rows:
 * logits out, key/value cache out and in. The library knows each architecture's inputs (positions,
 * empty caches, number of logits); which rows may share a pass is decided here.
 */
import { CollmError } from "../../shared/errors.ts";
import type { DeviceName, FrozenDtype } from "../verbs.ts";
import { type Library, transformersLibrary } from "./library.ts";

type Tensor = InstanceType<Library["Tensor"]>;

/** What a pass leaves behind for the next one, by input name. */
export type Cache = Record<string, Tensor>;

/**
 * Which rows may run together without one changing another: `padded` on the left to one length;
 * of `equal` length only; `alone` where the arithmetic itself mixes rows.
 */
export type Sharing = "padded" | "equal" | "alone";

export interface Pass {
  /** Row-major [rows, time]. */
  tokens: Int32Array;
  rows: number;
  /** [rows, past + time]: 0 hides a position. */
  mask: Int32Array;
  past?: Cache | undefined;
  /** Logits are only needed at each row's last position. */
  lastOnly?: boolean;
}

export interface FrozenModel {
  readonly sharing: Sharing;
  /** Rows of a run, at least, for the last bits of each not to depend on their number. */
  readonly leastRows: number;
  /** Size of the vocabulary as the logits have it; undefined when the file leaves it open. */
  readonly vocabSize: number | undefined;
  /** Numbers in the cache per row and position. */
  readonly cacheSize: number;
  /** Whether a pass can leave out the logits that are not asked for. */
  readonly skipsLogits: boolean;
  /**
   * Logits float32 [rows, positions, vocab] of all positions, or of the last only where the model
   * can. The cache takes the place of `past`, which is freed.
   */
  forward(pass: Pass): Promise<{ logits: Float32Array; vocab: number; past: Cache }>;
  release(): Promise<void>;
}

/** Opens the model in `folder` (absolute); rejects with the library's own errors. */
export async function openModel(
  folder: string,
  { dtype, device, threads, operations }: {
    dtype: FrozenDtype;
    device: DeviceName;
    threads: number;
    operations: ReadonlySet<string>;
  },
): Promise<FrozenModel> {
  const { AutoModelForCausalLM, DynamicCache, Tensor } = await transformersLibrary();
  const model = await AutoModelForCausalLM.from_pretrained(folder, {
    local_files_only: true,
    dtype,
    device,
    session_options: {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: "sequential",
      // Shapes change from call to call: planning memory per shape costs more than it saves.
      enableMemPattern: false,
      logSeverityLevel: 3,
    },
  });
  const session = model.sessions["decoder_model_merged"] ?? model.sessions["model"];
  const inputs = session.inputMetadata as Metadata[];
  const logitsShape = (session.outputMetadata as Metadata[]).find((o) => o.name === "logits")
    ?.shape;
  const vocab = logitsShape?.at(-1);
  const int64 = (data: Int32Array, dims: number[]) => new Tensor("int64", widen(data), dims);

  return {
    sharing: sharingOf(operations, inputs.map((input) => input.name)),
    // Measured from 1 to 128 rows: only packed weights have another kernel for a single row.
    leastRows: operations.has("MatMulNBits") ? 2 : 1,
    vocabSize: typeof vocab === "number" ? vocab : undefined,
    cacheSize: inputs.filter((input) => input.name.startsWith("past_key_values"))
      .reduce((sum, { shape }) => sum + product(shape), 0),
    skipsLogits: inputs.some((input) => input.name === "num_logits_to_keep"),
    async forward({ tokens, rows, mask, past, lastOnly = false }) {
      const outputs: Record<string, Tensor> = await model.forward({
        input_ids: int64(tokens, [rows, tokens.length / rows]),
        attention_mask: int64(mask, [rows, mask.length / rows]),
        past_key_values: past && new DynamicCache(past),
        num_logits_to_keep: new Tensor("int64", BigInt64Array.of(lastOnly ? 1n : 0n), []),
      });
      const { logits, ...rest } = outputs;
      if (!logits) {
        throw new CollmError("invalid_request", `Cannot run '${folder}': it gives no logits`);
      }
      const fresh = cacheOf(rest);
      const kept = new Set(Object.values(fresh));
      for (const old of [...Object.values(past ?? {}), ...Object.values(rest)]) {
        if (!kept.has(old)) old.dispose();
      }
      const result = { logits: toFloat32(logits), vocab: logits.dims.at(-1)!, past: fresh };
      logits.dispose();
      return result;
    },
    async release() {
      await model.dispose();
    },
  };
}

export const freeCache = (past: Cache | undefined): void =>
  Object.values(past ?? {}).forEach((tensor) => tensor.dispose());

interface Metadata {
  name: string;
  shape: readonly (number | string)[];
}

/** Product of the fixed dimensions. */
const product = (shape: readonly (number | string)[]): number =>
  shape.reduce<number>((n, d) => typeof d === "number" ? n * d : n, 1);

function sharingOf(operations: ReadonlySet<string>, inputs: readonly string[]): Sharing {
  // The range of all rows' activations together sets the scale that each is rounded with.
  if (operations.has("DynamicQuantizeLinear") || operations.has("DynamicQuantizeMatMul")) {
    return "alone";
  }
  const knowsPadding = inputs.includes("attention_mask") && inputs.includes("position_ids");
  // A recurrent state has read the padding; GroupQueryAttention takes it to be on the right.
  const recurrent = inputs.some((name) => /^past_(?!key_values)/.test(name));
  const padded = knowsPadding && !recurrent && !operations.has("GroupQueryAttention");
  return padded ? "padded" : "equal";
}

/** Outputs `present*` under the names of the inputs that take them. */
function cacheOf(outputs: Record<string, Tensor>): Cache {
  const entries = Object.entries(outputs).filter(([name]) => name.startsWith("present"));
  return Object.fromEntries(
    entries.map(([name, tensor]) => [
      name.startsWith("present_")
        ? name.replace("present_", "past_")
        : name.replace("present", "past_key_values"),
      tensor,
    ]),
  );
}

/** Non-negative numbers as int64, by their low words: BigInt one by one is far slower. */
function widen(data: Int32Array): BigInt64Array {
  const wide = new BigInt64Array(data.length);
  const words = new Int32Array(wide.buffer);
  for (let i = 0; i < data.length; i++) words[2 * i] = data[i]!;
  return wide;
}

function toFloat32({ type, data }: Tensor): Float32Array {
  if (type === "float32") return data as Float32Array;
  if (type === "float16") {
    // Bits in a Uint16Array where the runtime has no half type.
    const { buffer, byteOffset, length } = data as Uint16Array;
    return Float32Array.from(new Float16Array(buffer as ArrayBuffer, byteOffset, length));
  }
  throw new CollmError("invalid_request", `Cannot read logits of type '${type}'`);
}
