/**
 * What decoding goes on from: the last hidden states, the cache that is only read and the one that
 * grows. Made from the prefill (prefill.ts); moved by programs that copy.
 */
import type { OnnxTensor } from "../../deps.ts";
import { type Device, dispose } from "../device.ts";
import type { ModelConfig } from "../model/config.ts";
import type { ModelSpec } from "../model/spec.ts";
import { cacheNames } from "../program/cache.ts";
import type { ProgramLibrary } from "../program/library.ts";
import { readsBehind, type Row } from "./rows.ts";
import { bareSpec } from "./spec.ts";

/**
 * Small products run on one thread, large ones on several, and the split changes the order of
 * sums: below this many rows the last bits of a row would depend on how many others there are. On
 * one thread only products of a single row are different.
 */
const leastRows = ({ device }: ProgramLibrary): number => device.threads === 1 ? 2 : 16;
export type Tensors = Record<string, OnnxTensor>;

export interface State {
  rows: Row[];
  /** Rows of the tensors: those above, then copies of the first until they are enough. */
  count: number;
  hidden: OnnxTensor;
  /** `past.*`, only read; none where the model does not read behind. */
  past: Tensors;
  /** `grown.*` */
  grown: Tensors;
}

export const freeState = ({ hidden, past, grown }: State): void =>
  dispose([hidden, ...Object.values(past), ...Object.values(grown)]);

const specOf = ({ rows }: State): ModelSpec => bareSpec(rows[0]!.policy.spec);

/** The same tensors under the names of another cache. */
export const renamed = (
  tensors: Tensors,
  from: string,
  to: string,
  config: ModelConfig,
): Tensors => {
  const names = cacheNames(to, config);
  return Object.fromEntries(cacheNames(from, config).map((name, i) => [names[i]!, tensors[name]!]));
};

/** The state in which decoding starts, from the cache of all prompts. */
export function startOf(
  library: ProgramLibrary,
  rows: Row[],
  { hidden, ...past }: Tensors,
): State {
  const { spec } = rows[0]!.policy;
  const state = { rows, count: hidden!.dims[0]!, hidden: hidden!, past, grown: {} };
  return readsBehind(spec.config)
    ? { ...state, grown: emptyCache(library.device, spec.config, state.count) }
    : { ...state, past: {}, grown: renamed(past, "past", "grown", spec.config) };
}

/** The list, its first element repeated until there are `least`. */
export const filled = <T>(list: readonly T[], least: number): T[] => [
  ...list,
  ...Array<T>(Math.max(0, least - list.length)).fill(list[0]!),
];

function emptyCache(device: Device, config: ModelConfig, rows: number): Tensors {
  const none = () =>
    device.tensor({ data: new Float32Array(0), dims: [rows, config.kvHeads, 0, config.headDim] });
  return Object.fromEntries(cacheNames("grown", config).map((name) => [name, none()]));
}

/**
 * `hidden` and `past.*` of the chosen rows of some runs, repeated until they are enough. Where
 * groups share a prompt, its keys and values stay one row.
 */
export async function chooseRows(
  library: ProgramLibrary,
  spec: ModelSpec,
  runs: readonly Tensors[],
  from: readonly number[],
  shared: { prompts: number[]; group: number } | null = null,
): Promise<Tensors> {
  const enough = leastRows(library);
  const least = shared ? shared.group * Math.ceil(enough / shared.group) : enough;
  const rows = Int32Array.from(filled(from, least));
  const prompts = shared ? Int32Array.from(filled(shared.prompts, least / shared.group)) : rows;
  const [first] = runs;
  if (
    runs.length === 1 && !shared && rows.length === first!["hidden"]!.dims[0] &&
    rows.every((r, i) => r === i)
  ) {
    return first!;
  }
  const program = await library.rows(spec, runs.length);
  const feeds = runs.flatMap((run, i) => [
    [`hidden.${i}`, run["hidden"]!] as const,
    ...Object.entries(renamed(run, "past", `past.${i}`, spec.config)),
  ]);
  const chosen = await program.run({
    ...Object.fromEntries(feeds),
    hidden_rows: { data: rows, dims: [rows.length] },
    rows: { data: prompts, dims: [prompts.length] },
  });
  for (const run of runs) dispose(Object.values(run));
  return chosen;
}

/** Puts the grown cache behind, where it costs nothing to go on. What is shared stays alone there. */
export async function putBehind(library: ProgramLibrary, state: State): Promise<State> {
  const spec = specOf(state);
  const { config } = spec;
  if (!readsBehind(config) || state.rows[0]!.group > 1) return state;
  const program = await library.join(spec);
  const joined = await program.run({ ...state.past, ...state.grown });
  dispose([...Object.values(state.past), ...Object.values(state.grown)]);
  return {
    ...state,
    past: renamed(joined, "joined", "past", config),
    grown: emptyCache(library.device, config, state.count),
  };
}

/**
 * Lets finished rows go, once they are half of the batch. Of a model that reads behind, the grown
 * cache must be empty.
 */
export async function withoutFinished(library: ProgramLibrary, state: State): Promise<State> {
  const spec = specOf(state);
  const { config } = spec;
  const going = state.rows.flatMap(({ finish }, i) => finish ? [] : [i]);
  if (state.rows[0]!.group > 1) return state;
  if (2 * Math.max(leastRows(library), going.length) > state.count) return state;
  const behind = readsBehind(config);
  const cache = behind ? state.past : renamed(state.grown, "grown", "past", config);
  const chosen = await chooseRows(library, spec, [{ hidden: state.hidden, ...cache }], going);
  const { hidden, ...past } = chosen;
  const rest = { rows: going.map((i) => state.rows[i]!), count: hidden!.dims[0]!, hidden: hidden! };
  return behind
    ? { ...rest, past, grown: emptyCache(library.device, config, rest.count) }
    : { ...rest, past: {}, grown: renamed(past, "past", "grown", config) };
}
