/**
 * HouseBuild as an environment: one or two agents build a house of five blocks with `/fill`, under
 * limited resources and attacked by spiders, a few turns, each from a world of air, with feedback
 * between turns (arXiv 2601.21972, game-playing domain).
 */
import { z } from "../../../../deps.ts";
import { CollmError } from "../../../errors.ts";
import { actionTexts } from "../../actions.ts";
import type { PureEnvironment, TaskItem } from "../../environment.ts";
import { readFields } from "../../options.ts";
import { buildingEpisodes, type BuildState, chat } from "../building.ts";
import { exportWorld } from "../export/index.ts";
import { blindBound, boxKey } from "./blind.ts";
import { build, buildComponents } from "./build.ts";
import { compactPrompt } from "./compact.ts";
import { FEEDBACK_MODES } from "./feedback.ts";
import { SIDES } from "./generator.ts";
import { inlineTask, RULES } from "./inline.ts";
import { followUpPrompt, type PromptSetting, SYSTEM_MESSAGE, taskPrompt } from "./prompts.ts";
import { renderBuild } from "./render.ts";
import { findHouse, type HouseLayers, itemHouse, splitInfos } from "./splits.ts";
import type { HouseTask } from "./task.ts";

export type { HouseTask } from "./task.ts";

const [width, height, depth] = SIDES.least.map((least) => z.int().min(least).max(SIDES.greatest));

const OPTIONS = z.object({
  /** Turns of an episode. */
  turns: z.int().min(1).max(16).default(4),
  /** 2 play as agent_1 and agent_2; 1 plays alone and pays no penalty. */
  agents: z.union([z.literal(1), z.literal(2)], "it must be 1 or 2").default(2),
  prompt_style: z.enum(["paper", "compact"]).default("paper"),
  /** What agents are told from turn 2 on. */
  feedback: z.enum(FEEDBACK_MODES).default("score_feedback"),
  /** Most cells or rectangles that position_modification and rect_modification list. */
  feedback_limit: z.int().min(1).max(1000).default(20),
  /** Commands of the whole team in one turn; an odd one goes to agent_1. */
  max_commands: RULES.max_commands.default(600),
  /** Each agent may spend its share of every block and half as much again. */
  limited_resource: RULES.limited_resource.default(true),
  player_hp: RULES.player_hp.default(5),
  /** Damage of every spider: what the published draw (three of 1 to 3, seed 42) gave. */
  spider_attacks: RULES.spider_attacks.default([3, 1, 1]),
  /** Sizes of generated houses, cells along x, y and z. */
  sizes: z.array(z.tuple([width!, height!, depth!])).min(1).max(64).default([[6, 7, 7]]),
  /** reference: follow-ups without chat template, published choice of rectangles. */
  compat: z.enum(["fixed", "reference"]).default("fixed"),
});

export type HouseBuildOptions = z.output<typeof OPTIONS>;

/** Environment `house_build`; see `HouseBuildOptions` for its options and their defaults. */
export function createHouseBuild(
  input: Record<string, unknown> = {},
): PureEnvironment<HouseTask, BuildState> {
  const options = readOptions(input);
  const { turns, max_commands, limited_resource, player_hp, spider_attacks, sizes } = options;
  const agents = Array.from({ length: options.agents }, (_, i) => `agent_${i + 1}`);
  const reference = options.compat === "reference";
  const setting: PromptSetting = {
    agents: agents.length,
    turns,
    feedback: options.feedback,
    limit: options.feedback_limit,
    reference,
  };
  const rules = { max_commands, limited_resource, player_hp, spider_attacks };

  function item({ id, house }: { id: string; house: HouseLayers }): TaskItem<HouseTask> {
    return { id, task: { ...house, ...rules, spider_attacks: [...spider_attacks] } };
  }

  const find = (id: string) => item(findHouse(id));

  return {
    id: "house_build",
    title: "HouseBuild",
    description: "A team builds a house of five blocks with /fill commands, each agent with " +
      "limited resources, and has to think of killing the spiders with /kill",
    agents,
    turns,
    rewardRange: [agents.length === 1 ? 0 : -0.1, 1],
    options,
    splits: () => splitInfos(sizes),
    item: (split, index) => item(itemHouse(split, index, sizes)),
    task: (input) => typeof input === "string" ? find(input) : inlineTask(input, rules, find),

    ...buildingEpisodes({
      id: "house_build",
      agents,
      turns,
      build,
      reward: ({ metrics }) => metrics.reward,
      parsed: ({ parsed }) => parsed,
      components: buildComponents,
      observe: (task, turn, previous) =>
        agents.map((_, agent) => {
          if (options.prompt_style === "compact") {
            const text = compactPrompt(task, agent, agents.length, turn, previous?.reward ?? null);
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
      exportWorld(build(task, actionTexts(agents, actions)).world, format, "house"),

    probes: { blindBound, comparable: (a, b) => boxKey(a) === boxKey(b) },
  };
}

function readOptions(input: Record<string, unknown>): HouseBuildOptions {
  const what = "Cannot create environment 'house_build'";
  const options = readFields(OPTIONS, input, what, "option");
  const { feedback, prompt_style, limited_resource } = options;
  const needs = prompt_style === "compact" && feedback !== "score_feedback"
    ? "prompt_style 'paper', but it is 'compact'"
    : feedback === "resource_schedule" && !limited_resource
    ? "limited_resource true, but it is false"
    : undefined;
  if (!needs) return options;
  throw new CollmError("invalid_request", `${what}: feedback '${feedback}' needs ${needs}`);
}
