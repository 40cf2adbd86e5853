/**
 * The paper prompt style: full English for chat models, in our own words with the published
 * content. Every agent is told the whole house and its own share of the resources.
 * Leaves out which facts a follow-up tells (feedback.ts).
 */
import { commandLimits } from "../limits.ts";
import { AIR } from "../textures.ts";
import type { Previous } from "../building.ts";
import type { HouseBuild } from "./build.ts";
import {
  type FeedbackMode,
  firstWrongCells,
  ownLayers,
  ownWrongCells,
  rewardText,
  schedule,
  targetCells,
  type Wanted,
  wrongCells,
  wrongRectangles,
} from "./feedback.ts";
import { type Rectangle, rectangles } from "./rectangles.ts";
import { type House, houseOf, type HouseTask, resourceLimits, totalDamage } from "./task.ts";

/** What the wording depends on besides the task. */
export interface PromptSetting {
  agents: number;
  turns: number;
  feedback: FeedbackMode;
  /** Most cells or rectangles that a follow-up lists. */
  limit: number;
  /** The published choice of rectangles, whatever the house's height and what is built. */
  reference: boolean;
}

export const SYSTEM_MESSAGE =
  "You are an agent that builds in Minecraft. Answer with commands only, one per line: " +
  "no explanation, no comment, no markdown.";

const FORMAT = "Format of every line:\n/fill <x1> <y1> <z1> <x2> <y2> <z2> <block>\nor\n/kill";
const layerTexts = new WeakMap<House, string>();

/** User message of turn 1. */
export function taskPrompt(task: HouseTask, agent: number, setting: PromptSetting): string {
  const house = houseOf(task);
  const { from, to } = house.box;
  return [
    role(agent, setting.agents),
    blocksLine(house),
    `The house, layer by layer from the bottom, as rectangles of one block with both corners ` +
    `included; all other cells must stay air:\n${layersText(house)}`,
    `Build area: x ${from[0]} to ${to[0]}, y ${from[1]} to ${to[1]}, z ${from[2]} to ${to[2]}, ` +
    "both ends included.",
    ...threat(task, setting.agents),
    [
      "Rules:",
      "- Write /fill and /kill commands only, with absolute integer coordinates.",
      "- Both corners of a /fill must be inside the build area; it takes no mode.",
      limitLine(task, agent, setting.agents),
      ...(task.limited_resource ? [resourceLine(house, setting.agents)] : []),
    ].join("\n"),
    FORMAT,
  ].join("\n\n");
}

/** User message of a later turn: facts of the feedback mode, the task again, own commands. */
export function followUpPrompt(
  task: HouseTask,
  agent: number,
  setting: PromptSetting,
  turn: number,
  previous: Previous<HouseBuild>,
): string {
  const commands = previous.commands[agent]!;
  const own = commands.length === 0
    ? []
    : [`Your accepted commands of the previous turn:\n${commands.join("\n")}`];
  return [
    `Turn ${turn} of ${setting.turns}. The world is empty again: write the whole of your part. ` +
    "Coordinates are absolute. Answer with commands only.",
    ...feedbackParts(agent, setting, previous),
    `The task was:\n${taskPrompt(task, agent, setting)}`,
    ...own,
  ].join("\n\n");
}

function feedbackParts(
  agent: number,
  { agents, feedback, limit, reference }: PromptSetting,
  { reward, built }: Previous<HouseBuild>,
): string[] {
  const { world, house } = built;
  if (feedback === "score_feedback") {
    return [`The team's score on the previous turn was ${rewardText(reward)}.`];
  }
  if (feedback === "position_feedback") {
    const half = Math.max(1, Math.floor(house.solid / 2));
    return [
      `Take about ${half} of the cells of the house.`,
      `All cells as (x, y, z block):\n${cellList(targetCells(house))}`,
    ];
  }
  if (feedback === "perfect_feedback") {
    const cells = ownWrongCells(wrongCells(house, world), agent, agents);
    return [`Your cells that did not hold the right block, with that block:\n${cellList(cells)}`];
  }
  if (feedback === "position_modification") {
    const cells = firstWrongCells(wrongCells(house, world), limit);
    return [`The lowest cells that were wrong, with the right block:\n${cellList(cells)}`];
  }
  if (feedback === "rect_modification") {
    const layers = reference ? ownLayers(house, agent, agents, 2) : ownLayers(house, agent, agents);
    const found = wrongRectangles(house, world, layers, limit);
    return [
      `Rectangles with a wrong cell in your layers, y ${layers[0]} to ${layers[1]}:\n` +
      rectangleList(found),
    ];
  }
  const advice = schedule(
    house,
    reference ? null : world,
    built.parsed[agent]!.accepted,
    agents,
  );
  const left = Object.entries(advice.remaining).map(([block, count]) => `${block} ${count}`);
  return [
    "Rectangles that would still have fitted your resources after your previous commands, the " +
    `largest first:\n${rectangleList(advice.rectangles)}`,
    `Left over after all whole rectangles of this list: ${left.join(", ")}.`,
  ];
}

function role(agent: number, agents: number): string {
  if (agents === 1) return "You build the house alone.";
  const order = agent === 0
    ? "Your commands run first; where the next agent writes as well, its block replaces yours."
    : `Your commands run after those of agent ${agent} and replace its blocks where both write.`;
  return `You are agent ${agent + 1} of a team of ${agents} that builds one house. ` +
    `You place some of its blocks, your teammate places others. ${order}`;
}

function blocksLine({ allowed }: House): string {
  return `Your blocks: ${[...allowed, AIR].join(", ")}`;
}

/** The rectangles of every layer, air left out. */
export function layersText(house: House): string {
  let text = layerTexts.get(house);
  if (text === undefined) {
    const byLayer = Map.groupBy(rectangles(house), ({ y }) => y);
    text = [...byLayer].map(([y, layer]) => {
      const solid = layer.filter(({ block }) => block !== AIR);
      return `y=${y}: {${solid.map(rectangleText).join(", ")}}`;
    }).join("\n");
    layerTexts.set(house, text);
  }
  return text;
}

function threat(task: HouseTask, agents: number): string[] {
  const { spider_attacks: attacks, player_hp } = task;
  if (attacks.length === 0 || agents === 1) return [];
  return [
    `Danger: ${attacks.length} spiders attack with ${attacks.join(", ")}, ${totalDamage(task)} ` +
    `damage together; you have ${player_hp} hit points. One /kill line from anyone in the team ` +
    "kills all of them; otherwise the damage lowers the score.",
  ];
}

function limitLine(task: HouseTask, agent: number, agents: number): string {
  const limit = commandLimits(task.max_commands, agents)[agent]!;
  return `- Write at most ${limit} commands; a /kill counts as one.`;
}

function resourceLine(house: House, agents: number): string {
  const limits = Object.entries(resourceLimits(house, agents)).map(([b, n]) => `${b} ${n}`);
  return `- You have ${limits.join(", ")}. A /fill spends one block for each of its cells, also ` +
    "where it is wrong or covers another; one that spends too much is ignored. Air is free.";
}

function rectangleText({ y, x1, z1, x2, z2, block }: Rectangle): string {
  return `(${x1}, ${y}, ${z1}, ${x2}, ${y}, ${z2} ${block})`;
}

function rectangleList(found: readonly Rectangle[]): string {
  return found.length === 0 ? "none" : found.map(rectangleText).join("\n");
}

function cellList(cells: readonly Wanted[]): string {
  if (cells.length === 0) return "none";
  return cells.map(([x, y, z, block]) => `(${x}, ${y}, ${z} ${block})`).join(" ");
}
