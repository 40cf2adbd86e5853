/**
 * The algorithms by id. `algorithmOptions` is the `algorithm` section of a run configuration;
 * `createAlgorithm` turns such a section into the algorithm itself.
 */
import { z } from "../../deps.ts";
import type { Algorithm } from "./algorithm.ts";
import { collmCc, collmCcOptions } from "./collm_cc.ts";
import { collmDc, collmDcOptions } from "./collm_dc.ts";
import { magrpo, magrpoOptions } from "./magrpo.ts";

/** Options of every algorithm, told apart by `id`. */
export const algorithmOptions = z.discriminatedUnion("id", [
  collmCcOptions,
  collmDcOptions,
  magrpoOptions,
]);
export type AlgorithmOptions = z.infer<typeof algorithmOptions>;

/** Ids in the order of the paper. */
export const ALGORITHM_IDS = [
  "collm_cc",
  "collm_dc",
  "magrpo",
] as const satisfies readonly AlgorithmOptions["id"][];

/** The algorithm that these (checked) options describe. */
export function createAlgorithm(options: AlgorithmOptions): Algorithm {
  switch (options.id) {
    case "collm_cc":
      return collmCc(options);
    case "collm_dc":
      return collmDc(options);
    case "magrpo":
      return magrpo(options);
  }
}
