/**
 * Episodes of building tasks: every turn starts from a world of air, all texts become commands,
 * the result is scored and told. StrBuild and HouseBuild differ only in the rules given here.
 * Leaves out early stopping: a perfect score does not end an episode, the trainer may.
 */
import { CollmError } from "../../errors.ts";
import { actionTexts, forAll, perAgent } from "../actions.ts";
import type { Observation, PerAgent, PureEnvironment } from "../environment.ts";
import { commandText, type ParsedCommands } from "./parse.ts";

export interface BuildState {
  /** 1-based turn to be played; `turns` + 1 after the last. */
  turn: number;
  /** Reward of the previous turn. */
  reward: number | null;
  /** Accepted commands of the previous turn; each agent is shown its own only. */
  commands: PerAgent<string[]>;
}

/** What was built on the turn before, as observations may tell of it. */
export interface Previous<Built> {
  reward: number;
  built: Built;
  /** Accepted commands per agent in canonical spelling. */
  commands: readonly (readonly string[])[];
}

export interface BuildRules<Task, Built> {
  id: string;
  agents: readonly string[];
  turns: number;
  /** Builds and scores one text per agent on a 1-based turn. */
  build(task: Task, texts: readonly string[], turn: number): Built;
  reward(built: Built): number;
  parsed(built: Built): readonly ParsedCommands[];
  components(built: Built): Record<string, number>;
  /** One observation per agent. */
  observe(task: Task, turn: number, previous: Previous<Built> | null): Observation[];
}

/** Reset, step and score of a building task. */
export function buildingEpisodes<Task, Built>(
  rules: BuildRules<Task, Built>,
): Pick<PureEnvironment<Task, BuildState>, "reset" | "step" | "score"> {
  const { id, agents, turns } = rules;
  return {
    reset(task) {
      return {
        state: { turn: 1, reward: null, commands: {} },
        observations: perAgent(agents, rules.observe(task, 1, null)),
        infos: perAgent(agents, agents.map(() => ({}))),
      };
    },

    step(task, state, actions) {
      if (state.turn > turns) {
        throw new CollmError(
          "conflict",
          `Cannot step ${id}: the episode ended after turn ${turns}`,
        );
      }
      const built = rules.build(task, actionTexts(agents, actions), state.turn);
      const reward = rules.reward(built);
      const parsed = rules.parsed(built);
      const commands = parsed.map(({ accepted }) => accepted.map(commandText));
      const turn = state.turn + 1;
      const ended = turn > turns;
      return {
        state: { turn, reward, commands: perAgent(agents, commands) },
        observations: ended
          ? {}
          : perAgent(agents, rules.observe(task, turn, { reward, built, commands })),
        rewards: forAll(agents, reward),
        terminations: forAll(agents, ended),
        truncations: forAll(agents, false),
        infos: perAgent(agents, parsed.map(parseInfo)),
        components: rules.components(built),
      };
    },

    score(task, actions) {
      // A later turn than the first: scores the task itself under every option.
      const built = rules.build(task, actionTexts(agents, actions), turns + 1);
      return {
        rewards: forAll(agents, rules.reward(built)),
        components: rules.components(built),
      };
    },
  };
}

/** Accepted and rejected lines of the whole team. */
export function lineCounts(
  parsed: readonly ParsedCommands[],
): [accepted: number, rejected: number] {
  let accepted = 0, rejected = 0;
  for (const one of parsed) {
    accepted += one.accepted.length;
    rejected += one.rejectedCount;
  }
  return [accepted, rejected];
}

/** An observation from a system and a user message; without `template` the text stands alone. */
export function chat(turn: number, system: string, user: string, template = true): Observation {
  return {
    turn,
    text: `${system}\n\n${user}`,
    messages: template
      ? [{ role: "system", content: system }, { role: "user", content: user }]
      : null,
  };
}

/** What an agent may know of how its own text was read. */
function parseInfo({ accepted, rejected, rejectedCount }: ParsedCommands) {
  return {
    accepted_lines: accepted.length,
    rejected_lines: rejectedCount,
    /** The first of them. */
    rejected: rejected.slice(0, 20),
  };
}
