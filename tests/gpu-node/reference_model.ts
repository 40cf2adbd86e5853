/**
 * The decoder families once more, plainly: one sequence, float64, loops, straight from a folder's
 * config.json and safetensors. Shares nothing with the engine but the reader of weights.
 */
import { join } from "node:path";
import { readSafetensors } from "../../gpu-node/model/safetensors.ts";

// deno-lint-ignore no-explicit-any -- a config.json
type Json = any;
type Vector = number[];

/** log p(tokens[t + 1] | tokens[0..t]) for every t, [length − 1]. */
export function referenceLogprobs(folder: string, tokens: readonly number[]): number[] {
  const config = JSON.parse(Deno.readTextFileSync(join(folder, "config.json")));
  const { tensors } = readSafetensors(join(folder, "model.safetensors"));
  const vector = (name: string): Vector | undefined =>
    tensors.has(name) ? [...tensors.get(name)!.data] : undefined;
  const rows = (name: string): Vector[] => {
    const { data, shape } = tensors.get(name)!;
    const width = shape[1]!;
    return Array.from(
      { length: shape[0]! },
      (_, i) => [...data.subarray(i * width, (i + 1) * width)],
    );
  };
  const layerOf = (index: number) => {
    const name = (suffix: string) => `model.layers.${index}.${suffix}`;
    return {
      norm: (suffix: string) => vector(name(`${suffix}.weight`)),
      matrix(suffix: string) {
        const weight = rows(name(`${suffix}.weight`));
        const bias = vector(name(`${suffix}.bias`));
        return (x: Vector) => weight.map((row, i) => dot(row, x) + (bias?.[i] ?? 0));
      },
    };
  };

  const { num_attention_heads: heads, num_key_value_heads: kvHeads = heads } = config;
  const size = config.head_dim ?? config.hidden_size / heads;
  const angles = frequencies(config, size);
  const turn = (x: Vector, position: number) =>
    x.map((value, i) => {
      const half = size / 2;
      const angle = position * angles[i % half]!;
      const partner = i < half ? -x[i + half]! : x[i - half]!;
      return value * Math.cos(angle) + partner * Math.sin(angle);
    });
  const normed = (x: Vector, weight: Vector | undefined) => {
    if (!weight) return x;
    const scale = 1 / Math.sqrt(dot(x, x) / x.length + config.rms_norm_eps);
    return x.map((value, i) => value * scale * weight[i]!);
  };
  const split = (x: Vector, n: number) =>
    Array.from({ length: n }, (_, i) => x.slice(i * size, (i + 1) * size));

  const embedding = rows("model.embed_tokens.weight");
  let stream = tokens.map((token) => embedding[token]!);
  for (let index = 0; index < config.num_hidden_layers; index++) {
    const { norm, matrix } = layerOf(index);
    const h = stream.map((x) => normed(x, norm("input_layernorm")));
    const [q, k, v, o] = ["q", "k", "v", "o"].map((x) => matrix(`self_attn.${x}_proj`));
    const perHead = (y: Vector, n: number, position: number, name: string) =>
      split(y, n).map((head) => turn(normed(head, norm(`self_attn.${name}`)), position));
    const queries = h.map((x, t) => perHead(q!(x), heads, t, "q_norm"));
    const keys = h.map((x, t) => perHead(k!(x), kvHeads, t, "k_norm"));
    const values = h.map((x) => split(v!(x), kvHeads));
    const attended = queries.map((heads_, t) =>
      heads_.flatMap((query, i) => {
        const group = Math.floor(i * kvHeads / heads);
        const seen = keys.slice(0, t + 1).map((key) => dot(query, key[group]!) / Math.sqrt(size));
        const weights = softmax(seen);
        return query.map((_, d) => dot(weights, values.slice(0, t + 1).map((x) => x[group]![d]!)));
      })
    );
    stream = stream.map((x, t) => plus(x, o!(attended[t]!)));
    const [gate, up, down] = ["gate", "up", "down"].map((x) => matrix(`mlp.${x}_proj`));
    stream = stream.map((x) => {
      const f = normed(x, norm("post_attention_layernorm"));
      const other = up!(f);
      return plus(x, down!(gate!(f).map((y, i) => y / (1 + Math.exp(-y)) * other[i]!)));
    });
  }
  const head = config.tie_word_embeddings ? embedding : rows("lm_head.weight");
  return stream.slice(0, -1).map((x, t) => {
    const last = normed(x, vector("model.norm.weight"));
    return Math.log(softmax(head.map((row) => dot(row, last)))[tokens[t + 1]!]!);
  });
}

/**
 * Frequencies as Hugging Face's modeling_rope_utils computes them, by wavelength: long waves are
 * divided by the factor, short ones stay, those between are interpolated.
 */
export function frequencies(config: Json, size: number): number[] {
  const plain = Array.from(
    { length: size / 2 },
    (_, i) => 1 / Math.pow(config.rope_theta, 2 * i / size),
  );
  const scaling = config.rope_scaling;
  if (!scaling) return plain;
  if (scaling.rope_type === "linear") return plain.map((x) => x / scaling.factor);
  const original = scaling.original_max_position_embeddings;
  const longest = original / scaling.low_freq_factor;
  const shortest = original / scaling.high_freq_factor;
  return plain.map((x) => {
    const wavelength = 2 * Math.PI / x;
    if (wavelength > longest) return x / scaling.factor;
    if (wavelength < shortest) return x;
    const smooth = (original / wavelength - scaling.low_freq_factor) /
      (scaling.high_freq_factor - scaling.low_freq_factor);
    return (1 - smooth) * x / scaling.factor + smooth * x;
  });
}

const dot = (a: Vector, b: Vector): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};
const plus = (a: Vector, b: Vector): Vector => a.map((x, i) => x + b[i]!);
const softmax = (x: Vector): Vector => {
  const most = Math.max(...x);
  const weights = x.map((y) => Math.exp(y - most));
  const total = weights.reduce((sum, y) => sum + y, 0);
  return weights.map((y) => y / total);
};
