/**
 * Resolves environments once per call: building one checks all its options.
 * Leaves out which environments there are.
 */
import type { Environment } from "../../environments/environment.ts";
import { canonicalJson } from "../canonical.ts";
import type { EpisodeLog, ResolveEnvironment } from "./types.ts";

/** `log.resolve` that remembers what it gave, for as long as the caller keeps it. */
export function resolver(log: EpisodeLog): ResolveEnvironment {
  const known = new Map<string, Environment>();
  return (id, options) => {
    const key = canonicalJson([id, options]);
    let environment = known.get(key);
    if (!environment) known.set(key, environment = log.resolve(id, options));
    return environment;
  };
}
