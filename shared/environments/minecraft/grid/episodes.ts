/**
 * Episodes of the long tasks: the map, what is known and what was said stay from turn to turn; an
 * episode ends when its aim is reached or its turns are used up. Leaves out the tasks' rules.
 */
import { CollmError } from "../../../errors.ts";
import { actionTexts, forAll, perAgent } from "../../actions.ts";
import type { Observation, PureEnvironment } from "../../environment.ts";
import { actionInfo, type GridAction, readAction, type Verbs } from "./actions.ts";

export interface GridRules<Task, State extends { turn: number }> {
  id: string;
  agents: readonly string[];
  turns: number;
  verbs: Verbs;
  /** Letters that a path may have. */
  steps: number;
  start(task: Task): State;
  play(task: Task, state: State, actions: readonly GridAction[]): {
    state: State;
    reward: number;
    components: Record<string, number>;
    /** The aim is reached. */
    done: boolean;
  };
  /** One observation per agent. */
  observe(task: Task, state: State): Observation[];
}

/** Reset, step and score of a long task; score plays one turn from the start. */
export function gridEpisodes<Task, State extends { turn: number }>(
  rules: GridRules<Task, State>,
): Pick<PureEnvironment<Task, State>, "reset" | "step" | "score"> {
  const { id, agents, turns, verbs, steps } = rules;

  function played(task: Task, state: State, texts: readonly string[]) {
    const actions = texts.map((text) => readAction(text, verbs, steps));
    const result = rules.play(task, state, actions);
    const accepted = actions.reduce((sum, action) => sum + action.accepted, 0);
    const rejected = actions.reduce((sum, action) => sum + action.rejectedCount, 0);
    return { ...result, actions, components: { ...result.components, accepted, rejected } };
  }

  return {
    reset(task) {
      const state = rules.start(task);
      return {
        state,
        observations: perAgent(agents, rules.observe(task, state)),
        infos: perAgent(agents, agents.map(() => ({}))),
      };
    },

    step(task, state, actions) {
      if (state.turn > turns) {
        throw new CollmError(
          "conflict",
          `Cannot step ${id}: the episode ended after turn ${turns} at the latest`,
        );
      }
      const result = played(task, state, actionTexts(agents, actions));
      const late = !result.done && result.state.turn > turns;
      return {
        // Beyond the last turn, so that no step follows.
        state: result.done ? { ...result.state, turn: turns + 1 } : result.state,
        observations: result.done || late
          ? {}
          : perAgent(agents, rules.observe(task, result.state)),
        rewards: forAll(agents, result.reward),
        terminations: forAll(agents, result.done),
        truncations: forAll(agents, late),
        infos: perAgent(agents, result.actions.map(actionInfo)),
        components: result.components,
      };
    },

    score(task, actions) {
      const { reward, components } = played(task, rules.start(task), actionTexts(agents, actions));
      return { rewards: forAll(agents, reward), components };
    },
  };
}
