/**
 * StrBuild as an environment: one or two agents build a word of block letters, a few turns, each
 * from a world of air, with feedback between turns (arXiv 2601.21972, game-playing domain).
 * Leaves out early stopping: a perfect score does not end an episode, the trainer may.
 */
import { z } from "../../../../deps.ts";
import { CollmError } from "../../../errors.ts";
import { actionTexts, forAll, perAgent } from "../../actions.ts";
import type { Observation, PerAgent, PureEnvironment, StepResult } from "../../environment.ts";
import { readFields } from "../../options.ts";
import { maxCommands } from "../limits.ts";
import { blindBound } from "./blind.ts";
import { acceptedTexts, type Build, build, buildComponents, parseInfo } from "./build.ts";
import { compactPrompt } from "./compact.ts";
import { FEEDBACK_MODES } from "./feedback.ts";
import { followUpPrompt, type PromptSetting, SYSTEM_MESSAGE, taskPrompt } from "./prompts.ts";
import { renderBuild } from "./render.ts";
import { scoreRange } from "./reward.ts";
import { findItem, itemWord, splitInfos } from "./splits.ts";
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
});

export type StrBuildOptions = z.output<typeof OPTIONS>;

export interface StrBuildState {
  /** 1-based turn to be played; `turns` + 1 after the last. */
  turn: number;
  /** Reward of the previous turn. */
  reward: number | null;
  /** Accepted commands of the previous turn; each agent is shown its own only. */
  commands: PerAgent<string[]>;
}

/** Environment `str_build`; see `StrBuildOptions` for its options and their defaults. */
export function createStrBuild(
  input: Record<string, unknown> = {},
): PureEnvironment<StrBuildTask, StrBuildState> {
  const options = readOptions(input);
  const agents = Array.from({ length: options.agents }, (_, i) => `agent_${i + 1}`);
  const setting: PromptSetting = {
    agents: options.agents,
    turns: options.turns,
    provideGraph: options.provide_graph,
    feedback: options.feedback,
  };

  function observe(task: StrBuildTask, state: StrBuildState): PerAgent<Observation> {
    const { turn, reward } = state;
    if (options.prompt_style === "compact") {
      return perAgent(
        agents,
        agents.map((_, agent) => {
          return { turn, text: compactPrompt(task, agent, turn, reward), messages: null };
        }),
      );
    }
    const texts = agents.map((name) => (state.commands[name] ?? []).join("\n"));
    const world = reward === null ? undefined : build(task, texts).world;
    return perAgent(
      agents,
      agents.map((name, agent) => {
        const user = reward === null || !world
          ? taskPrompt(task, agent, setting)
          : followUpPrompt(task, agent, setting, {
            turn,
            reward,
            world,
            commands: state.commands[name] ?? [],
          });
        return chat(turn, user);
      }),
    );
  }

  function take(task: StrBuildTask, actions: PerAgent<string>): Build {
    return build(task, actionTexts(agents, actions));
  }

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

    reset(task) {
      const state: StrBuildState = { turn: 1, reward: null, commands: {} };
      const infos = perAgent(agents, agents.map(() => ({})));
      return { state, observations: observe(task, state), infos };
    },

    step(task, state, actions): StepResult<StrBuildState> {
      if (state.turn > options.turns) {
        throw new CollmError(
          "conflict",
          `Cannot step str_build: the episode ended after turn ${options.turns}`,
        );
      }
      const built = take(task, actions);
      const reward = built.metrics.score_total;
      const next: StrBuildState = {
        turn: state.turn + 1,
        reward,
        commands: perAgent(agents, acceptedTexts(built)),
      };
      const ended = next.turn > options.turns;
      return {
        state: next,
        observations: ended ? {} : observe(task, next),
        rewards: forAll(agents, reward),
        terminations: forAll(agents, ended),
        truncations: forAll(agents, false),
        infos: perAgent(agents, built.parsed.map(parseInfo)),
        components: buildComponents(built),
      };
    },

    score(task, actions) {
      const built = take(task, actions);
      return {
        rewards: forAll(agents, built.metrics.score_total),
        components: buildComponents(built),
      };
    },

    render: (task, actions, title) => renderBuild(take(task, actions), title),

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

function chat(turn: number, user: string): Observation {
  return {
    turn,
    text: `${SYSTEM_MESSAGE}\n\n${user}`,
    messages: [{ role: "system", content: SYSTEM_MESSAGE }, { role: "user", content: user }],
  };
}
