/**
 * ResourceGathering as an environment: two agents with different tools bring wood, stone and iron
 * together. Each sees its surroundings only and can use what the other finds, so they tell each
 * other where deposits are. Rules: docs/minecraft.md.
 */
import { z } from "../../../../deps.ts";
import { actionTexts } from "../../actions.ts";
import type { PureEnvironment } from "../../environment.ts";
import { readAction } from "../grid/actions.ts";
import { gridEpisodes } from "../grid/episodes.ts";
import { reach } from "../grid/grid.ts";
import { readGridOptions } from "../grid/options.ts";
import { renderGrid } from "../grid/render.ts";
import { GRID_SPLITS, gridItem, readGridId } from "../grid/splits.ts";
import { gridObservation, knownText } from "../grid/team.ts";
import { counted, type GatheringState, play, start, VERBS } from "./play.ts";
import { drawGatheringTask, type GatheringTask, inlineGatheringTask, RANGE } from "./task.ts";

const ID = "resource_gathering";
const AGENTS = ["agent_1", "agent_2"];
const SIDE = z.int().min(6).max(24);
const fits = (width: number, height: number) =>
  [width, height].every((n) => SIDE.safeParse(n).success);

const weight = (by: number) => z.number().min(0).max(100).default(by);

const OPTIONS = z.object({
  /** Cells of generated maps along x. */
  width: SIDE.default(9),
  /** Cells of generated maps along z. */
  height: SIDE.default(9),
  turns: z.int().min(1).max(120).default(30),
  /** How far an agent sees, in steps of a king. */
  view: z.int().min(1).max(16).default(2),
  /** Steps an agent walks in one turn at most. */
  steps: z.int().min(1).max(16).default(4),
  /** Weights of the reward's terms (play.ts). */
  shaping: z.strictObject({
    progress: weight(10),
    terminal: weight(4),
    move_to_zone: weight(0.05),
    useful_message: weight(0.1),
    zone_entry: weight(0.15),
    move_cost: weight(0),
    message_cost: weight(0),
  }).prefault({}),
  prompt_style: z.enum(["paper", "compact"]).default("paper"),
});

const NAMES = { W: "wood", S: "stone", I: "iron" } as const;
const COLOURS = { ".": "#cfe3b4", "#": "#5d6168", W: "#3f7a4d", S: "#8f959e", I: "#c9772f" };

/** Environment `resource_gathering`; see its options above and their defaults. */
export function createResourceGathering(
  input: Record<string, unknown> = {},
): PureEnvironment<GatheringTask, GatheringState> {
  const options = readGridOptions(ID, OPTIONS, input);
  const { width, height, turns, view, steps, shaping } = options;

  function item(split: string, index: number, size: [number, number] = [width, height]) {
    const draw = (random: () => number) => drawGatheringTask(...size, random);
    const { id, map: task } = gridItem(ID, size, split, index, draw);
    return { id, task };
  }

  return {
    id: ID,
    title: "ResourceGathering",
    description: "Two agents with different tools that see only their surroundings gather wood, " +
      "stone and iron, telling each other what they find",
    agents: AGENTS,
    turns,
    rewardRange: [
      -AGENTS.length * (steps * shaping.move_cost + shaping.message_cost),
      shaping.progress + shaping.terminal +
      AGENTS.length * (shaping.move_to_zone + shaping.useful_message) + 3 * shaping.zone_entry,
    ],
    options,
    splits: () => [...GRID_SPLITS],
    item: (split, index) => item(split, index),
    task(input) {
      if (typeof input !== "string") return inlineGatheringTask(input);
      const found = readGridId(ID, input, fits);
      return item(found.split, found.index, [found.width, found.height]);
    },

    ...gridEpisodes<GatheringTask, GatheringState>({
      id: ID,
      agents: AGENTS,
      turns,
      verbs: VERBS,
      steps,
      start: (task) => start(task, view),
      play(task, before, actions) {
        const result = play(AGENTS, task, before, actions, view, shaping);
        const { W: wood, S: stone, I: iron } = result.state.gathered;
        const total = counted(task, task.goal);
        const progress = counted(task, result.state.gathered) / total;
        return { ...result, components: { wood, stone, iron, progress } };
      },
      observe: (task, state) =>
        state.members.map((member, agent) => {
          const mate = 1 - agent;
          const other = state.members[mate]!.at;
          const sees = reach(other, member.at) <= view;
          const last = state.reward === null ? "" : ` Last reward ${state.reward.toFixed(2)}.`;
          const facts = [
            `Turn ${state.turn} of ${turns}, ${AGENTS[agent]}.${last}`,
            `Gathered of goal: ${goalText(task, state)}.`,
            knownText(member, sees ? [other] : [], sees ? [AGENTS[mate]!] : []),
          ].join("\n");
          return gridObservation(
            state.turn,
            rulesText(agent, view, steps, turns),
            facts,
            options.prompt_style === "compact",
          );
        }),
    }),

    render(task, actions, title = "gathering", before = start(task, view)) {
      const read = actionTexts(AGENTS, actions).map((text) => readAction(text, VERBS, steps));
      const { state } = play(AGENTS, task, before, read, view, shaping);
      const places = state.members.map(({ at }) => at);
      return renderGrid(state.rows, places, COLOURS, [title, goalText(task, state)]);
    },
  };
}

function goalText({ goal }: GatheringTask, { gathered }: GatheringState): string {
  return (["W", "S", "I"] as const)
    .map((letter) => `${NAMES[letter]} ${gathered[letter]}/${goal[letter]}`).join(", ");
}

function rulesText(agent: number, view: number, steps: number, turns: number): string {
  const [own, others] = agent === 0
    ? ["wood (W)", "stone (S) and iron (I)"]
    : ["stone (S) and iron (I)", "wood (W)"];
  return [
    `You are ${AGENTS[agent]} of two agents that gather resources together in ${turns} turns. ` +
    `Your tool works on ${own}, your teammate's on ${others}.`,
    `Map letters: . ground, # rock, W wood, S stone, I iron, ? never seen. You see ${view} cells ` +
    "around you. Only ground can be walked on; an empty deposit turns into ground.",
    "Answer with lines, in this order of effect: one `/move NESW` walks over ground, at most " +
    `${steps} steps; at most 2 \`/gather x z\` take a unit each from a deposit within ${RANGE} ` +
    "cells of you; one `/say text` is read by your teammate next turn, and cells written as x,z " +
    "show it what you know of them. Or one JSON object with the fields comm, path and gather.",
  ].join("\n");
}
