/**
 * BridgeBuild as an environment: two agents on opposite banks join them by a bridge that touches
 * the true pillars and none of the false ones. Each sees its surroundings only, tests pillars with
 * probes, and tells the other what it found. Rules: docs/minecraft.md.
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
import { type BridgeState, play, start, VERBS, WEIGHTS } from "./play.ts";
import { type BridgeTask, drawBridgeMap, inlineBridgeTask } from "./task.ts";

const ID = "bridge_build";
const AGENTS = ["agent_1", "agent_2"];

const WIDTH = z.int().min(7).max(24);
const HEIGHT = z.int().min(5).max(16);
const fits = (width: number, height: number) =>
  WIDTH.safeParse(width).success && HEIGHT.safeParse(height).success;

const OPTIONS = z.object({
  /** Cells of generated maps along x. */
  width: WIDTH.default(11),
  /** Cells of generated maps along z. */
  height: HEIGHT.default(7),
  /** Turns of an episode; null: five times the longer side. */
  turns: z.int().min(1).max(120).nullable().default(null),
  /** How far an agent sees, probes and builds, in steps of a king. */
  view: z.int().min(1).max(16).default(3),
  /** Steps an agent walks in one turn at most. */
  steps: z.int().min(1).max(16).default(4),
  prompt_style: z.enum(["paper", "compact"]).default("paper"),
});

const COLOURS = {
  "#": "#7fae6b",
  ".": "#9cc7e8",
  S: "#d8b13c",
  T: "#c9772f",
  Y: "#3f7a4d",
  N: "#a33b3b",
  "=": "#8f959e",
};

/** Environment `bridge_build`; see its options above and their defaults. */
export function createBridgeBuild(
  input: Record<string, unknown> = {},
): PureEnvironment<BridgeTask, BridgeState> {
  const options = readGridOptions(ID, OPTIONS, input);
  const { width, height, view, steps } = options;
  const turns = options.turns ?? 5 * Math.max(width, height);
  const rules = rulesText(view, steps, turns);

  function item(split: string, index: number, size: [number, number] = [width, height]) {
    const { id, map } = gridItem(
      ID,
      size,
      split,
      index,
      (random) => drawBridgeMap(...size, random),
    );
    return { id, task: { map } };
  }

  return {
    id: ID,
    title: "BridgeBuild",
    description: "Two agents that see only their surroundings join two banks by a bridge over " +
      "true pillars, telling each other which pillars are false",
    agents: AGENTS,
    turns,
    rewardRange: [
      -WEIGHTS.pillars - WEIGHTS.touched - WEIGHTS.blocks,
      WEIGHTS.pillars + WEIGHTS.touched + WEIGHTS.blocks + WEIGHTS.joined,
    ],
    options,
    splits: () => [...GRID_SPLITS],
    item: (split, index) => item(split, index),
    task(input) {
      if (typeof input !== "string") return inlineBridgeTask(input);
      const found = readGridId(ID, input, fits);
      return item(found.split, found.index, [found.width, found.height]);
    },

    ...gridEpisodes<BridgeTask, BridgeState>({
      id: ID,
      agents: AGENTS,
      turns,
      verbs: VERBS,
      steps,
      start: (task) => start(task, view),
      play(_, state, actions) {
        const { metrics, ...result } = play(AGENTS, state, actions, view);
        const { joined, ...counts } = metrics;
        return { ...result, components: { ...counts, joined: Number(joined) } };
      },
      observe: (_, { turn, reward, joined, members }) =>
        members.map((member, agent) => {
          const mates = AGENTS.map((_, i) => i).filter((i) =>
            i !== agent && reach(members[i]!.at, member.at) <= view
          );
          const facts = [
            `Turn ${turn} of ${turns}, ${AGENTS[agent]}.` +
            (reward === null ? "" : ` Last reward ${reward.toFixed(2)}.`) +
            (joined ? " The banks are joined." : ""),
            knownText(member, mates.map((i) => members[i]!.at), mates.map((i) => AGENTS[i]!)),
          ].join("\n");
          return gridObservation(turn, rules, facts, options.prompt_style === "compact");
        }),
    }),

    render(task, actions, title = "bridge", before = start(task, view)) {
      const read = actionTexts(AGENTS, actions).map((text) => readAction(text, VERBS, steps));
      const { state, metrics } = play(AGENTS, before, read, view);
      return renderGrid(state.rows, state.members.map(({ at }) => at), COLOURS, [
        title,
        `${metrics.blocks} blocks, ${metrics.connected} true and ${metrics.touched} false pillars`,
      ]);
    },
  };
}

function rulesText(view: number, steps: number, turns: number): string {
  return [
    "You are one of two agents that build a bridge over water together, each from its own bank. " +
    `You have ${turns} turns; the bridge stays from turn to turn.`,
    "Map letters: # land, S and T the ends to be joined, . water, = bridge, P a pillar, Y a true " +
    `pillar, N a false one, ? never seen. You see ${view} cells around you.`,
    "Reward: joining S and T 10; bridge blocks beside true pillars (reached from S) up to 5; " +
    "blocks beside false pillars down to -8; every block costs a little.",
    "Answer with lines, in this order of effect: at most 2 `/probe x z` tell whether a pillar in " +
    "sight is true; at most 8 `/fill x1 z1 x2 z2 stone` (or `air` to take away) fill water in " +
    `sight; one \`/move NESW\` walks over land and bridge, at most ${steps} steps; one ` +
    "`/say text` is read by your teammate next turn, and cells written as x,z show it what you " +
    "know of them. Or one JSON object with the fields comm, probe, cmds and path.",
  ].join("\n");
}
