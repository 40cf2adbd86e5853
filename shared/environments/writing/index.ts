/**
 * The writing domain as two environments of one turn (arXiv 2601.21972): `tldr`, a concise and a
 * detailed summary of a post; `arxiv`, two complementary parts of an introduction from an abstract.
 * Two agents write a text each, or one agent writes both.
 */
import { z } from "../../../deps.ts";
import { CollmError } from "../../errors.ts";
import { actionTexts, forAll, perAgent } from "../actions.ts";
import { BUILTIN } from "../data/data_set.ts";
import { partOf } from "../data/splits.ts";
import type { PerAgent, PureEnvironment, SplitInfo, TaskItem } from "../environment.ts";
import { readFields } from "../options.ts";
import { splitParagraphs } from "./paragraphs.ts";
import { PROMPT_STYLES, promptsOf } from "./prompts.ts";
import { measure, type Measured, scoreWriting } from "./reward.ts";
import { MOST, type WritingId } from "./rules.ts";
import { type ArxivTask, inlineTask, taskOf, textOf, type TldrTask } from "./task.ts";
import type { WritingTask } from "./task.ts";
import { textsOf } from "./texts.ts";

export type { ArxivTask, TldrTask } from "./task.ts";

const part = z.string().min(1).max(100).nullable().default(null);

const OPTIONS = z.object({
  /** 2 write a text each; 1 writes both, as two paragraphs. */
  agents: z.union([z.literal(1), z.literal(2)], "it must be 1 or 2").default(2),
  prompt_style: z.enum(PROMPT_STYLES).default("paper"),
  /** Name of a data set that this process was started with; `builtin`: the shipped texts. */
  data: z.string().min(1).max(1000).default(BUILTIN),
  /** Part of the data that `train` stands for, such as `train[:1000]`; null: all of its own. */
  train_split: part,
  /** The same for `eval`. */
  eval_split: part,
  /** reference: metrics as the published evaluation logs them, prompts for tasks without text. */
  compat: z.enum(["fixed", "reference"]).default("fixed"),
});

export type WritingOptions = z.output<typeof OPTIONS>;

export interface WritingState {
  /** 1-based turn to be played; 2 after the only one. */
  turn: number;
}

const TEXT = {
  tldr: {
    title: "TLDR",
    description: "Two agents summarize a post, one in short and one in detail; the reward looks " +
      "at their lengths, vocabularies and transition words, not at the post",
  },
  arxiv: {
    title: "arXiv",
    description: "Two agents expand an abstract to an introduction, one with background and " +
      "motivation and one with methodology and implications; the reward looks at their lengths, " +
      "vocabularies and transition words, not at the abstract",
  },
} as const;

/** Environment `tldr`; see `WritingOptions` for its options and their defaults. */
export function createTldr(
  options: Record<string, unknown> = {},
): PureEnvironment<TldrTask, WritingState> {
  return createWriting("tldr", options) as PureEnvironment<TldrTask, WritingState>;
}

/** Environment `arxiv`; see `WritingOptions` for its options and their defaults. */
export function createArxiv(
  options: Record<string, unknown> = {},
): PureEnvironment<ArxivTask, WritingState> {
  return createWriting("arxiv", options) as PureEnvironment<ArxivTask, WritingState>;
}

function createWriting(
  id: WritingId,
  input: Record<string, unknown>,
): PureEnvironment<WritingTask, WritingState> {
  const options = readFields(OPTIONS, input, `Cannot create environment '${id}'`, "option");
  const reference = options.compat === "reference";
  const agents = Array.from({ length: options.agents }, (_, i) => `agent_${i + 1}`);

  function take(actions: PerAgent<string>) {
    const texts = actionTexts(agents, actions);
    const measured = (options.agents === 1 ? splitParagraphs(texts[0]!) : texts).map(measure);
    const { reward, metrics } = scoreWriting(id, measured[0]!, measured[1]!, reference);
    return { measured, rewards: forAll(agents, reward), components: { ...metrics } };
  }

  function splits(): Record<string, readonly string[]> {
    const own = textsOf(id, options.data);
    const what = `data set '${options.data}'`;
    return {
      ...own,
      ...options.train_split !== null && { train: partOf(own, options.train_split, what) },
      ...options.eval_split !== null && { eval: partOf(own, options.eval_split, what) },
    };
  }

  function item(split: string, index: number): TaskItem<WritingTask> {
    const texts = partOf(splits(), split, `'${id}'`);
    if (Number.isSafeInteger(index) && index >= 0 && index < texts.length) {
      const number = String(index).padStart(6, "0");
      return { id: `${id}_${split}_${number}`, task: taskOf(id, texts[index]!) };
    }
    throw new CollmError(
      "not_found",
      `Cannot find item ${index} of split '${split}' of '${id}': it has ${texts.length} items`,
    );
  }

  function find(name: string): TaskItem<WritingTask> {
    const match = name.length <= 200 ? /^([a-z]+)_(.+)_([0-9]{6,12})$/.exec(name) : null;
    const found = match?.[1] === id ? item(match[2]!, Number(match[3])) : undefined;
    if (found?.id === name) return found;
    throw new CollmError(
      "not_found",
      `Cannot find item '${name.slice(0, 60)}': ids of '${id}' look like ${id}_train_000012`,
    );
  }

  return {
    id,
    ...TEXT[id],
    agents,
    turns: 1,
    rewardRange: [0, MOST],
    options,
    splits: () =>
      Object.entries(splits()).map(([name, texts]) => splitInfo(options.data, name, texts)),
    item,
    task: (input) => typeof input === "string" ? find(input) : inlineTask(id, input, reference),

    reset(task) {
      const prompts = promptsOf(id, textOf(task), options.agents, options.prompt_style);
      return {
        state: { turn: 1 },
        observations: perAgent(
          agents,
          prompts.map((text) => ({ turn: 1, text, messages: null })),
        ),
        infos: perAgent(agents, agents.map(() => ({}))),
      };
    },

    step(_task, state, actions) {
      if (state.turn !== 1) {
        throw new CollmError("conflict", `Cannot step ${id}: the episode ended after turn 1`);
      }
      const { measured, rewards, components } = take(actions);
      return {
        state: { turn: 2 },
        observations: {},
        rewards,
        terminations: forAll(agents, true),
        truncations: forAll(agents, false),
        infos: perAgent(agents, ownInfos(options.agents, measured)),
        components,
      };
    },

    score(_task, actions) {
      const { rewards, components } = take(actions);
      return { rewards, components };
    },
  };
}

/** What each agent may know of how its own text was measured. */
function ownInfos(agents: 1 | 2, measured: readonly Measured[]): Record<string, unknown>[] {
  const infos = measured.map(({ tokens, characters }) => ({ tokens, characters }));
  return agents === 2 ? infos : [{ paragraphs: infos }];
}

function splitInfo(data: string, name: string, texts: readonly string[]): SplitInfo {
  const source = data === BUILTIN ? "Shipped texts" : `Texts of data set '${data}'`;
  return { name, size: texts.length, description: `${source}, split ${name}` };
}
