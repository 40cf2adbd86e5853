/**
 * Resolves environments once per call: building one checks all its options.
 * Leaves out which environments there are.
 */
import type { Environment } from "../../environments/environment.ts";
import { canonicalJson } from "../canonical.ts";
import type { EpisodeLog, ResolveEnvironment } from "./types.ts";

/** `log.resolve` that remembers what it gave, for as long as the caller keeps it. */
export const resolver = (log: EpisodeLog): ResolveEnvironment => remembered(log.resolve);

/** Longest options that are remembered, as JSON: what requests can fill memory with is bounded. */
const LONGEST = 10_000;

/** `resolve` that remembers the `most` environments that it gave last. */
export function remembered(resolve: ResolveEnvironment, most = Infinity): ResolveEnvironment {
  const known = new Map<string, Environment>();
  return (id, options) => {
    const key = canonicalJson([id, options]);
    const found = known.get(key);
    if (found) return found;
    const environment = resolve(id, options);
    if (key.length <= LONGEST) known.set(key, environment);
    if (known.size > most) known.delete(known.keys().next().value!);
    return environment;
  };
}
