/**
 * A team's checkpoint: one folder per agent and critic, and team.json that says what they play.
 * A plain model folder is a team too: every agent starts from it.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { writeJsonAtomic } from "../gpu-node/model/files.ts";
import { ADAPTER_CONFIG, isAdapterFolder } from "../gpu-node/model/lora.ts";
import { CollmError } from "../shared/errors.ts";
import { modelNames, type Roles } from "./roles.ts";
import { readChecked, type TeamFile, teamFile } from "./run_files.ts";

export type { TeamFile } from "./run_files.ts";

/** Saves every model of the run under `folder`; with `state` also what training goes on from. */
export async function saveTeam(
  { node, environment, algorithm, config, handle }: Roles,
  folder: string,
  options: { state: boolean },
): Promise<string[]> {
  const { policies, critics } = modelNames({ environment, algorithm });
  const names = [...policies, ...critics];
  for (const name of names) await node.save(handle(name), join(folder, name), options);
  const team: TeamFile = {
    environment: environment.id,
    options: { ...environment.options },
    agents: [...environment.agents],
    max_tokens: config.rollout.max_tokens,
  };
  writeJsonAtomic(join(folder, "team.json"), team);
  return names;
}

/** The team file of a checkpoint, or null for a plain model folder. */
export function readTeam(folder: string): TeamFile | null {
  const path = join(folder, "team.json");
  if (existsSync(path)) return readChecked(path, teamFile);
  if (existsSync(join(folder, "config.json")) || isAdapterFolder(folder)) return null;
  throw new CollmError(
    "not_found",
    `Cannot evaluate checkpoint '${folder}': it holds neither team.json, config.json nor ${ADAPTER_CONFIG}`,
  );
}

/** Model folder of one agent in a checkpoint. */
export const agentFolder = (folder: string, team: TeamFile | null, agent: string): string =>
  team ? join(folder, agent) : folder;
