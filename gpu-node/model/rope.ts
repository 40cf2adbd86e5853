/**
 * Frequencies of rotary positions: plain, divided ("linear") or divided for the slow ones only
 * ("llama3"), as Hugging Face's rope_scaling and rope_parameters name them.
 * Leaves out scalings that depend on the text's length (dynamic, yarn, longrope).
 */
import { suggest } from "../../shared/errors.ts";

/** How positions were stretched for texts longer than those of pretraining. */
export type RopeScaling =
  | { type: "linear"; factor: number }
  | {
    type: "llama3";
    factor: number;
    /** Waves longer than originalPositions/lowFrequency are divided by the factor. */
    lowFrequency: number;
    /** Waves shorter than originalPositions/highFrequency stay; between the two it is a mix. */
    highFrequency: number;
    originalPositions: number;
  };

/** Angle per position of each pair of a head's numbers, headDim/2 of them. */
export function ropeFrequencies(
  { headDim, ropeTheta, ropeScaling: scaling }: {
    headDim: number;
    ropeTheta: number;
    ropeScaling?: RopeScaling;
  },
): number[] {
  const plain = Array.from({ length: headDim / 2 }, (_, i) => ropeTheta ** (-2 * i / headDim));
  if (!scaling) return plain;
  const { factor } = scaling;
  if (scaling.type === "linear") return plain.map((frequency) => frequency / factor);
  const { lowFrequency, highFrequency, originalPositions } = scaling;
  return plain.map((frequency) => {
    // Turns of this wave within the texts of pretraining.
    const turns = originalPositions * frequency / (2 * Math.PI);
    const kept = (turns - lowFrequency) / (highFrequency - lowFrequency);
    const share = Math.min(1, Math.max(0, kept));
    return share * frequency + (1 - share) * frequency / factor;
  });
}

/** Longest rotary tables that are built: 32 MB for heads of 128. */
const MOST_POSITIONS = 32768;

/** Positions that a model's programs can take; longer texts are refused. */
export const positionsOf = ({ maxPositions }: { maxPositions: number }): number =>
  Math.min(maxPositions, MOST_POSITIONS);

const KEYS = {
  default: [],
  linear: ["factor"],
  llama3: ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
} as const;

const kindOf = (value: unknown): unknown => {
  const { rope_type, type } = (value ?? {}) as Record<string, unknown>;
  return rope_type ?? type ?? "default";
};
/** A scaling without its base, keys in order. */
const scalingText = (value: unknown): string => {
  const { rope_theta: _, rope_type: __, type: ___, ...rest } = value as Record<string, unknown>;
  return JSON.stringify([kindOf(value), ...Object.entries(rest).sort()]);
};

/**
 * Base and scaling that a config.json asks for: `rope_theta` beside `rope_scaling`, or both in
 * `rope_parameters` (newer files); the kind under `rope_type` or `type`. `refuse` makes the error
 * for a key and what is wrong with it.
 */
export function parseRope(
  json: Record<string, unknown>,
  refuse: (key: string, why: string) => Error,
): { ropeTheta: number; ropeScaling?: RopeScaling } {
  const scales = (name: string) => kindOf(json[name]) !== "default";
  const both = scales("rope_scaling") && scales("rope_parameters");
  if (both && scalingText(json.rope_scaling) !== scalingText(json.rope_parameters)) {
    throw refuse("rope_scaling", "is not what rope_parameters is");
  }
  // A file may have both, one of them empty: what scales counts.
  const newer = json.rope_parameters != null && !scales("rope_scaling");
  const key = newer ? "rope_parameters" : "rope_scaling";
  const value = json[key] ?? {};
  if (typeof value !== "object" || Array.isArray(value)) {
    throw refuse(key, `is ${JSON.stringify(value)}, not an object`);
  }
  const given = value as Record<string, unknown>;
  const positive = (name: string, number: unknown): number => {
    if (typeof number === "number" && number > 0 && Number.isFinite(number)) return number;
    throw refuse(
      name,
      number === undefined ? "is missing" : `is ${JSON.stringify(number)}, not a positive number`,
    );
  };
  const other = (json.rope_parameters ?? {}) as Record<string, unknown>;
  const theta = given.rope_theta ?? other.rope_theta ?? json.rope_theta ?? 10000;
  const ropeTheta = positive("rope_theta", theta);
  const kind = kindOf(given);
  if (typeof kind !== "string" || !Object.hasOwn(KEYS, kind)) {
    const hint = suggest(String(kind), Object.keys(KEYS));
    throw refuse(`${key}.rope_type`, `is ${JSON.stringify(kind)}, ${hint}`);
  }
  const needed: readonly string[] = KEYS[kind as keyof typeof KEYS];
  const harmless = ["rope_type", "type", "rope_theta", ...needed];
  for (const [name, number] of Object.entries(given)) {
    if (harmless.includes(name) || name === "partial_rotary_factor" && number === 1) continue;
    throw refuse(`${key}.${name}`, `is ${JSON.stringify(number)}, not supported`);
  }
  const read = (name: string) => positive(`${key}.${name}`, given[name]);
  if (kind === "default") return { ropeTheta };
  if (kind === "linear") return { ropeTheta, ropeScaling: { type: kind, factor: read("factor") } };
  const scaling: RopeScaling = {
    type: "llama3",
    factor: read("factor"),
    lowFrequency: read("low_freq_factor"),
    highFrequency: read("high_freq_factor"),
    originalPositions: read("original_max_position_embeddings"),
  };
  if (scaling.highFrequency <= scaling.lowFrequency) {
    throw refuse(
      `${key}.high_freq_factor`,
      `is ${scaling.highFrequency}, not above low_freq_factor ${scaling.lowFrequency}`,
    );
  }
  return { ropeTheta, ropeScaling: scaling };
}

/** The keys of config.json that parseRope reads back, in the spelling that all readers know. */
export function toHuggingFaceRope(
  { ropeTheta, ropeScaling: scaling }: { ropeTheta: number; ropeScaling?: RopeScaling },
): Record<string, unknown> {
  if (!scaling) return { rope_theta: ropeTheta };
  const { type, factor } = scaling;
  const more = scaling.type === "linear" ? {} : {
    low_freq_factor: scaling.lowFrequency,
    high_freq_factor: scaling.highFrequency,
    original_max_position_embeddings: scaling.originalPositions,
  };
  return { rope_theta: ropeTheta, rope_scaling: { rope_type: type, factor, ...more } };
}
