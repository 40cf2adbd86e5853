/**
 * Key/value caches as inputs and outputs of programs, `<name>.<layer>.key|value` [batch, kvHeads,
 * length, headDim], and the two programs that only move them: rows (from several runs, repeated or
 * left out) and lengths (one cache behind another).
 */
import { Graph } from "../graph/graph.ts";
import { concat } from "../graph/ops/shape.ts";
import type { Dim, Tensor } from "../graph/tensor.ts";
import type { LayerCache } from "../model/attend.ts";
import type { ModelConfig } from "../model/config.ts";

/** Names of a cache's tensors in the order of their layers. */
export const cacheNames = (name: string, { layers }: ModelConfig): string[] =>
  Array.from({ length: layers }, (_, i) => [`${name}.${i}.key`, `${name}.${i}.value`]).flat();

export function inputCache(
  g: Graph,
  name: string,
  { layers, kvHeads, headDim }: ModelConfig,
  length: Dim,
  batch: Dim = "batch",
): LayerCache[] {
  const piece = (full: string) => g.input(full, "float32", [batch, kvHeads, length, headDim]);
  return Array.from({ length: layers }, (_, i) => ({
    key: piece(`${name}.${i}.key`),
    value: piece(`${name}.${i}.value`),
  }));
}

export function outputCache(g: Graph, name: string, cache: readonly LayerCache[]): void {
  cache.forEach(({ key, value }, i) => {
    g.output(`${name}.${i}.key`, key);
    g.output(`${name}.${i}.value`, value);
  });
}

/** Both tensors of every layer of some caches, combined. */
const combine = (caches: LayerCache[][], by: (pieces: Tensor[]) => Tensor): LayerCache[] =>
  caches[0]!.map((_, i) => ({
    key: by(caches.map((cache) => cache[i]!.key)),
    value: by(caches.map((cache) => cache[i]!.value)),
  }));

/**
 * Rows of `pieces` runs, one below the other: `rows` int32 chooses among the caches `past.<run>`,
 * and with `hidden`, `hidden_rows` among `hidden.<run>`; outputs past and hidden.
 */
export function rowsGraph(config: ModelConfig, pieces: number, hidden: boolean): Graph {
  const g = new Graph();
  const runs = [...Array(pieces).keys()];
  const choose = (name: string) => {
    const rows = g.input(name, "int32", [name]);
    return (parts: Tensor[]) => {
      const all = parts.length === 1 ? parts[0]! : concat(g, parts, 0, "all");
      return g.emit1("Gather", [all, rows], [name, ...all.shape.slice(1)], { axis: 0 });
    };
  };
  if (hidden) {
    const states = runs.map((run) =>
      g.input(`hidden.${run}`, "float32", [`batch${run}`, config.hiddenSize])
    );
    g.output("hidden", choose("hidden_rows")(states));
  }
  const caches = runs.map((run) => inputCache(g, `past.${run}`, config, "length", `batch${run}`));
  outputCache(g, "past", combine(caches, choose("rows")));
  return g;
}

/** Caches `past` and `grown`, one behind the other, as `joined`. */
export function joinGraph(config: ModelConfig): Graph {
  const g = new Graph();
  const caches = [inputCache(g, "past", config, "past"), inputCache(g, "grown", config, "grown")];
  outputCache(g, "joined", combine(caches, (parts) => concat(g, parts, 2, "joined")));
  return g;
}
