/**
 * The coding domain as environments (arXiv 2601.21972): one agent writes a helper function, the
 * other the main function that may call it; tests decide. `humaneval`, `coophumaneval` and `mbpp`
 * differ in their data sets alone. Programs run in the sandbox, so steps take their time.
 * Leaves out early stopping: a perfect program does not end an episode, the trainer may.
 */
import { z } from "../../../deps.ts";
import { CollmError } from "../../errors.ts";
import { actionTexts, forAll, perAgent } from "../actions.ts";
import { BUILTIN } from "../data/data_set.ts";
import type { Environment, Observation, PerAgent, ResetResult } from "../environment.ts";
import { readFields } from "../options.ts";
import { allowedExpert, type Expert, expertEdits, refuseOtherExpert } from "./expert.ts";
import { FEEDBACK_MODES, followUp, type Round } from "./feedback.ts";
import { compactPrompt, expandCompact, firstPrompts, PROMPT_STYLES } from "./prompts.ts";
import { judge, notes, RANGE, type Report, rewardOf } from "./reward.ts";
import { openSandbox, type Sandbox } from "./sandbox/index.ts";
import { alike } from "./small_set.ts";
import { type CodingTask, inlineTask } from "./task.ts";
import { findItem, itemOf, splitInfos, tasksOf } from "./tasks.ts";

export type { CodingTask } from "./task.ts";

const part = z.string().min(1).max(100).nullable().default(null);

const OPTIONS = z.object({
  /** Turns of an episode. */
  turns: z.int().min(1).max(16).default(2),
  /** 2 write helper and main function; 1 writes the main function alone. */
  agents: z.union([z.literal(1), z.literal(2)], "it must be 1 or 2").default(2),
  /** compact: a short prompt, answered by one expression per agent; for small policies. */
  prompt_style: z.enum(PROMPT_STYLES).default("paper"),
  /** What agents are told from turn 2 on. */
  feedback: z.enum(FEEDBACK_MODES).default("level_feedback"),
  /** Tests that feedback may show: the first so many, all (0, null, "all"), the last (negative). */
  sandbox_slice: z.union(
    [z.int(), z.literal("all"), z.null()],
    "it must be a whole number, all or null",
  ).default(1),
  /** Seconds for loading a program and for each of its tests. */
  time_limit_s: z.number().min(0.1).max(60).default(10),
  /** Name of a data set that this process was started with; `builtin`: small tasks of our own. */
  data: z.string().min(1).max(1000).default(BUILTIN),
  /** Part of the data that `train` stands for, such as `all[33:163]`; null: the set's own. */
  train_split: part,
  /** The same for `eval`. */
  eval_split: part,
  /** expert_edits: model that proposes edits, at the operator's endpoint. */
  expert_model: z.string().min(1).max(200).default("deepseek-coder"),
  /** expert_edits: repeats the operator's endpoint (COLLM_EXPERT_URL); null: just that. */
  expert_url: z.string().max(1000).nullable().default(null),
  /** reference: everything as published, defects included. */
  compat: z.enum(["fixed", "reference"]).default("fixed"),
});

export type CodingOptions = z.output<typeof OPTIONS>;

export interface CodingState {
  /** 1-based turn to be played; `turns` + 1 after the last. */
  turn: number;
}

/** What an environment works with, where it is not the process's own. */
export interface CodingTools {
  sandbox?: Sandbox;
  expert?: Expert;
}

const TITLES = { humaneval: "HumanEval", coophumaneval: "CoopHumanEval", mbpp: "MBPP" } as const;
export type CodingId = keyof typeof TITLES;

/** The sandbox of this process, opened when the first program runs. */
let own: Sandbox | undefined;

/** Ends the processes of the sandbox that environments share, if there are any. */
export async function closeCodingSandbox(): Promise<void> {
  const open = own;
  own = undefined;
  await open?.close();
}

/** Prompts are made at once; only programs take their time. */
export interface CodingEnvironment extends Environment<CodingTask, CodingState> {
  reset(task: CodingTask, seed: number): ResetResult<CodingState>;
}

/** Environment of one coding data set; see `CodingOptions` for the options and their defaults. */
export function createCoding(
  id: CodingId,
  input: Record<string, unknown> = {},
  tools: CodingTools = {},
): CodingEnvironment {
  const options = readOptions(id, input);
  const agents = Array.from({ length: options.agents }, (_, i) => `agent_${i + 1}`);
  const reference = options.compat === "reference";
  const expert = options.feedback === "expert_edits"
    ? tools.expert ?? allowedExpert(options.expert_url, options.expert_model)
    : undefined;
  const sandbox = () => tools.sandbox ?? (own ??= openSandbox());
  const tasks = () => tasksOf(options);

  /** Extracted functions are judged; a single agent's text is the main function. */
  async function take(task: CodingTask, texts: readonly string[]): Promise<Report> {
    const code = options.prompt_style === "compact" ? expandCompact(task, texts) : texts;
    const completions = { aux: options.agents === 1 ? "" : code[0]!, main: code.at(-1)! };
    return await judge(sandbox(), task, completions, {
      reference,
      time_limit_s: options.time_limit_s,
    });
  }

  async function observe(
    task: CodingTask,
    turn: number,
    report: Report,
    texts: readonly string[],
  ): Promise<PerAgent<Observation>> {
    if (options.prompt_style === "compact") {
      return perAgent(
        agents,
        agents.map((_, agent) => plain(turn, compactPrompt(task, agent, turn, report.reward))),
      );
    }
    const { feedback: mode, sandbox_slice: slice } = options;
    const round: Round = {
      ...{ mode, turn, task, report, slice, agents: options.agents },
      notes: mode.startsWith("level") && report.main !== ""
        ? await notes(sandbox(), report.main, reference)
        : [],
      edits: expert ? await expertEdits(expert, task, report) : null,
    };
    const prompts = firstPrompts(task, options.agents, options.prompt_style, reference);
    return perAgent(
      agents,
      texts.map((text, agent) => {
        const role = options.agents === 2 && agent === 0 ? "aux" : "main";
        return plain(turn, followUp(round, role, prompts[agent]!, text));
      }),
    );
  }

  return {
    id,
    title: TITLES[id],
    description: `Tasks of ${TITLES[id]}: one agent writes a helper function, the other the main ` +
      "function that may call it; tests, syntax and use of the helper are rewarded",
    agents,
    turns: options.turns,
    rewardRange: RANGE[options.agents],
    options,
    splits: () => splitInfos(options.data, tasks()),
    item: (split, index) => itemOf(id, tasks(), split, index),
    task: (input) =>
      typeof input === "string" ? findItem(id, tasks(), input) : inlineTask(id, input, reference),

    reset(task) {
      const prompts = firstPrompts(task, options.agents, options.prompt_style, reference);
      return {
        state: { turn: 1 },
        observations: perAgent(agents, prompts.map((text) => plain(1, text))),
        infos: perAgent(agents, agents.map(() => ({}))),
      };
    },

    async step(task, state, actions) {
      if (state.turn > options.turns) {
        throw new CollmError(
          "conflict",
          `Cannot step ${id}: the episode ended after turn ${options.turns}`,
        );
      }
      const texts = actionTexts(agents, actions);
      const report = await take(task, texts);
      const turn = state.turn + 1;
      const ended = turn > options.turns;
      return {
        state: { turn },
        observations: ended ? {} : await observe(task, turn, report, texts),
        rewards: forAll(agents, report.reward),
        terminations: forAll(agents, ended),
        truncations: forAll(agents, false),
        infos: forAll(agents, { problem: report.problem }),
        components: componentsOf(report),
      };
    },

    async score(task, actions) {
      const report = await take(task, actionTexts(agents, actions));
      return { rewards: forAll(agents, report.reward), components: componentsOf(report) };
    },

    ...options.data === BUILTIN && { probes: { comparable: alike } },
  };
}

function readOptions(id: CodingId, input: Record<string, unknown>): CodingOptions {
  const what = `Cannot create environment '${id}'`;
  const options = readFields(OPTIONS, input, what, "option");
  // Also where nobody is asked: an address that is taken in silence would seem to be used.
  refuseOtherExpert(options.expert_url);
  if (options.prompt_style === "compact" && options.feedback !== "level_feedback") {
    throw new CollmError(
      "invalid_request",
      `${what}: feedback '${options.feedback}' needs prompt_style 'paper', but it is 'compact'`,
    );
  }
  return options;
}

const plain = (turn: number, text: string): Observation => ({ turn, text, messages: null });

/** Parts of the reward and what they rest on, as numbers. */
function componentsOf(report: Report): Record<string, number> {
  const { total, ...parts } = rewardOf(report);
  const { passed, timeouts, tests } = report;
  return {
    ...parts,
    tests_total: tests.length,
    tests_passed: passed,
    pass_rate: tests.length === 0 ? 0 : passed / tests.length,
    timeouts,
    uses_aux: Number(report.uses_aux),
    wrapper: Number(report.wrapper),
    score_total: total,
  };
}
