/**
 * Options of an environment among the configuration's keys: `environment.KEY` is short for
 * `environment.options.KEY`. Leaves out checking their values, which environments do themselves.
 */
import { createEnvironment, environmentIds } from "../shared/environments/registry.ts";
import { CollmError } from "../shared/errors.ts";
import { isObject, type JsonObject, merge, parseOverride } from "./overrides.ts";

/** Whether a key of the section `environment` is meant for the environment. */
export type IsOption = (key: string) => boolean;

/** Keys of the section itself. */
const SECTION = ["id", "source", "split", "options"];
const notOfSection: IsOption = (key) => !SECTION.includes(key);

/**
 * Of the environment that is played: its options are known before one of the user's own is loaded,
 * which therefore gets all keys that are not the section's.
 */
export function optionsOf({ id, source }: { id?: unknown; source?: unknown }): IsOption {
  if (typeof source === "string") return notOfSection;
  if (typeof id !== "string" || !environmentIds().includes(id)) return () => false;
  const known = Object.keys(createEnvironment(id).options);
  return (key) => known.includes(key) && notOfSection(key);
}

/** A configuration with the short keys of its section `environment` written out. */
export function writtenOut(given: JsonObject, isOption: IsOption): JsonObject {
  const { environment } = given;
  if (!isObject(environment)) return given;
  const entries = Object.entries(environment);
  const short = entries.filter(([key]) => isOption(key));
  if (short.length === 0) return given;
  const section = Object.fromEntries(entries.filter(([key]) => !isOption(key)));
  return {
    ...given,
    environment: merge(section, { options: Object.fromEntries(short) }),
  };
}

/**
 * Options that `--set` gives where there is nothing else to set.
 * @throws CollmError `invalid_request` for any other key
 */
export function optionOverrides(sets: readonly string[]): JsonObject {
  return sets.map((set) => {
    const { environment, ...others } = writtenOut(parseOverride(set), notOfSection);
    const { options, ...section } = isObject(environment) ? environment : {};
    if (isObject(options) && Object.keys({ ...others, ...section }).length === 0) return options;
    throw new CollmError(
      "invalid_request",
      `Cannot use --set '${set.slice(0, 80)}': only options of the environment can be set here ` +
        "(environment.options.KEY=value)",
    );
  }).reduce(merge, {});
}
