/**
 * One turn's build: each agent's text to commands, all of them applied to a world of air in
 * playing order, and the world scored. Leaves out episodes (index.ts).
 */
import { lineCounts } from "../building.ts";
import { commandLimits } from "../limits.ts";
import { parseCommands, type ParsedCommands } from "../parse.ts";
import { applyCommands, emptyWorld, type World } from "../world.ts";
import { type HouseMetrics, scoreHouse } from "./reward.ts";
import { type House, houseOf, type HouseTask, resourceLimits } from "./task.ts";

export interface HouseBuild {
  house: House;
  /** Per agent. */
  parsed: ParsedCommands[];
  world: World;
  metrics: HouseMetrics;
}

/** Builds and scores one text per agent. */
export function build(task: HouseTask, texts: readonly string[]): HouseBuild {
  const house = houseOf(task);
  const limits = commandLimits(task.max_commands, texts.length);
  const resources = task.limited_resource ? resourceLimits(house, texts.length) : undefined;
  const parsed = texts.map((text, agent) =>
    parseCommands(text, {
      verbs: ["fill", "kill"],
      blocks: house.allowed,
      box: house.box,
      limit: limits[agent]!,
      ...(resources ? { resources } : {}),
    })
  );
  const world = emptyWorld(house.box, house.blocks);
  for (const { accepted } of parsed) applyCommands(world, accepted);
  const killed = parsed.some(({ accepted }) => accepted.some(({ verb }) => verb === "kill"));
  return { house, parsed, world, metrics: scoreHouse(task, house, world, killed, texts.length) };
}

/**
 * Components of a build, as logs and evaluations take them.
 * level_1, level_2: the two signed terms (match, spiders); level_total: their sum, the reward;
 * match, iou: ratios in [0, 1]; penalty: what the spiders cost; accepted, rejected: command lines
 * of the whole team.
 */
export function buildComponents({ metrics, parsed }: HouseBuild): Record<string, number> {
  const [accepted, rejected] = lineCounts(parsed);
  return {
    level_1: metrics.match,
    level_2: 0 - metrics.penalty,
    level_total: metrics.reward,
    match: metrics.match,
    iou: metrics.iou,
    penalty: metrics.penalty,
    accepted,
    rejected,
  };
}
