/**
 * One turn's build: each agent's text to commands, all of them applied to a world of air in
 * playing order, and the world scored. Leaves out episodes (index.ts).
 */
import { lineCounts } from "../building.ts";
import { commandLimits } from "../limits.ts";
import { parseCommands, type ParsedCommands } from "../parse.ts";
import { applyCommands, emptyWorld, type World } from "../world.ts";
import { type BuildMetrics, components, scoreBuild } from "./reward.ts";
import { palettes, type StrBuildTask, type Target, targetOf } from "./task.ts";

export interface Build {
  target: Target;
  /** Per agent. */
  parsed: ParsedCommands[];
  world: World;
  metrics: BuildMetrics;
}

/** Builds and scores one text per agent. */
export function build(task: StrBuildTask, texts: readonly string[]): Build {
  const target = targetOf(task.word);
  const limits = commandLimits(task.max_commands, texts.length);
  const blocks = palettes(texts.length);
  const parsed = texts.map((text, agent) =>
    parseCommands(text, {
      verbs: ["setblock"],
      blocks: blocks[agent]!,
      box: target.box,
      limit: limits[agent]!,
    })
  );
  const world = emptyWorld(target.box);
  for (const { accepted } of parsed) applyCommands(world, accepted);
  return { target, parsed, world, metrics: scoreBuild(target, world, blocks) };
}

/** Components of a build, as logs and evaluations take them. */
export function buildComponents({ metrics, parsed }: Build): Record<string, number> {
  return components(metrics, ...lineCounts(parsed));
}
