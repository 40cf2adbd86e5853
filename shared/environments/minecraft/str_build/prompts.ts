/**
 * The paper prompt style: full English for chat models, in our own words with the published
 * content. Each agent is told its own role and blocks only. Without the grid (`provideGraph`
 * false) the letter is not shown on turn 1, as in the published runs.
 * Leaves out which facts a follow-up tells (feedback.ts).
 */
import { commandLimits } from "../limits.ts";
import { AIR } from "../textures.ts";
import { type Position, readingOrder } from "../world.ts";
import type { Previous } from "../building.ts";
import type { Build } from "./build.ts";
import { corrections, type FeedbackMode, rewardText, subsetSize } from "./feedback.ts";
import { palettes, type StrBuildTask, type Target, targetOf } from "./task.ts";

/** What the wording depends on besides the task. */
export interface PromptSetting {
  agents: number;
  turns: number;
  provideGraph: boolean;
  feedback: FeedbackMode;
}

export const SYSTEM_MESSAGE =
  "You are an agent that builds in Minecraft. Answer with commands only, one per line: " +
  "no explanation, no comment, no markdown.";

const FORMAT = "Format of every line:\n/setblock <x> <y> <z> <block>";

const targetLists = new WeakMap<Target, string>();

/** User message of turn 1. */
export function taskPrompt(task: StrBuildTask, agent: number, setting: PromptSetting): string {
  const { rows, box } = targetOf(task.word);
  const [right, top] = box.to;
  const grid = "Target seen from the front, top row first ('#' needs a block, '.' stays empty):\n" +
    rows.join("\n");
  return [
    role(agent, setting.agents),
    ...(setting.provideGraph ? [grid] : []),
    `Build area: x 0 to ${right}, y 0 to ${top}, z 0, both ends included.\n` +
    `Coordinates: x grows to the right and the leftmost column is x = 0; y grows upwards, the ` +
    `bottom row is y = 0 and the top row is y = ${top}; z is always 0.`,
    blocksLine(agent, setting.agents),
    [
      "Rules:",
      "- Write /setblock commands only, with absolute integer coordinates.",
      ...(setting.provideGraph ? ["- Put blocks on '#' positions only."] : []),
      "- Blocks that touch (left, right, above, below) must differ in texture.",
      "- Stay inside the build area.",
      limitLine(task, agent, setting.agents),
    ].join("\n"),
    FORMAT,
  ].join("\n\n");
}

/** User message of a later turn: facts of the feedback mode, the task again, own commands. */
export function followUpPrompt(
  task: StrBuildTask,
  agent: number,
  setting: PromptSetting,
  turn: number,
  previous: Previous<Build>,
): string {
  const commands = previous.commands[agent]!;
  const own = commands.length === 0
    ? []
    : [`Your accepted commands of the previous turn:\n${commands.join("\n")}`];
  return [
    `Turn ${turn} of ${setting.turns}. The world is empty again: write the whole of ` +
    "your part. Coordinates are absolute. Answer with commands only.",
    ...feedbackParts(task, agent, setting, previous),
    [limitLine(task, agent, setting.agents), `- ${blocksLine(agent, setting.agents)}`].join("\n"),
    FORMAT,
    `The task was:\n${taskPrompt(task, agent, setting)}`,
    ...own,
  ].join("\n\n");
}

function feedbackParts(
  task: StrBuildTask,
  agent: number,
  setting: PromptSetting,
  previous: Previous<Build>,
): string[] {
  const target = targetOf(task.word);
  if (setting.feedback === "score_feedback") {
    return [`The team's score on the previous turn was ${rewardText(previous.reward)}.`];
  }
  if (setting.feedback === "position_feedback") {
    return [
      `Take about ${subsetSize(target)} of the target positions, and no two that touch ` +
      "(left, right, above, below).",
      `All target positions as (x, y, z):\n${targetList(target)}`,
    ];
  }
  const { wrong, extra } = corrections(target, previous.built.world, setting.agents);
  const parts = [`Your positions that did not hold the right block:\n${list(wrong[agent]!)}`];
  if (agent === setting.agents - 1) {
    parts.push(`Positions that must be ${AIR} but held a block:\n${list(extra)}`);
  }
  return parts;
}

function role(agent: number, agents: number): string {
  if (agents === 1) return "You build the structure alone.";
  const order = agent === 0
    ? "Your commands run first; where the next agent writes as well, its block replaces yours."
    : `Your commands run after those of agent ${agent} and replace its blocks where both write.`;
  return `You are agent ${agent + 1} of a team of ${agents} that builds one structure. ` +
    `You place some of its blocks, your teammate places others. ${order}`;
}

function blocksLine(agent: number, agents: number): string {
  return `Your blocks: ${[...palettes(agents)[agent]!, AIR].join(", ")}`;
}

function limitLine(task: StrBuildTask, agent: number, agents: number): string {
  return `- Write at most ${commandLimits(task.max_commands, agents)[agent]!} commands.`;
}

function targetList(target: Target): string {
  let text = targetLists.get(target);
  if (text === undefined) {
    text = list(readingOrder(target.cells));
    targetLists.set(target, text);
  }
  return text;
}

function list(cells: readonly Position[]): string {
  return cells.length === 0 ? "none" : cells.map((at) => `(${at.join(", ")})`).join(" ");
}
