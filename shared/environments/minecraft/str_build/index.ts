/**
 * StrBuild as an environment: one or two agents build a word of block letters, a few turns, each
 * from a world of air, with feedback between turns (arXiv 2601.21972, game-playing domain).
 */
import { z } from "../../../../deps.ts";
import { CollmError } from "../../../errors.ts";
import { actionTexts } from "../../actions.ts";
import type { PureEnvironment } from "../../environment.ts";
import { readFields } from "../../options.ts";
import { buildingEpisodes, type BuildState, chat } from "../building.ts";
import { exportWorld } from "../export/index.ts";
import { maxCommands } from "../limits.ts";
import { blindBound } from "./blind.ts";
import { build, buildComponents } from "./build.ts";
import { compactPrompt } from "./compact.ts";
import { FEEDBACK_MODES } from "./feedback.ts";
import { followUpPrompt, type PromptSetting, SYSTEM_MESSAGE, taskPrompt } from "./prompts.ts";
import { renderBuild } from "./render.ts";
import { scoreRange } from "./reward.ts";
import { findItem, itemWord, publishedWord, splitInfos } from "./splits.ts";
import { inlineTask, type StrBuildTask } from "./task.ts";

export type { StrBuildTask } from "./task.ts";

const OPTIONS = z.object({
  /** Turns of an episode. */
  turns: z.int().min(1).max(16).default(4),
  /** 2 play as agent_1 and agent_2; 1 plays alone with agent_1's blocks. */
  agents: z.union([z.literal(1), z.literal(2)], "it must be 1 or 2").default(2),
  prompt_style: z.enum(["paper", "compact"]).default("paper"),
  /** What agents are told from turn 2 on. */
  feedback: z.enum(FEEDBACK_MODES).default("position_feedback"),
  /** Commands of the whole team in one turn; an odd one goes to agent_1. */
  max_commands: maxCommands.default(300),
  /** Paper style: show the grid on turn 1. The published runs did not. */
  provide_graph: z.boolean().default(true),
  /**
   * reference: without the grid, turn 1 is scored against the last published word of the same
   * prompt, and follow-ups come without chat template.
   */
  compat: z.enum(["fixed", "reference"]).default("fixed"),
});

export type StrBuildOptions = z.output<typeof OPTIONS>;

/** Environment `str_build`; see `StrBuildOptions` for its options and their defaults. */
export function createStrBuild(
  input: Record<string, unknown> = {},
): PureEnvironment<StrBuildTask, BuildState> {
  const options = readOptions(input);
  const agents = Array.from({ length: options.agents }, (_, i) => `agent_${i + 1}`);
  const reference = options.compat === "reference";
  const setting: PromptSetting = {
    agents: options.agents,
    turns: options.turns,
    provideGraph: options.provide_graph,
    feedback: options.feedback,
  };

  const collides = (turn: number) => reference && !options.provide_graph && turn === 1;

  function item({ id, word }: { id: string; word: string }) {
    return { id, task: { word, max_commands: options.max_commands } };
  }

  return {
    id: "str_build",
    title: "StrBuild",
    description: "A team builds a word of 5 by 5 block letters with /setblock commands; blocks " +
      "that touch must differ in texture and every agent must use all of its own blocks",
    agents,
    turns: options.turns,
    rewardRange: scoreRange(options.agents),
    options,
    splits: splitInfos,
    item: (split, index) => item(itemWord(split, index)),
    task: (input) =>
      typeof input === "string" ? item(findItem(input)) : inlineTask(input, options.max_commands),

    ...buildingEpisodes({
      id: "str_build",
      agents,
      turns: options.turns,
      build: (task: StrBuildTask, texts, turn) =>
        build(collides(turn) ? { ...task, word: publishedWord(task.word) } : task, texts),
      reward: ({ metrics }) => metrics.score_total,
      parsed: ({ parsed }) => parsed,
      components: buildComponents,
      observe: (task, turn, previous) =>
        agents.map((_, agent) => {
          if (options.prompt_style === "compact") {
            const text = compactPrompt(task, agent, turn, previous?.reward ?? null);
            return { turn, text, messages: null };
          }
          const user = previous
            ? followUpPrompt(task, agent, setting, turn, previous)
            : taskPrompt(task, agent, setting);
          return chat(turn, SYSTEM_MESSAGE, user, !previous || !reference);
        }),
    }),

    render: (task, actions, title) => renderBuild(build(task, actionTexts(agents, actions)), title),

    exportAs: (task, actions, format) =>
      exportWorld(build(task, actionTexts(agents, actions)).world, format, task.word),

    probes: {
      blindBound: (tasks) => blindBound(tasks.map(({ word }) => word)),
      comparable: (a, b) => a.word.length === b.word.length,
    },
  };
}

function readOptions(input: Record<string, unknown>): StrBuildOptions {
  const what = "Cannot create environment 'str_build'";
  const options = readFields(OPTIONS, input, what, "option");
  if (options.prompt_style === "compact") {
    const paperOnly = options.feedback !== "position_feedback"
      ? `feedback '${options.feedback}'`
      : options.provide_graph
      ? undefined
      : "provide_graph false";
    if (paperOnly) {
      throw new CollmError(
        "invalid_request",
        `${what}: ${paperOnly} needs prompt_style 'paper', but it is 'compact'`,
      );
    }
  }
  return options;
}
