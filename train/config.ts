/**
 * The configuration of a run, from its sources in order: defaults (the environment's before the
 * general ones), then `--config FILE`, then `--set path=value`, then dedicated flags. Everything is
 * checked before anything starts.
 * Leaves out the keys and their defaults (config_schema.ts) and the command line itself.
 */
import { pathCount } from "../shared/algorithms/joint_tree.ts";
import { ALGORITHM_IDS, createAlgorithm } from "../shared/algorithms/registry.ts";
import { show } from "../shared/environments/options.ts";
import { useEnvironment } from "../shared/environments/load.ts";
import { createEnvironment } from "../shared/environments/registry.ts";
import { CollmError, nearest, suggest } from "../shared/errors.ts";
import { readConfigFile } from "./config_file.ts";
import { type RunConfig, runConfig } from "./config_schema.ts";
import { useDataOf } from "./data.ts";
import { environmentDefaults } from "./environment_defaults.ts";
import { optionsOf, writtenOut } from "./environment_options.ts";
import { isObject, type JsonObject, merge, parseOverride } from "./overrides.ts";

export type { RunConfig } from "./config_schema.ts";

/** Where a configuration comes from, weakest first. */
export interface ConfigSources {
  /** Path of a JSON file; comments are allowed. */
  file?: string | undefined;
  /** `path=value` texts of `--set`. */
  sets?: readonly string[];
  /** Dedicated flags, nested as the configuration is. */
  flags?: JsonObject;
}

/**
 * The complete configuration; environment options include the environment's own defaults, so
 * that the result alone repeats the run.
 * @throws CollmError for an unreadable file, an unknown key (with the nearest valid one), a value
 * of the wrong type or range, an unknown algorithm, environment, environment option or split.
 */
export async function resolveConfig({ file, sets = [], flags = {} }: ConfigSources = {}): Promise<
  RunConfig
> {
  const fromFile = file === undefined ? {} : await readConfigFile(file);
  const layers = [fromFile, ...sets.map(parseOverride), flags];
  const played = layers.reduce(merge, {}).environment;
  const isOption = optionsOf(isObject(played) ? { id: "str_build", ...played } : {});
  // Layer by layer: a later short key goes over an earlier long one.
  const given = layers.map((layer) => writtenOut(layer, isOption)).reduce(merge, {});
  const algorithm = isObject(given.algorithm) ? given.algorithm : {};
  // The chosen algorithm's defaults: they tell which keys its section has.
  const defaults = runConfig.parse({ algorithm: { id: algorithmId(algorithm) } });
  refuseUnknownKeys(given, defaults);

  const start = { algorithm: { id: defaults.algorithm.id } };
  const checked = runConfig.safeParse([start, startOf(given), given].reduce(merge, {}));
  if (!checked.success) throw badValue(given, checked.error.issues[0]!);
  return withEnvironment(checked.data);
}

/** The configuration as aligned lines: section, key, value. */
export function describeConfig(config: RunConfig): string[] {
  const lines = leaves(config, 3).map(({ path, value }) => {
    const [section, ...key] = path;
    return [section!, key.join("."), text(value)];
  });
  const widths = [0, 1].map((column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines.map(([section, key, value], i) => {
    const first = section === lines[i - 1]?.[0] ? "" : section!;
    return `${first.padEnd(widths[0]!)}  ${key!.padEnd(widths[1]!)}  ${value}`;
  });
}

const text = (value: unknown) => typeof value === "string" ? value : JSON.stringify(value);

function algorithmId({ id = "collm_cc" }: JsonObject): string {
  if (typeof id === "string" && (ALGORITHM_IDS as readonly string[]).includes(id)) return id;
  const given = typeof id === "string" ? id.slice(0, 60) : show(id);
  throw new CollmError(
    "invalid_request",
    `Unknown algorithm '${given}': ${suggest(given, ALGORITHM_IDS)}`,
  );
}

/** What the chosen environment starts a run with; one of the user's own has nothing of the kind. */
function startOf({ environment, policy }: JsonObject): JsonObject {
  const { id, source, options } = isObject(environment) ? environment : {};
  if (typeof id !== "string" || typeof source === "string") return {};
  const start = isObject(policy) ? policy.source : undefined;
  return environmentDefaults(id, start, isObject(options) ? options : {}).run;
}

async function withEnvironment(config: RunConfig): Promise<RunConfig> {
  const { source, split, options } = config.environment;
  const id = source === null ? config.environment.id : await useEnvironment(source, options);
  const start = environmentDefaults(id, config.policy.source, options);
  await useDataOf(options);
  const environment = createEnvironment(id, { ...start.options, ...options });
  const infos = environment.splits();
  const splits = infos.map(({ name }) => name);
  for (
    const [path, name] of [
      ["environment.split", split],
      ["evaluation.split", config.evaluation.split],
    ] as const
  ) {
    if (!splits.includes(name)) {
      throw new CollmError(
        "invalid_request",
        `Unknown split '${name.slice(0, 60)}' of environment '${id}' in '${path}': ${
          suggest(name.slice(0, 60), splits)
        }`,
      );
    }
  }
  for (const { name, size } of infos) {
    if (size !== 0 || name !== split && name !== config.evaluation.split) continue;
    throw new CollmError(
      "invalid_request",
      `Cannot play split '${name}' of environment '${id}': it has no items`,
    );
  }
  refuseHugeTrees(createAlgorithm(config.algorithm).rollout.generations, environment.turns);
  return { ...config, environment: { id, source, split, options: { ...environment.options } } };
}

/** Most leaf paths of one item's tree: every leaf is an episode of its own. */
const MOST_PATHS = 4096;

function refuseHugeTrees(generations: number, turns: number): void {
  const paths = pathCount({ generations, turns });
  if (paths <= MOST_PATHS) return;
  throw new CollmError(
    "invalid_request",
    `Cannot use configuration key 'algorithm.generations' with value ${generations}: over ${turns} turns each item takes ${paths} episodes, at most ${MOST_PATHS} are allowed`,
  );
}

interface Leaf {
  path: string[];
  value: unknown;
}

/** Values of an object with their paths; objects below `depth` count as values. */
function leaves(value: JsonObject, depth: number, path: string[] = []): Leaf[] {
  return Object.entries(value).flatMap(([key, inner]): Leaf[] => {
    const here = [...path, key];
    const open = isObject(inner) && depth > 1 && Object.keys(inner).length > 0;
    return open ? leaves(inner, depth - 1, here) : [{ path: here, value: inner }];
  });
}

const OPTIONS = "environment.options";

/** Refuses the first key that the defaults do not have; environments check their own options. */
function refuseUnknownKeys(given: JsonObject, defaults: RunConfig): void {
  const known = leaves(defaults, 3).map(({ path }) => path.join("."));
  for (const { path } of leaves(given, 4)) {
    const key = path.join(".");
    const section = known.some((name) => name.startsWith(`${key}.`));
    if (section || known.includes(key) || key.startsWith(`${OPTIONS}.`)) continue;
    const short = key.slice(0, 80);
    const last = path.at(-1)!;
    const near = nearest(short, known) ??
      known.find((name) => name.split(".").at(-1) === last);
    const hint = near ? `did you mean '${near}'?` : `sections: ${Object.keys(defaults).join(", ")}`;
    const whose = key.startsWith("algorithm.") ? ` of ${defaults.algorithm.id}` : "";
    throw new CollmError(
      "invalid_request",
      `Unknown configuration key '${short}'${whose}: ${hint}`,
    );
  }
}

function badValue(given: JsonObject, issue: { path: PropertyKey[]; message: string }): CollmError {
  const value = issue.path.reduce<unknown>(
    (inner, key) => (inner as JsonObject | undefined)?.[key as string],
    given,
  );
  const reason = issue.message.replace(/^Invalid (input|option): /, "");
  return new CollmError(
    "invalid_request",
    `Cannot use configuration key '${issue.path.join(".")}' with value ${show(value)}: ${
      reason.slice(0, 1).toLowerCase()
    }${reason.slice(1)}`,
  );
}
