/**
 * The environments by id. An environment is created with its options, which are checked then;
 * leaves out everything about a single environment.
 */
import { CollmError, suggest } from "../errors.ts";
import { createCoding } from "./coding/index.ts";
import type { Environment } from "./environment.ts";
import { createBridgeBuild } from "./minecraft/bridge_build/index.ts";
import { createHouseBuild } from "./minecraft/house_build/index.ts";
import { createResourceGathering } from "./minecraft/resource_gathering/index.ts";
import { createStrBuild } from "./minecraft/str_build/index.ts";
import { createArxiv, createTldr } from "./writing/index.ts";

type Create = (options: Record<string, unknown>) => Environment;

const FACTORIES = {
  str_build: createStrBuild,
  house_build: createHouseBuild,
  bridge_build: createBridgeBuild,
  resource_gathering: createResourceGathering,
  tldr: createTldr,
  arxiv: createArxiv,
  humaneval: (options) => createCoding("humaneval", options),
  coophumaneval: (options) => createCoding("coophumaneval", options),
  mbpp: (options) => createCoding("mbpp", options),
} satisfies Record<string, Create>;

/** What this process was told of beside the project's own (load.ts). */
const added = new Map<string, Create>();

/** Makes an environment known to this process. @throws CollmError `conflict` for an id in use */
export function registerEnvironment(id: string, create: Create): void {
  if (environmentIds().includes(id)) {
    throw new CollmError("conflict", `Cannot add environment '${id}': the id is taken`);
  }
  added.set(id, create);
}

/** Ids of all environments. */
export function environmentIds(): string[] {
  return [...Object.keys(FACTORIES), ...added.keys()];
}

/**
 * An environment with its options fixed.
 *
 * @example One turn of StrBuild
 * ```ts
 * import assert from "node:assert/strict";
 *
 * const environment = createEnvironment("str_build", { turns: 1, prompt_style: "compact" });
 * const { task } = environment.task({ word: "I" });
 * const { state, observations } = environment.reset(task, 1);
 * assert.match(observations["agent_1"]!.text, /^t1 a1 0=#\.\.\.#/);
 * const step = environment.step(task, state, {
 *   agent_1: "/setblock 0 0 0 stone",
 *   agent_2: "/setblock 0 4 0 obsidian",
 * });
 * assert.equal(step.terminations["agent_1"], true);
 * assert.equal(step.components["coverage"], 2 / 13);
 * ```
 * @throws CollmError `not_found` for an unknown id, `invalid_request` for an unknown or bad option.
 */
export function createEnvironment<Id extends keyof typeof FACTORIES>(
  id: Id,
  options?: Record<string, unknown>,
): ReturnType<typeof FACTORIES[Id]>;
export function createEnvironment(id: string, options?: Record<string, unknown>): Environment;
export function createEnvironment(
  id: string,
  options: Record<string, unknown> = {},
): Environment {
  const create: Create | undefined = Object.hasOwn(FACTORIES, id)
    ? FACTORIES[id as keyof typeof FACTORIES]
    : added.get(id);
  if (create) return create(options);
  const short = id.slice(0, 60);
  throw new CollmError(
    "not_found",
    `Cannot find environment '${short}', ${suggest(short, environmentIds())}`,
  );
}
